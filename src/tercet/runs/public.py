"""`train` and `evaluate`: from data that a user names to a model with its record, or to metrics.

They check arguments and data before they import torch, so that errors, like the help of the commands, are quick.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tercet.errors import DataError
from tercet.runs.outcome import TrainingRun
from tercet.runs.settings import DEFAULT_EVAL_FRACTION, DEFAULT_MODEL, RunSettings, check_eval_fraction

if TYPE_CHECKING:
    import torch
    from datasets import Dataset

    from tercet.encoder.sentence_transformer import SentenceTransformer


def train(
    data: "str | Path | Dataset",
    output: str | Path,
    *,
    model: "str | Path | SentenceTransformer" = DEFAULT_MODEL,
    settings: RunSettings | None = None,
    eval_data: "str | Path | Dataset | None" = None,
    eval_fraction: float = DEFAULT_EVAL_FRACTION,
    text_column: str | None = None,
    label_column: str | None = None,
    split: str = "train",
    device: "str | torch.device | None" = None,
    packing: bool = True,
    trust_remote_code: bool = False,
    resume: bool = False,
    overwrite: bool = False,
    keep_embeddings: bool = False,
    extra_settings: Mapping[str, Any] | None = None,
) -> TrainingRun:
    """Train a model, evaluate it before and after, and save it with its `metrics.json`.

    Checkpoints go to the folder `output` with `.checkpoints` appended, which is removed at the end.

    Args:
        data: a file (.csv, .tsv, .jsonl or .parquet), the name of a data set on the hub, or a `datasets.Dataset` with
            the columns `sentence` and `label`. The triplet loss needs `anchor`, `positive` and `negative`.
        output: the folder for the model.
        model: a folder, a name on the hub, `"bundled"`, or a model, which is then trained in place.
        settings: loss, batch size, learning rate and so on; None uses the defaults of `RunSettings`.
        eval_data: data to evaluate on, of the same kind as `data`; None holds out a part of `data`.
        eval_fraction: the fraction of each label to hold out if there is no `eval_data`; 0 evaluates nothing.
        text_column: the column of sentences in a file; None takes the one with a usual name.
        label_column: the column of labels in a file; None takes the one with a usual name.
        split: the split of a data set on the hub.
        device: where to train; None uses a GPU if there is one.
        packing: whether to compute batches without padding if the architecture allows it.
        trust_remote_code: whether to run Python code that comes with the model.
        resume: continue from the last complete checkpoint of a run that was interrupted.
        overwrite: replace the model in `output`.
        keep_embeddings: return the embeddings of the evaluation data before and after, for a report.
        extra_settings: more items for `settings` in `metrics.json`.

    Raises:
        DataError: an argument or the data cannot be used.
        ModelError: the model cannot be loaded or saved.
        TrainingInterrupted: Ctrl-C; a checkpoint of the current step was written.

    Example:
        ```python
        import tercet.runs

        run = tercet.runs.train("train.csv", "my-model", settings=tercet.runs.RunSettings(epochs=2))
        print(run.record.after["map@r"])
        ```
    """
    settings, output = settings or RunSettings(), Path(output)
    settings.check()
    check_eval_fraction(eval_fraction)
    _check_output(output, overwrite=overwrite)

    from tercet.data.loading import Columns  # imports NumPy
    from tercet.runs.data import load_run_data, name_of

    columns = Columns(text_column, label_column, split)
    train_data, evaluation = load_run_data(
        data, eval_data, eval_fraction, columns, triplets=settings.uses_triplets, seed=settings.seed
    )
    if settings.eval_steps is not None and evaluation is None:
        raise DataError("eval_steps has nothing to evaluate on; pass eval_data, or an eval_fraction above 0")

    from tercet.encoder.loading import load_model  # imports torch, which takes seconds
    from tercet.runs.run import run_training

    named = {
        "model": str(model) if isinstance(model, (str, Path)) else model.base_model_name,
        "data": name_of(data),
        "eval_data": None if eval_data is None else name_of(eval_data),
        "eval_fraction": eval_fraction if eval_data is None else None,
        "text_column": text_column,
        "label_column": label_column,
        "packing": packing,
    }
    if isinstance(model, (str, Path)):
        model = load_model(str(model), device=device, trust_remote_code=trust_remote_code, packing=packing)
    return run_training(
        model,
        train_data,
        evaluation,
        output,
        settings,
        resume=resume,
        extra_settings={**named, **(extra_settings or {})},
        keep_embeddings=keep_embeddings,
    )


def evaluate(
    model: "str | Path | SentenceTransformer",
    data: str | Path,
    *,
    reference: str | Path | None = None,
    distance: str = "cosine",
    batch_size: int | None = None,
    text_column: str | None = None,
    label_column: str | None = None,
    split: str = "test",
    device: "str | torch.device | None" = None,
    trust_remote_code: bool = False,
    show_progress_bar: bool = False,
) -> dict[str, float]:
    """Return how well a model ranks sentences with the same label first: MAP@R, recall@k and other metrics.

    Args:
        model: a folder, a name on the hub, `"bundled"`, or a model.
        data: labelled sentences, the queries: a file, or the name of a data set on the hub.
        reference: labelled sentences to rank, such as the training data; None ranks the other sentences of `data`.
        distance: the name of the distance to rank by.
        batch_size: number of sentences to embed at a time; None chooses it by their length.
        text_column: the column of sentences; None takes the one with a usual name.
        label_column: the column of labels; None takes the one with a usual name.
        split: the split of a data set on the hub, for `data`; `reference` is always read from the split `train`.
        device: where to compute; None uses a GPU if there is one.
        trust_remote_code: whether to run Python code that comes with the model.
        show_progress_bar: whether to show the progress.

    Returns:
        The metrics by their keys in `tercet.catalogue.METRICS`.

    Raises:
        DataError: the data cannot be used.
        ModelError: the model cannot be loaded.

    Example:
        ```python
        import tercet.runs

        print(tercet.runs.evaluate("my-model", "test.csv", reference="train.csv")["map@r"])
        ```
    """
    from tercet.data.loading import Columns, load_labelled  # imports NumPy

    queries = load_labelled(str(data), Columns(text_column, label_column, split))
    gallery = None if reference is None else load_labelled(str(reference), Columns(text_column, label_column))

    from tercet.encoder.loading import load_model  # imports torch, which takes seconds
    from tercet.evaluation import LabelEvaluator

    evaluator = LabelEvaluator(
        queries.sentences,
        queries.labels(),
        gallery.sentences if gallery else None,
        gallery.labels() if gallery else None,
        distance=distance,
        batch_size=batch_size,
        show_progress_bar=show_progress_bar,
    )
    if isinstance(model, (str, Path)):
        model = load_model(str(model), device=device, trust_remote_code=trust_remote_code)
    return evaluator(model)


def _check_output(output: Path, *, overwrite: bool) -> None:
    """Raise `DataError` if a model cannot be written to `output`, or would replace something without `overwrite`."""
    if output.is_file():
        raise DataError(f"{output} is a file; pass the path of a folder")
    if output.is_dir() and any(output.iterdir()) and not overwrite:
        raise DataError(f"{output} exists already; pass another output, or overwrite=True")
