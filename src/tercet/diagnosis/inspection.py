"""All of it, put together: labelled sentences, and a model if there is one → one `Inspection`."""

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from tercet.data.columns import LabelledSentences, check_labels_teach
from tercet.diagnosis.batches import BatchFacts, Suggestion, batch_facts, suggestions
from tercet.diagnosis.confusion import confused_labels, near_copies
from tercet.diagnosis.folds import deal_folds
from tercet.diagnosis.lengths import Lengths, count_tokens, length_facts
from tercet.diagnosis.suspects import FOLDS, judge_labels
from tercet.diagnosis.texts import TextFacts, text_facts, text_keys
from tercet.errors import DataError, ModelError

if TYPE_CHECKING:
    from tercet.encoder.model import SentenceTransformer


@dataclass(frozen=True)
class Example:
    """A sentence of the data, by its row, where 0 is the first row of data."""

    row: int
    text: str
    label: str


@dataclass(frozen=True)
class Suspect:
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
        judged: sentences whose label could be judged; the others are alone with theirs.
        suspects: sentences whose label is disputed, the most doubtful first.
        batches: None where no batch can hold a triplet.
    """

    model: str
    lengths: Lengths
    judged: int
    suspects: list[Suspect]
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
        """As plain dictionaries, lists, numbers and strings: the first `most` of each list, and all of them counted."""
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
        ModelError: the model gives embeddings that are not finite.
    """
    if len(data) == 0:
        raise DataError(f"{source} has no rows")
    codes, names = _numbered(data)
    facts = text_facts(data.sentences, codes, names)
    kept = np.setdiff1d(np.arange(len(data)), facts.empty)
    inspection = Inspection(source, facts, _obstacle(data.take(kept), source), None)
    if model is None or len(kept) == 0:
        return inspection
    sentences = [data.sentences[row] for row in kept]
    embeddings = model.encode(sentences, convert_to_tensor=True, show_progress_bar=show_progress_bar)
    assert isinstance(embeddings, torch.Tensor)
    broken = (~embeddings.isfinite().all(1)).nonzero().flatten()
    if len(broken):
        raise ModelError(
            f"{model_name} gives NaN or infinite values for {len(broken)} of {len(kept)} sentences (row "
            f"{kept[int(broken[0])]} for one); nothing can be told from those"
        )
    lengths = length_facts(count_tokens(model, sentences), model.max_seq_length)
    found = _model_facts(
        data.sentences, codes, names, kept, embeddings, lengths, model_name, seed, show_progress_bar=show_progress_bar
    )
    if inspection.obstacle is None:
        batches = batch_facts(embeddings, codes[kept], batch_size, samples_per_label, seed)
        found = replace(found, batches=batches, suggestions=suggestions(batches, embeddings, codes[kept]))
    return replace(inspection, with_model=found)


def _model_facts(
    texts: list[str],
    codes: np.ndarray,
    names: list[str],
    kept: np.ndarray,
    embeddings: torch.Tensor,
    lengths: Lengths,
    model_name: str,
    seed: int,
    *,
    show_progress_bar: bool,
) -> ModelFacts:
    """What embeddings of the `kept` rows tell of their labels."""
    keys = text_keys([texts[row] for row in kept])
    folds, text_numbers = deal_folds(keys, codes[kept], FOLDS, seed), np.unique(keys, return_inverse=True)[1]
    device = embeddings.device
    judgements = judge_labels(
        embeddings,
        *(torch.from_numpy(part).to(device) for part in (codes[kept], folds, text_numbers)),
        show_progress_bar=show_progress_bar,
    )

    def example(place: int) -> Example:
        row = int(kept[place])
        return Example(row, texts[row], names[codes[row]])

    suspects = []
    for place in judgements.ranked().tolist():
        at, suggested = example(place), names[int(judgements.suggested[place])]
        suspects.append(Suspect(at.row, at.text, at.label, suggested, float(judgements.score[place])))
    confusions = [
        Confusion(
            (names[pair.labels[0]], names[pair.labels[1]]),
            pair.disputed,
            pair.share,
            [example(row) for row in pair.rows],
        )
        for pair in confused_labels(judgements, codes[kept])
    ]
    copies = [
        NearDuplicate(pair.similarity, example(pair.rows[0]), example(pair.rows[1])) for pair in near_copies(judgements)
    ]
    judged = int((~judgements.score.isnan()).sum())
    return ModelFacts(model_name, lengths, judged, suspects, confusions, copies, None, [])


def _numbered(data: LabelledSentences) -> tuple[np.ndarray, list[str]]:
    """Labels by their place in a list of names, also where they were integers."""
    if data.names is not None:
        return data.codes, data.names
    values, codes = np.unique(data.codes, return_inverse=True)
    return codes, [str(value) for value in values.tolist()]


def _obstacle(data: LabelledSentences, source: str) -> str | None:
    if len(data) == 0:
        return f"{source} has no row with a text"
    try:
        check_labels_teach(data.codes, data.names, source)
    except DataError as error:
        return str(error)
    return None
