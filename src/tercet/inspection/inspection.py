"""All of it, put together: labelled sentences, and a model if there is one → one `Inspection`."""

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from tercet.data.labels import LabelledSentences, check_trainable
from tercet.errors import DataError, ModelError
from tercet.inspection.batches import BatchFacts, Suggestion, batch_facts, suggestions
from tercet.inspection.confusion import confused_labels, near_copies
from tercet.inspection.label_issues.folds import deal_folds
from tercet.inspection.label_issues.neighbours import centred
from tercet.inspection.label_issues.score import FOLDS, score_labels
from tercet.inspection.lengths import Lengths, count_tokens, length_facts
from tercet.inspection.texts import TextFacts, text_facts, text_keys

if TYPE_CHECKING:
    from tercet.encoder.sentence_transformer import SentenceTransformer


@dataclass(frozen=True)
class Example:
    """A sentence of the data, by its row, where 0 is the first row of data."""

    row: int
    text: str
    label: str


@dataclass(frozen=True)
class LabelIssue:
    """A sentence whose label is disputed; `score` is the natural logarithm of how much likelier the other label is."""

    row: int
    text: str
    label: str
    suggested_label: str
    score: float


@dataclass(frozen=True)
class Confusion:
    """Two labels: sentences of the first that look like the second, and of the second that look like the first."""

    labels: tuple[str, str]
    disputed: tuple[int, int]
    share: float
    examples: list[Example]


@dataclass(frozen=True)
class NearDuplicate:
    """Two sentences that are all but the same to the model, under two labels."""

    similarity: float
    first: Example
    second: Example


@dataclass(frozen=True)
class ModelFacts:
    """What takes a model.

    Attributes:
        warning: what to know before any of the rest is read, or None.
        judged: sentences whose label could be judged; the others are alone with theirs. None where the model tells
            no sentences apart: then there are no suspects, pairs, batches and suggestions either.
        suspects: sentences whose label is disputed, the most doubtful first.
        batches: None where no batch can hold a triplet.
    """

    model: str
    lengths: Lengths
    warning: str | None
    judged: int | None
    suspects: list[LabelIssue]
    confusions: list[Confusion]
    near_duplicates: list[NearDuplicate]
    batches: BatchFacts | None
    suggestions: list[Suggestion]


@dataclass(frozen=True)
class Inspection:
    """Whether labelled data are fit to train on.

    Attributes:
        source: where the data came from.
        obstacle: why `tercet train` would refuse them, or None.
        with_model: None where no model was given.
    """

    source: str
    texts: TextFacts
    obstacle: str | None
    with_model: ModelFacts | None

    def to_dict(self, most: int | None = None) -> dict[str, Any]:
        """As plain dictionaries, lists, numbers and strings.

        Args:
            most: how many to keep of each list that `counts` names and counts; other lists are whole.
        """
        result = asdict(self)
        counts = result["counts"] = {}
        for part, names in (
            (result["texts"], ("empty", "duplicates", "contradictions")),
            (result["with_model"] or {}, ("suspects", "confusions", "near_duplicates")),
        ):
            for name in names:
                if name in part:
                    counts[name] = len(part[name])
                    part[name] = part[name][:most]
        return result


def inspect_data(
    data: LabelledSentences,
    model: "SentenceTransformer | None" = None,
    *,
    source: str = "the data",
    model_name: str = "the model",
    batch_size: int = 64,
    samples_per_label: int = 4,
    seed: int = 0,
    show_progress_bar: bool = False,
) -> Inspection:
    """Inspect labelled sentences, of which some may be empty; the same seed gives the same result.

    Args:
        source: what to call the data in messages.
        batch_size: P × K of the batches to measure.

    Raises:
        DataError: there is no row.
        ModelError: the model gives embeddings that are not finite, or too large to measure.
    """
    if len(data) == 0:
        raise DataError(f"{source} has no rows")
    label_ids, names = data.label_ids, data.label_names
    facts = text_facts(data.sentences, label_ids, names)
    rows = np.setdiff1d(np.arange(len(data)), facts.empty)
    with_text = data.take(rows)
    inspection = Inspection(source, facts, _obstacle(with_text, source), None)
    if model is None or len(rows) == 0:
        return inspection
    kept = _Kept(rows, with_text.sentences, label_ids[rows], names)
    embeddings = _embeddings(kept, model, model_name, show_progress_bar=show_progress_bar)
    lengths = length_facts(count_tokens(model, kept.texts), model.max_seq_length)
    found = ModelFacts(model_name, lengths, None, None, [], [], [], None, [])
    keys = text_keys(kept.texts)
    # Copies of one text are no fault of the model.
    if len(set(keys)) == 1 or centred(embeddings).any():
        found = _judged(found, kept, keys, embeddings, seed, show_progress_bar=show_progress_bar)
        if inspection.obstacle is None:
            batches = batch_facts(embeddings, kept.label_ids, batch_size, samples_per_label, seed)
            found = replace(found, batches=batches, suggestions=suggestions(batches, embeddings, kept.label_ids))
    return replace(inspection, with_model=replace(found, warning=_warning(found)))


@dataclass(frozen=True)
class _Kept:
    """The sentences with a text: rows of the data `(n,)`, texts, labels `(n,)` by their place in `names`."""

    rows: np.ndarray
    texts: list[str]
    label_ids: np.ndarray
    names: list[str]

    def example(self, place: int) -> Example:
        return Example(int(self.rows[place]), self.texts[place], self.names[self.label_ids[place]])


def _embeddings(kept: _Kept, model: "SentenceTransformer", model_name: str, *, show_progress_bar: bool) -> torch.Tensor:
    """The embeddings of the sentences, `(n, dim)`."""
    embeddings = model.encode(kept.texts, convert_to_tensor=True, show_progress_bar=show_progress_bar)
    assert isinstance(embeddings, torch.Tensor)
    # A distance is at most twice the length of the longer row, and its square must fit in float32.
    broken = (~(2 * embeddings.float()).square().sum(1).isfinite()).nonzero().flatten()
    if len(broken):
        raise ModelError(
            f"{model_name} gives NaN, infinite or far too large values for {len(broken)} of {len(kept.texts)} "
            f"sentences (row {kept.rows[int(broken[0])]} for one); nothing can be told from those"
        )
    return embeddings


def _judged(
    facts: ModelFacts, kept: _Kept, keys: list[str], embeddings: torch.Tensor, seed: int, *, show_progress_bar: bool
) -> ModelFacts:
    """With what embeddings `(n, dim)` tell of the labels; `keys` say which texts are the same."""
    folds, text_numbers = deal_folds(keys, kept.label_ids, FOLDS, seed), np.unique(keys, return_inverse=True)[1]
    device = embeddings.device
    judgements = score_labels(
        embeddings,
        *(torch.from_numpy(part).to(device) for part in (kept.label_ids, folds, text_numbers)),
        show_progress_bar=show_progress_bar,
    )
    suspects = []
    for place in judgements.ranked().tolist():
        at, suggested = kept.example(place), kept.names[int(judgements.suggested[place])]
        suspects.append(LabelIssue(at.row, at.text, at.label, suggested, float(judgements.score[place])))
    confusions = [
        Confusion(
            (kept.names[pair.labels[0]], kept.names[pair.labels[1]]),
            pair.disputed,
            pair.share,
            [kept.example(row) for row in pair.rows],
        )
        for pair in confused_labels(judgements, kept.label_ids)
    ]
    copies = [
        NearDuplicate(pair.similarity, kept.example(pair.rows[0]), kept.example(pair.rows[1]))
        for pair in near_copies(judgements)
    ]
    judged = int((~judgements.score.isnan()).sum())
    return replace(facts, judged=judged, suspects=suspects, confusions=confusions, near_duplicates=copies)


def _warning(facts: ModelFacts) -> str | None:
    """What makes the rest of the facts worth little."""
    if facts.judged is None:
        return f"All sentences are the same to {facts.model}, so it tells nothing of their labels: take another model."
    if 2 * len(facts.suspects) > facts.judged:
        return (
            f"Most labels are disputed ({len(facts.suspects):,} of {facts.judged:,}), so the lists of them say little: "
            "see whether labels and texts belong together (shuffled rows, a wrong column), or try another model."
        )
    return None


def _obstacle(data: LabelledSentences, source: str) -> str | None:
    if len(data) == 0:
        return f"{source} has no row with a text"
    try:
        check_trainable(data.label_ids, data.label_names, source)
    except DataError as error:
        return str(error)
    return None
