"""Train a model on data: the public function `train`, which `tercet train` calls.

It checks the data and most arguments before it imports torch, which takes seconds. So errors are raised quickly.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from tercet._distributed import check_launcher, is_first_launched
from tercet._events import collect_warnings
from tercet._files import expand_path
from tercet._logging import import_transformers
from tercet._nested_labels import margins_of_levels, num_levels, separator_of
from tercet.data.reading.options import DEFAULT_EVAL_FRACTION, FileArguments, takes_file_arguments
from tercet.encoder.names import resolve_model
from tercet.errors import DataError
from tercet.records import RunRecord
from tercet.runs import publishing
from tercet.runs.limits import check_eval_fraction, check_jaccard_weights
from tercet.runs.output import reserves_output
from tercet.runs.repeat import (
    changed_arguments,
    check_kind,
    check_same_model,
    check_same_rows,
    note_other_environment,
    skips_encoder,
)
from tercet.runs.results import TrainingRun
from tercet.runs.settings import DEFAULT_MODEL, RunSettings, given_settings

if TYPE_CHECKING:
    import torch

    from tercet.data.loading.training_data import TrainingData
    from tercet.data.reading.sources import Source
    from tercet.encoder.sentence_transformer import SentenceTransformer


@reserves_output
@takes_file_arguments
def train(
    data: "Source",
    output: str | Path,
    *,
    model: "str | Path | SentenceTransformer | None" = None,
    settings: RunSettings | None = None,
    eval_data: "Source | None" = None,
    eval_fraction: float = DEFAULT_EVAL_FRACTION,
    text_column: str | None = None,
    label_column: str | Sequence[str] | None = None,
    split: str = "train",
    header: bool | None = None,
    combined_labels: str | None = None,
    similar_labels: str | None = None,
    drop_missing: bool | None = None,
    device: "str | torch.device | None" = None,
    packing: bool = True,
    trust_remote_code: bool = False,
    resume: bool = False,
    overwrite: bool = False,
    keep_embeddings: bool = False,
    show_progress_bar: bool = True,
    classifier: bool = True,
    keep_texts: bool = False,
    extra_settings: Mapping[str, Any] | None = None,
    repeats: RunRecord | None = None,
    push_to_hub: str | None = None,
    private: bool | None = None,
    **reading: Unpack[FileArguments],
) -> TrainingRun:
    """Train a model, evaluate it before and after, and save it with its `metrics.json`.

    Checkpoints are written to a folder next to `output`, such as `my-model.checkpoints`. A successful run removes them.
    If `output` is a mounted folder, they are written into it. The paths are tried with empty files before any other
    work. No other process can train into `output` until the run ends. The run does not change the state of the global
    random generators.

    Args:
        data: a file (.csv, .tsv, .jsonl or .parquet), the name of a data set on the hub, or a table in memory, with
            columns of sentences and labels. The triplet loss needs `anchor`, `positive` and `negative`. A table is a
            `datasets.Dataset`, a pandas, polars or Arrow table, a dictionary of columns, or a list of (text, label)
            pairs or dictionaries; or a dictionary of such tables by split, such as a `DatasetDict`.
        output: the folder for the model.
        model: a folder, a name on the hub, `"bundled"` (the encoder of `tercet[demo]`), or a `SentenceTransformer`,
            which is trained in place. None is `DEFAULT_MODEL`, or `"bundled"`, with a warning, if the hub cannot be
            reached.
        settings: loss, batch size, learning rate and so on; None uses the defaults of `RunSettings`.
        eval_data: evaluation data of the same type as `data`. None takes the split `validation`, or else `test`, of a
            dictionary, a folder or a file with splits, and else holds out rows of `data`.
        eval_fraction: the fraction of the rows of each label (or of all triplets) to hold out if `eval_data` is None.
            If no row is held out, as with 0, the model is not evaluated.
        text_column: the name of the sentence column; None finds it by a usual name, such as `text` or `sentence`.
        label_column: the name of the label column, or of several with the levels of nested labels, the coarsest first;
            None finds it by a usual name, such as `label` or `intent`.
        split: the split to read from a data set on the hub or a dictionary of tables, for `data` and `eval_data`.
        header: whether the first line of .csv and .tsv files contains the column names; False names the columns "0",
            "1" and so on. None reads the names, unless the line looks like data.
        combined_labels: what to do with cells that contain several labels: `"keep"` uses each combination as a label,
            `"first"` uses the first label, `"drop"` leaves the rows out. None raises an error.
        similar_labels: what to do with labels that differ only in form, such as "Billing" and "billing": `"merge"` uses
            the most frequent form, `"keep"` keeps them apart. None raises an error.
        drop_missing: what to do with rows without a text or a label: None and True leave them out with a warning, False
            is an error.
        device: the device to load the model on; None uses a CUDA GPU if there is one. The trainer then moves the model
            to the first GPU if there is one, unless `device` is "cpu". Like the next two, not used if `model` is a
            `SentenceTransformer`.
        packing: whether to compute batches without padding if the architecture allows it.
        trust_remote_code: whether to run Python code from the model's repository.
        resume: continue an interrupted run from its last complete checkpoint. Without one, start at the first step.
        overwrite: replace the model in `output`: its weights, settings, tokenizer and adapter; other files there are
            kept.
        keep_embeddings: return the embeddings of the evaluation data before and after training, if it has labels.
        show_progress_bar: whether to show progress bars for the training and for the evaluations before and after it.
        classifier: fit a classifier to labelled sentences after the training, and save it with the model. It is a
            `tercet.LabelClassifier`, which `tercet classify` uses.
        keep_texts: save the training sentences with the classifier, to show them as evidence.
        extra_settings: more items for `settings` in `metrics.json`.
        repeats: the record of a run that this run repeats, see `repeat_arguments`. Arguments that differ are logged;
            with the same arguments, the data and the start model must be the same.
        push_to_hub: the name on the hub to upload the saved model to, such as `me/my-model`. Token and permission are
            checked before the training.
        private: whether a new repository on the hub is private; None uses the default of its owner.
        reading: more on how to read files: `csv_separator`, `encoding`, `split_column`, `limit`, `sample` and
            `label_file`, see `tercet.data.ReadOptions`.

    Raises:
        DataError: an argument is invalid, the data cannot be read or used for training, or data or model are not those
            of the record in `repeats`.
        ModelError: the model cannot be loaded or saved, or the upload of the saved model failed.
        EmbeddingError: the margin is invalid, or the embeddings contain NaN or infinite values.
        TrainingInterrupted: Ctrl-C stopped the run. During training, a checkpoint of the current step is written first,
            except at a second Ctrl-C.

    Example:
        ```python
        import tercet.runs

        run = tercet.runs.train("train.csv", "my-model", settings=tercet.runs.RunSettings(epochs=2))
        print(run.record.after["map@r"])
        ```
    """
    start = time.monotonic()
    check_launcher()
    if repeats is not None:
        check_kind(repeats, of_vectors=False)
    settings, output = given_settings(settings), expand_path(output, "output")
    settings = replace(settings, label_levels=separator_of(label_column, settings.label_levels))
    settings.check()
    settings = settings.without_unused()
    check_eval_fraction(eval_fraction)

    model = resolve_model(model, DEFAULT_MODEL)
    if private is not None and push_to_hub is None:
        raise DataError("private needs push_to_hub")
    if keep_texts and not classifier:
        raise DataError("keep_texts needs the classifier, with which the sentences are saved; leave out keep_texts")
    if push_to_hub is not None and is_first_launched():
        publishing.check_upload(push_to_hub, model=model, settings=settings)

    from tercet.data.fingerprint import fingerprint
    from tercet.data.loading.training_data import load_training_data
    from tercet.data.reading.options import ReadOptions
    from tercet.data.reading.sources import name_of

    options = ReadOptions.of(locals(), label_levels=settings.label_levels, multi_label=settings.multi_label)
    named = {
        "model": str(model) if isinstance(model, (str, Path)) else model.base_model_name,
        "data": name_of(data),
        "eval_data": name_of(eval_data),
        "eval_fraction": eval_fraction if eval_data is None else None,
        **asdict(options),
        "packing": packing,
        "classifier": classifier,
        "keep_texts": keep_texts,
        "device": None if device is None else str(device),
    }
    with collect_warnings() as warnings:
        loaded = load_training_data(
            data,
            eval_data,
            eval_fraction,
            options,
            triplets=settings.uses_triplets,
            seed=settings.seed,
            several_labels=True,
        )
    settings = _settings_for(loaded, settings)
    named["multi_label"] = settings.multi_label
    if loaded.eval_split is not None:
        named |= {"eval_split": loaded.eval_split, "eval_fraction": None}

    changed = changed_arguments(repeats, {**named, **asdict(settings)}) if repeats is not None else set()
    if repeats is not None:
        parts = {"train": loaded.train, "eval": loaded.evaluation}
        check_same_rows(repeats, {part: fingerprint(rows) for part, rows in parts.items() if rows is not None}, changed)

    import_transformers()
    from tercet.encoder.loading import load_model  # imports torch, which takes seconds
    from tercet.encoder.weight_sample import model_identity
    from tercet.runs.environment import environment
    from tercet.runs.run_training import run_training
    from tercet.runs.source_names import Names

    if isinstance(model, (str, Path)):
        model = load_model(str(model), device=device, trust_remote_code=trust_remote_code, packing=packing)
    named["model_sha256"] = model_identity(model)["sha256"]
    if repeats is not None:
        check_same_model(repeats, named["model_sha256"], changed)
        note_other_environment(repeats, environment(model.device))
    run = run_training(
        model,
        loaded,
        output,
        settings,
        names=Names.of(data, eval_data, loaded.held_out_rows),
        warnings=warnings,
        resume=resume,
        overwrite=overwrite,
        extra_settings={**named, **(extra_settings or {})},
        keep_embeddings=keep_embeddings,
        show_progress_bar=show_progress_bar,
        classifier=classifier,
        keep_texts=keep_texts,
        skip_encoder=repeats is not None and skips_encoder(repeats, changed),
        start=start,
    )
    if push_to_hub is not None and is_first_launched():
        publishing.push_to_hub(output, push_to_hub, private=private)
    return run


def _settings_for(loaded: "TrainingData", settings: RunSettings) -> RunSettings:
    """Return the settings with the separator of the labels if these are a column of lists.

    Raises:
        DataError: a setting does not fit the labels, or `eval_steps` needs evaluation data that do not exist.
    """
    if isinstance(settings.margin, list) and settings.label_levels is not None:
        margins_of_levels(settings.margin, num_levels(loaded.train.features["label"].names, settings.label_levels))
    if loaded.multi_label != settings.multi_label:
        settings = replace(settings, multi_label=loaded.multi_label)
        settings.check()
    check_jaccard_weights(settings.jaccard_weights, loaded.multi_label)
    if settings.eval_steps is not None and loaded.evaluation is None:
        raise DataError(
            "eval_steps needs evaluation data, but no row is held out; pass eval_data or a larger eval_fraction"
        )
    return settings
