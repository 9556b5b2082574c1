"""Evaluate a model on data: the public function `evaluate`, which `tercet evaluate` calls.

It checks the data and most arguments before it imports torch, which takes seconds. So errors are raised quickly.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Unpack

from tercet._events import collect_warnings
from tercet._files import expand_path
from tercet._logging import import_transformers
from tercet.data.reading.options import FileArguments, ReadOptions, takes_file_arguments
from tercet.decisions.limit_values import check_limits
from tercet.encoder.names import resolve_model
from tercet.errors import DataError
from tercet.runs.decisions import Judge, check_classifier, check_decisions, warn_not_judged
from tercet.runs.evaluation_data import load_queries, load_reference
from tercet.runs.results import EvaluationResult
from tercet.runs.settings import DEFAULT_MODEL

if TYPE_CHECKING:
    import torch

    from tercet.data.reading.sources import Source
    from tercet.encoder.sentence_transformer import SentenceTransformer


@takes_file_arguments
def evaluate(
    model: "str | Path | SentenceTransformer",
    data: "Source",
    *,
    reference: "Source | None" = None,
    baseline: "str | Path | SentenceTransformer | None" = None,
    decisions: bool | Literal["if possible"] = False,
    min_precision: float | None = None,
    max_novelty: float | Literal["auto"] | None = None,
    distance: str = "cosine",
    batch_size: int | None = None,
    text_column: str | None = None,
    label_column: str | Sequence[str] | None = None,
    reference_text_column: str | None = None,
    reference_label_column: str | Sequence[str] | None = None,
    reference_split: str = "train",
    reference_split_column: str | None = None,
    split: str = "test",
    header: bool | None = None,
    combined_labels: str | None = None,
    similar_labels: str | None = None,
    drop_missing: bool | None = None,
    label_levels: str | None = None,
    multi_label: str | None = None,
    bf16: bool = False,
    device: "str | torch.device | None" = None,
    trust_remote_code: bool = False,
    show_progress_bar: bool = False,
    **reading: Unpack[FileArguments],
) -> EvaluationResult:
    """Compute retrieval metrics: MAP@R, recall@k and others. Sentences with the same label should rank first.

    With a reference, the result is that of the first table of `tercet train`: each sentence of `data` ranks the
    reference sentences. Left out of all metrics, and counted in the result, are sentences whose text is also in the
    reference, sentences that repeat an earlier one, and sentences whose label is not in the reference. For the latter,
    `unknown_auroc` measures how well their distance to the nearest reference sentence separates them from the others.
    The sentences are also classified by the reference sentences in three ways; with a baseline, the result says whether
    the training of `model` was worth it.

    Args:
        model: a folder, a name on the hub, `"bundled"` (the encoder of `tercet[demo]`), or a `SentenceTransformer`.
        data: the labelled queries: a file, the name of a data set on the hub, or one of the objects that `train` takes.
        reference: the labelled sentences to rank for each query, such as the training data; None ranks all other
            sentences of `data`.
        baseline: the untouched encoder, from which `model` was trained; it is measured too, and compared. It needs
            `reference`.
        decisions: whether to judge the decisions of the classifier in the folder of the model too. Sentences that it
            was fitted to are left out of them. With "if possible", decisions that cannot be judged, because it was
            fitted to all sentences or they have several labels, are a warning instead of an error.
        min_precision: the precision of its answers that must be promised; None takes 0.95, or the highest one that can
            be promised if that is lower. It implies `decisions`, as `max_novelty` does.
        max_novelty: the highest novelty of its answers, or "auto", see `LabelClassifier.predict`.
        distance: the name of the distance to rank by.
        batch_size: number of sentences to encode at a time; None adapts it to their length.
        text_column: the name of the sentence column; None finds it by a usual name, such as `text` or `sentence`.
        label_column: the name of the label column, or of several with the levels of nested labels, the coarsest first;
            None finds it by a usual name, such as `label` or `intent`.
        reference_text_column: the name of the sentence column of `reference`; None takes `text_column`.
        reference_label_column: the name of the label column of `reference`; None takes `label_column`.
        reference_split: the split to read of `reference`.
        reference_split_column: the column of `reference` with the name of each row's split; None takes `split_column`.
        split: the split to read if `data` is the name of a data set on the hub, a dictionary of tables, or a file or
            folder with splits.
        header: whether the first line of .csv and .tsv files contains the column names; False names the columns "0",
            "1" and so on. None reads the names, unless the line looks like data.
        combined_labels: what to do with cells that contain several labels: `"keep"` uses each combination as a label,
            `"first"` uses the first label, `"drop"` leaves the rows out. None raises an error.
        similar_labels: what to do with labels that differ only in form, such as "Billing" and "billing": `"merge"` uses
            the most frequent form, `"keep"` keeps them apart. None raises an error.
        drop_missing: what to do with rows without a text or a label: None and True leave them out with a warning, False
            is an error.
        label_levels: the separator of the levels of nested labels, such as "/" in "billing/refund". The metrics then
            include those of each level, see `tercet.evaluation.nested_metrics`.
        multi_label: the separator of the labels of a row, such as ";" in "billing;refund", if rows have several; a
            column of lists needs none. Sentences that share a label are then relevant, and labels are predicted by a
            logistic regression for each label.
        bf16: whether to embed in bfloat16, see `load_model`. Not used if `model` is a `SentenceTransformer`.
        device: the device to compute on; None uses a CUDA GPU if there is one. Not used if `model` is a
            `SentenceTransformer`.
        trust_remote_code: whether to run Python code from the model's repository. Not used if `model` is a
            `SentenceTransformer`.
        show_progress_bar: whether to show a progress bar.
        reading: more on how to read files: `csv_separator`, `encoding`, `split_column`, `limit`, `sample` and
            `label_file`, see `tercet.data.ReadOptions`.

    Returns:
        The metrics, a mapping from their keys in `tercet.catalogue.METRICS` to values, with the protocol and the number
        of rows.

    Raises:
        DataError: the data cannot be read, a text or a label is missing or invalid, or nothing can be measured: all
            texts are in the reference, no label is, or no two sentences have the same label; or the classifier is
            missing or cannot promise `min_precision`.
        ModelError: the model or its classifier cannot be loaded.
        EmbeddingError: `distance` is unknown, or the embeddings contain NaN or infinite values.

    Example:
        ```python
        import tercet.runs

        result = tercet.runs.evaluate("my-model", "test.csv", reference="train.csv")
        print(result["map@r"], result.rows.measured)
        ```
    """
    model = resolve_model(model, DEFAULT_MODEL)

    from tercet.data.loading.labelled import as_dataset
    from tercet.data.reading.other_files import options_of_file, options_of_reference

    options = ReadOptions.of(locals(), optional_split="test")
    if reference is None:
        _check_unused(
            reference_text_column=reference_text_column,
            reference_label_column=reference_label_column,
            reference_split=None if reference_split == "train" else reference_split,
            reference_split_column=reference_split_column,
        )
    if baseline is not None:
        if reference is None:
            raise DataError("`baseline` needs `reference`, whose sentences classify those of the data")
        baseline = resolve_model(baseline, DEFAULT_MODEL)
    check_decisions(decisions)
    decisions = decisions or min_precision is not None or max_novelty is not None
    if decisions:
        check_limits(min_precision=min_precision, max_novelty=max_novelty)
        check_classifier(model)
    with collect_warnings() as warnings:
        gallery = None
        if reference is not None:
            reference_options = options_of_reference(
                options,
                reference,
                data,
                split=reference_split,
                text_column=reference_text_column,
                label_column=reference_label_column,
                split_column=reference_split_column,
            )
            gallery = load_reference(reference, reference_options)
            options = replace(options, multi_label=gallery.multi_label)
        classifier = expand_path(str(model)) if decisions else None
        queries = load_queries(data, options_of_file(options, data, reference), gallery, classifier)
        if queries.multi_label is not None and decisions:
            _leave_out_decisions(decisions)
            decisions = False

        import_transformers()
        from tercet.encoder.loading import load_model  # imports torch, which takes seconds
        from tercet.runs.evaluation_plan import plan_evaluation
        from tercet.runs.source_names import Names, file_name

        evaluation = plan_evaluation(
            as_dataset(queries),
            None if gallery is None else as_dataset(gallery),
            among_themselves=False,
            names=Names(file_name(data, "the data"), file_name(reference, "the reference data")),
            label_levels=options.label_levels,
            multi_label=queries.multi_label,
            distance=distance,
            batch_size=batch_size,
            show_progress_bar=show_progress_bar,
        )

        judge = None
        if decisions:
            judge = Judge.read(Path(str(model)), min_precision=min_precision, max_novelty=max_novelty)

        def load(encoder: "str | Path | SentenceTransformer") -> "SentenceTransformer":
            if not isinstance(encoder, (str, Path)):
                return encoder
            return load_model(str(encoder), device=device, trust_remote_code=trust_remote_code, bf16=bf16)

        untouched = None if baseline is None else evaluation.measure(evaluation.embed(load(baseline)))
        if judge is None:
            measured, judged = evaluation.measure(evaluation.embed(load(model))), None
        else:
            from tercet.runs.classifier import RememberingEncoder

            encoder = RememberingEncoder(load(model))
            measured = evaluation.measure(evaluation.embed(encoder))
            source = f"the rows of {file_name(data, 'the evaluation data')}"
            judged = judge.judge(encoder, evaluation, source, if_possible=decisions == "if possible")
    ((protocol, metrics),) = measured.metrics.items()
    predictions = measured.predictions or measured.label_sets
    return EvaluationResult(
        metrics=metrics,
        protocol=protocol,
        rows=evaluation.counts[protocol],
        classifiers=None if predictions is None else predictions.scores(),
        gain=None if untouched is None else evaluation.gain(untouched, measured),
        parents=evaluation.parents(measured),
        decisions=judged,
        warnings=[warning.to_dict() for warning in warnings],
    )


def _check_unused(**of_reference: object) -> None:
    """Raise `DataError` if an argument about the reference data is given, which `evaluate` got without them."""
    given = [name for name, value in of_reference.items() if value is not None]
    if given:
        raise DataError(f"{' and '.join(given)} {'needs' if len(given) == 1 else 'need'} reference")


def _leave_out_decisions(decisions: bool | str) -> None:
    """Emit a warning that the decisions about rows with several labels are not judged.

    Raises:
        DataError: `decisions` is not "if possible".
    """
    if decisions != "if possible":
        raise DataError(
            "a classifier gives each sentence one label, but the rows have several; leave out decisions, "
            "min_precision and max_novelty"
        )
    warn_not_judged("it gives each sentence one label, and the rows have several")
