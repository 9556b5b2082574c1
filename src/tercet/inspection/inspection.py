"""Inspect labelled sentences before training.

Texts and labels are counted without a model. With a model, `inspect` also counts tokens and finds label issues. If
the data can be used for training, it then measures batches and suggests settings.
"""

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

import numpy as np
import torch

from tercet._multi_labels import number_label_sets
from tercet._nested_labels import ParentErrors, parent_errors
from tercet._texts import text_keys
from tercet.data.labels.labelled_sentences import LabelledSentences
from tercet.data.labels.trainable import check_trainable
from tercet.data.loading.labelled import load_labelled
from tercet.data.reading.options import FileArguments, ReadOptions
from tercet.data.reading.sources import name_of
from tercet.encoder.token_stats import collect_token_stats, warned_kinds
from tercet.errors import DataError, ModelError
from tercet.inspection.batches import suggest_settings, summarize_batches
from tercet.inspection.confusion import confused_labels, near_duplicates
from tercet.inspection.label_issues.issues import list_label_issues
from tercet.inspection.label_issues.neighbours import centred
from tercet.inspection.label_issues.score import score_texts
from tercet.inspection.labels_to_add import LabelToAdd, find_labels_to_add
from tercet.inspection.lengths import count_tokens, summarize_lengths
from tercet.inspection.results import Inspection, ModelFindings
from tercet.inspection.texts import Example, TextSummary, summarize_texts

if TYPE_CHECKING:
    from tercet.data.reading.sources import Source
    from tercet.encoder.sentence_transformer import SentenceTransformer

logger = logging.getLogger(__name__)

# Longer texts and more pairs of sentences are announced, because they take minutes or much memory.
_LONG_TEXT = 1_000_000
_MANY_PAIRS = 4_000_000_000
_PAIRS_PER_MINUTE = 2_000_000_000  # on two cores, with 384 dimensions


def inspect(
    data: "LabelledSentences | Source",
    model: "SentenceTransformer | str | Path | None" = None,
    *,
    text_column: str | None = None,
    label_column: str | Sequence[str] | None = None,
    split: str = "train",
    header: bool | None = None,
    combined_labels: str | None = None,
    similar_labels: str | None = None,
    drop_missing: bool | None = None,
    label_levels: str | None = None,
    multi_label: str | None = None,
    device: "str | torch.device | None" = None,
    trust_remote_code: bool = False,
    source: str | None = None,
    model_name: str | None = None,
    batch_size: int = 64,
    samples_per_label: int = 4,
    seed: int = 0,
    show_progress_bar: bool = False,
    **reading: Unpack[FileArguments],
) -> Inspection:
    """Inspect labelled sentences before training; the same seed gives the same result.

    Args:
        data: a file, the name of a data set on the hub, one of the tables that `train` takes, or labelled sentences.
            Texts may be empty.
        model: a model, a folder, a name on the hub, or `"bundled"`. If None, only texts and labels are counted.
        text_column: the name of the sentence column; None finds it by a usual name, such as `text` or `sentence`.
        label_column: the name of the label column, or of several with the levels of nested labels, the coarsest first;
            None finds it by a usual name, such as `label` or `intent`.
        split: the split to read if `data` is the name of a data set on the hub or a dictionary of tables.
        header: whether the first line of .csv and .tsv files contains the column names; False names the columns "0",
            "1" and so on. None reads the names, unless the line looks like data.
        combined_labels: what to do with cells that contain several labels: `"keep"` uses each combination as a label,
            `"first"` uses the first label, `"drop"` leaves the rows out. None counts them.
        similar_labels: what to do with labels that differ only in form, such as "Billing" and "billing": `"merge"` uses
            the most frequent form, `"keep"` keeps them apart. None counts them.
        drop_missing: what to do with rows without a text or a label: None counts them, True leaves them out, False is
            an error.
        label_levels: the separator of the levels of nested labels, such as "/" in "billing/refund"; None for labels
            without levels, or "/" with several label columns.
        multi_label: the separator of the labels of a row, such as ";" in "billing;refund", if rows have several; a
            column of lists needs none. The labels that sentences probably lack are then listed, instead of label
            issues, and no batch is measured.
        device: the device to compute on, if `model` is loaded here; None uses a GPU if there is one.
        trust_remote_code: whether to run Python code from the model's repository.
        source: the name of the data in messages; None uses the file or name in `data`, or "the data".
        model_name: the name of the model in messages; None uses the name in `model`, or "the model".
        batch_size: the number of sentences in each measured batch; fewer if the data have fewer.
        samples_per_label: the number of sentences of each label in a measured batch.
        seed: the seed of the folds and the batches; at least 0.
        show_progress_bar: whether to show progress bars for the embedding and the check of the labels.
        reading: more on how to read files: `csv_separator`, `encoding`, `split_column`, `limit` and `sample`, see
            `tercet.data.ReadOptions`.

    Raises:
        DataError: the data cannot be read or have no rows; or batches are measured, but `batch_size` and
            `samples_per_label` do not give a P×K batch.
        EmbeddingError: a model is given, and a text of `LabelledSentences` contains a lone surrogate.
        ModelError: the model cannot be loaded, or its embeddings are not finite or too large for float32 distances.

    Example:
        >>> _ = Path("d.csv").write_text("text,label\\nthe soup is hot,food\\nthe bank is shut,money\\n")
        >>> inspect("d.csv").texts.labels.count
        2
    """
    if not isinstance(data, LabelledSentences):
        source = source or name_of(data)
        options = ReadOptions.of(locals())
        data = load_labelled(data, options, incomplete=True, several_labels=True)
        label_levels = options.label_levels
    if isinstance(model, (str, Path)):
        from tercet.encoder.loading import load_model  # slow to import, and not needed without a model

        model_name = model_name or str(model)
        model = load_model(str(model), device=device, trust_remote_code=trust_remote_code)
    source, model_name = source or "the data", model_name or "the model"
    if len(data) == 0:
        raise DataError(f"{source} has no rows")
    texts = summarize_texts(data.sentences, data.label_ids, data.label_names, data.multi_label)
    if label_levels is not None:  # A label with levels is one label.
        texts = replace(texts, combined_labels=[], combined_separator=None)
    complete = np.setdiff1d(np.arange(len(data)), [*texts.empty, *texts.missing_labels])
    sentences, texts = data.take(complete), _with_row_numbers(texts, data.rows)
    rows = complete if sentences.rows is None else sentences.rows
    inspection = Inspection(source=source, texts=texts, obstacle=_obstacle(sentences, source, texts.missing_labels))
    if model is None or len(rows) == 0:
        return inspection
    _log_cost(sentences.sentences, rows)
    with collect_token_stats() as tokens:
        embeddings = _embed(sentences.sentences, rows, model, model_name, show_progress_bar=show_progress_bar)
    tokens.warn(warned_kinds(model))
    lengths = summarize_lengths(count_tokens(model, sentences.sentences), model.max_seq_length, tokens.unknown_fraction)
    findings = ModelFindings(model=model_name, lengths=lengths)
    # If all embeddings are equal although the texts differ, labels and batches cannot be checked.
    can_check = len(set(text_keys(sentences.sentences))) == 1 or bool(centred(embeddings).any())
    if can_check and data.multi_label is not None:
        findings = replace(findings, labels_to_add=_labels_to_add(sentences, rows, embeddings, data.multi_label))
    elif can_check:
        findings = _check_labels(findings, sentences, rows, embeddings, seed, show_progress_bar=show_progress_bar)
        if label_levels is not None:
            findings = replace(findings, parents=_parents(findings, sentences, rows, label_levels))
        if inspection.obstacle is None:
            batches = summarize_batches(embeddings, sentences.label_ids, batch_size, samples_per_label, seed)
            suggestions = suggest_settings(batches, embeddings, sentences.label_ids)
            findings = replace(findings, batches=batches, suggestions=suggestions)
    return replace(inspection, with_model=replace(findings, warning=_warning(findings)))


def _with_row_numbers(texts: TextSummary, numbers: np.ndarray | None) -> TextSummary:
    """Return the counts with the numbers of the rows in the file that the data come from; None changes nothing."""
    if numbers is None:
        return texts

    def of_file(rows: list[int]) -> list[int]:
        found: list[int] = numbers[rows].tolist()
        return found

    return replace(
        texts,
        empty=of_file(texts.empty),
        duplicates=of_file(texts.duplicates),
        missing_labels=of_file(texts.missing_labels),
        contradictions=[replace(one, rows=of_file(one.rows)) for one in texts.contradictions],
    )


def _log_cost(texts: Sequence[str], rows: np.ndarray) -> None:
    """Log what will take long, before it starts: a very long text, and the similarities of very many sentences."""
    lengths = [len(text) for text in texts]
    longest = int(np.argmax(lengths))
    if lengths[longest] > _LONG_TEXT:
        logger.warning(
            f"the text in row {rows[longest]} has {lengths[longest]:,} characters; its tokenization takes "
            "long and needs much memory, although the model uses only the start of a long text"
        )
    pairs = len(lengths) ** 2
    if pairs > _MANY_PAIRS:
        logger.warning(
            f"all {pairs:,} pairs of the {len(lengths):,} sentences are compared to find near-duplicates and wrong "
            f"labels, which takes about {pairs / _PAIRS_PER_MINUTE:.0f} min on a CPU; inspect a sample to be faster"
        )


def _embed(
    texts: Sequence[str], rows: np.ndarray, model: "SentenceTransformer", model_name: str, *, show_progress_bar: bool
) -> torch.Tensor:
    """Return the embeddings `(n, dim)` of the n texts, which are in the given `rows` `(n,)` of the data.

    Raises:
        ModelError: an embedding is not finite, or too large for a squared distance in float32.
    """
    embeddings = model.encode(texts, convert_to_tensor=True, show_progress_bar=show_progress_bar)
    assert isinstance(embeddings, torch.Tensor)
    # The distance of two embeddings is at most twice the larger norm. Its square must be finite in float32.
    unusable = (~(2 * embeddings.float()).square().sum(1).isfinite()).nonzero().flatten()
    if len(unusable):
        raise ModelError(
            f"{model_name} returns values that are NaN, infinite or too large for float32 distances for "
            f"{len(unusable)} of {len(texts)} sentences (for example row {rows[int(unusable[0])]}); "
            "choose another model"
        )
    return embeddings


def _check_labels(
    findings: ModelFindings,
    data: LabelledSentences,
    rows: np.ndarray,
    embeddings: torch.Tensor,
    seed: int,
    *,
    show_progress_bar: bool,
) -> ModelFindings:
    """Return the findings with the label issues, the confused labels and the near-duplicates added."""
    scores = score_texts(data.sentences, data.label_ids, embeddings, seed=seed, show_progress_bar=show_progress_bar)
    examples = _examples(data, rows)
    return replace(
        findings,
        fitted=scores.fitted,
        num_scored=int((~scores.log_odds.isnan()).sum()),
        label_issues=list_label_issues(scores, examples, data.label_names),
        confusions=confused_labels(scores, examples, data.label_ids, data.label_names),
        near_duplicates=near_duplicates(scores, examples),
    )


def _parents(
    findings: ModelFindings, data: LabelledSentences, rows: np.ndarray, label_levels: str
) -> list[ParentErrors]:
    """Return the label issues within and across parents; a label without an issue counts as predicted."""
    suggested = {issue.row: issue.suggested_label for issue in findings.label_issues}
    labels = data.labels()
    predicted = [suggested.get(row, label) for row, label in zip(rows.tolist(), labels, strict=True)]
    return parent_errors(labels, predicted, label_levels)


def _labels_to_add(
    data: LabelledSentences, rows: np.ndarray, embeddings: torch.Tensor, multi_label: str
) -> list[LabelToAdd]:
    sets, names = number_label_sets(data.label_names, multi_label)
    of_rows = [sets[label_id] for label_id in data.label_ids.tolist()]
    return find_labels_to_add(_examples(data, rows), of_rows, names, embeddings)


def _examples(data: LabelledSentences, rows: np.ndarray) -> list[Example]:
    """Return the sentences with their `rows` `(n,)` in the data and their labels."""
    return [
        Example(row=row, text=text, label=label)
        for row, text, label in zip(rows.tolist(), data.sentences, data.labels(), strict=True)
    ]


def _warning(findings: ModelFindings) -> str | None:
    """Return a warning if the labels could not be checked or most of them look wrong, else None."""
    if findings.labels_to_add is not None:
        return None
    if findings.num_scored is None:
        return (
            f"{findings.model} gives all sentences the same embedding, so labels cannot be checked; "
            "choose another model."
        )
    if not findings.fitted:
        return (
            "There are too many rows and labels for the logistic regression. The label issues come from the nearest "
            "neighbours alone, so they are less reliable; inspect a part of the labels for the complete check."
        )
    if 2 * len(findings.label_issues) > findings.num_scored:
        return (
            f"Most labels look wrong ({len(findings.label_issues):,} of {findings.num_scored:,}), so the lists of "
            "label issues and confused labels are unreliable. Check that each row has its own label (the rows may be "
            "shuffled, or the label column may be wrong), or try another model."
        )
    return None


def _obstacle(data: LabelledSentences, source: str, missing_labels: list[int]) -> str | None:
    """Return the reason why the sentences cannot be used for training, or None if they can."""
    if len(data) == 0:
        return f"{source} has no row with a text{' and a label' if missing_labels else '; all texts are empty'}"
    try:
        check_trainable(data.label_ids, data.label_names, source, data.multi_label)
    except DataError as error:
        return str(error)
    return None
