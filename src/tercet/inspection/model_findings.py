"""Find what needs a model: lengths in tokens, label issues, labels to add, and the statistics of batches."""

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from tercet._multi_labels import number_label_sets
from tercet._nested_labels import num_levels
from tercet._texts import text_keys
from tercet._tree_errors import ParentErrors, parent_errors
from tercet.data.labels.labelled_sentences import LabelledSentences
from tercet.encoder.token_stats import collect_token_stats, warned_kinds
from tercet.errors import ModelError
from tercet.inspection.batches import suggest_settings, summarize_batches
from tercet.inspection.confusion import confused_labels, near_duplicates
from tercet.inspection.label_issues.chance import follow_by_rank, is_at_chance
from tercet.inspection.label_issues.issues import list_label_issues
from tercet.inspection.label_issues.neighbours import centred
from tercet.inspection.label_issues.score import LabelLogOdds, score_texts
from tercet.inspection.labels_to_add import LabelToAdd, find_labels_to_add
from tercet.inspection.lengths import count_tokens, summarize_lengths
from tercet.inspection.results import ModelFindings
from tercet.inspection.texts import Example

if TYPE_CHECKING:
    from tercet.encoder.sentence_transformer import SentenceTransformer

logger = logging.getLogger(__name__)

# Longer texts and more pairs of sentences are announced, because they take minutes or much memory.
_LONG_TEXT = 1_000_000
_MANY_PAIRS = 4_000_000_000
_CHECK_ROWS = (
    "so the lists of label issues and confused labels are unreliable. Check that each row has its own label (the rows "
    "may be shuffled, or the label column may be wrong), or try another model."
)
_PAIRS_PER_MINUTE = 2_000_000_000  # on two cores, with 384 dimensions


def find_with_model(
    sentences: LabelledSentences,
    model: "SentenceTransformer",
    model_name: str,
    *,
    label_levels: str | None,
    trainable: bool,
    batch_size: int,
    samples_per_label: int,
    seed: int,
    show_progress_bar: bool,
) -> ModelFindings:
    """Return what an inspection finds with a model.

    Args:
        sentences: sentences with a text and a label, at least one, with the numbers of their rows in the data.
        model: the model.
        model_name: its name in messages.
        label_levels: the separator of the levels of nested labels; None for labels without levels.
        trainable: whether the data can be used for training, so that batches are measured.
        batch_size: as for `inspect`, and so are the next three.

    Raises:
        DataError: batches are measured, but `batch_size` and `samples_per_label` do not give a P×K batch.
        ModelError: an embedding is not finite, or too large for float32 distances.
    """
    _log_cost(sentences)
    with collect_token_stats() as tokens:
        embeddings = _embed(sentences, model, model_name, show_progress_bar=show_progress_bar)
    tokens.warn(warned_kinds(model))
    lengths = summarize_lengths(count_tokens(model, sentences.sentences), model.max_seq_length, tokens.unknown_fraction)
    findings = ModelFindings(model=model_name, lengths=lengths)
    # If all embeddings are equal although the texts differ, labels and batches cannot be checked.
    chance_errors, follow = 0, False
    can_check = len(set(text_keys(sentences.sentences))) == 1 or bool(centred(embeddings).any())
    if can_check and sentences.multi_label is not None:
        findings = replace(findings, labels_to_add=_labels_to_add(sentences, embeddings, sentences.multi_label))
    elif can_check:
        scores = score_texts(
            sentences.sentences, sentences.label_ids, embeddings, seed=seed, show_progress_bar=show_progress_bar
        )
        findings = _check_labels(findings, sentences, scores)
        chance_errors = _chance_errors(sentences.label_ids[~scores.log_odds.isnan().cpu().numpy()])
        if scores.given_rank is not None:
            follow = follow_by_rank(sentences.label_ids, scores.given_rank.cpu().numpy())
        if label_levels is not None:
            findings = replace(findings, parents=_parents(findings, sentences, label_levels))
        if trainable:
            batches = summarize_batches(embeddings, sentences.label_ids, batch_size, samples_per_label, seed)
            levels = _num_levels(sentences, label_levels)
            suggestions = suggest_settings(batches, embeddings, sentences.label_ids, num_levels=levels)
            findings = replace(findings, batches=batches, suggestions=suggestions)
    return replace(findings, warning=_warning(findings, chance_errors, follow=follow))


def _log_cost(data: LabelledSentences) -> None:
    """Log what will take long, before it starts: a very long text, and the similarities of very many sentences."""
    lengths = [len(text) for text in data.sentences]
    longest = int(np.argmax(lengths))
    if lengths[longest] > _LONG_TEXT:
        logger.warning(
            f"the text in row {data.row_numbers[longest]} has {lengths[longest]:,} characters; its tokenization takes "
            "long and needs much memory, although the model uses only the start of a long text"
        )
    pairs = len(lengths) ** 2
    if pairs > _MANY_PAIRS:
        logger.warning(
            f"all {pairs:,} pairs of the {len(lengths):,} sentences are compared to find near-duplicates and wrong "
            f"labels, which takes about {pairs / _PAIRS_PER_MINUTE:.0f} min on a CPU; inspect a sample to be faster"
        )


def _embed(
    data: LabelledSentences, model: "SentenceTransformer", model_name: str, *, show_progress_bar: bool
) -> torch.Tensor:
    """Return the embeddings `(n, dim)` of n sentences.

    Raises:
        ModelError: an embedding is not finite, or too large for a squared distance in float32.
    """
    embeddings = model.encode(data.sentences, convert_to_tensor=True, show_progress_bar=show_progress_bar)
    assert isinstance(embeddings, torch.Tensor)
    # The distance of two embeddings is at most twice the larger norm. Its square must be finite in float32.
    unusable = (~(2 * embeddings.float()).square().sum(1).isfinite()).nonzero().flatten()
    if len(unusable):
        raise ModelError(
            f"{model_name} returns values that are NaN, infinite or too large for float32 distances for "
            f"{len(unusable)} of {len(data)} sentences (for example row {data.row_numbers[int(unusable[0])]}); "
            "choose another model"
        )
    return embeddings


def _check_labels(findings: ModelFindings, data: LabelledSentences, scores: LabelLogOdds) -> ModelFindings:
    """Return the findings with the label issues, the confused labels and the near-duplicates added."""
    examples = _examples(data)
    return replace(
        findings,
        fitted=scores.fitted,
        num_scored=int((~scores.log_odds.isnan()).sum()),
        label_issues=list_label_issues(scores, examples, data.label_names),
        confusions=confused_labels(scores, examples, data.label_ids, data.label_names),
        near_duplicates=near_duplicates(scores, examples),
    )


def _chance_errors(label_ids: np.ndarray) -> int:
    """Return how many labels differ from the most frequent one."""
    return len(label_ids) - int(np.bincount(label_ids).max()) if len(label_ids) else 0


def _num_levels(data: LabelledSentences, label_levels: str | None) -> int:
    """Return the number of levels of the labels that sentences have."""
    if label_levels is None:
        return 1
    return num_levels([data.label_names[label] for label in np.unique(data.label_ids)], label_levels)


def _parents(findings: ModelFindings, data: LabelledSentences, label_levels: str) -> list[ParentErrors]:
    """Return the label issues within and across parents; a label without an issue counts as predicted."""
    suggested = {issue.row: issue.suggested_label for issue in findings.label_issues}
    labels = data.labels()
    predicted = [suggested.get(row, label) for row, label in zip(data.row_numbers.tolist(), labels, strict=True)]
    return parent_errors(labels, predicted, label_levels)


def _labels_to_add(data: LabelledSentences, embeddings: torch.Tensor, multi_label: str) -> list[LabelToAdd]:
    sets, names = number_label_sets(data.label_names, multi_label)
    of_rows = [sets[label_id] for label_id in data.label_ids.tolist()]
    return find_labels_to_add(_examples(data), of_rows, names, embeddings)


def _examples(data: LabelledSentences) -> list[Example]:
    """Return the sentences with their rows in the data and their labels."""
    return [
        Example(row=row, text=text, label=label)
        for row, text, label in zip(data.row_numbers.tolist(), data.sentences, data.labels(), strict=True)
    ]


def _warning(findings: ModelFindings, chance_errors: int, *, follow: bool) -> str | None:
    """Return a warning if the labels could not be checked, or most of them or as many as at random look wrong.

    Args:
        findings: the other findings.
        chance_errors: the number of scored sentences that do not have the most frequent label.
        follow: whether the sentences rank by their labels, so that these are not at chance.
    """
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
    issues = f"{len(findings.label_issues):,} of {findings.num_scored:,}"
    if 2 * len(findings.label_issues) > findings.num_scored:
        return f"Most labels look wrong ({issues}), {_CHECK_ROWS}"
    if not follow and is_at_chance(len(findings.label_issues), findings.num_scored, chance_errors):
        return (
            f"The labels do not follow from the sentences, as far as {findings.model} shows: {issues} labels look "
            f"wrong, and always answering the most frequent label would be wrong for {chance_errors:,}, {_CHECK_ROWS}"
        )
    return None
