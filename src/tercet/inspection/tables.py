"""An inspection in words: the rows of its tables, for the screen and the report alike."""

from collections.abc import Sequence

from tercet.inspection.batches import BatchFacts
from tercet.inspection.inspection import ModelFacts
from tercet.inspection.lengths import Lengths
from tercet.inspection.texts import TextFacts

# Row numbers that stand in a cell beside their count.
FEW = 5


def text_rows(facts: TextFacts) -> list[tuple[str, str]]:
    """What was counted without a model."""
    labels = facts.labels
    return [
        ("rows", f"{facts.rows:,}"),
        ("labels", f"{labels.count:,}"),
        ("smallest label", _size(labels.smallest)),
        ("median label", f"{labels.median:,g}"),
        ("largest label", _size(labels.largest)),
        ("labels with one sentence", f"{labels.singletons:,}"),
        ("empty texts", _counted(facts.empty)),
        ("copies under the same label", _counted(facts.duplicates)),
        ("texts under two labels or more", f"{len(facts.contradictions):,}"),
    ]


def model_rows(facts: ModelFacts) -> list[tuple[str, str]]:
    """What was counted with a model."""
    lengths = facts.lengths
    rows = [
        ("tokens of a sentence", token_lengths(lengths)),
        ("sentences that are cut", f"{lengths.cut:,} (limit {lengths.limit or 'none'})"),
    ]
    if facts.judged is None:
        return rows
    share = len(facts.suspects) / facts.judged if facts.judged else 0.0
    return [
        *rows,
        ("labels that others dispute", f"{len(facts.suspects):,} of {facts.judged:,} ({share:.1%})"),
        ("pairs of labels with such sentences", f"{len(facts.confusions):,}"),
        ("near copies under two labels", f"{len(facts.near_duplicates):,}"),
    ]


def token_lengths(lengths: Lengths) -> str:
    """How many tokens a sentence has."""
    percentiles = ", ".join(f"{share} % up to {tokens}" for share, tokens in lengths.percentiles.items())
    return f"{lengths.mean:.1f} on average, {percentiles}, longest {lengths.longest:,}"


def active_rows(facts: BatchFacts) -> list[tuple[str, str, list[float]]]:
    """A distance, a kind of triplets, and the shares that are active, by margin."""
    rows = []
    for distance in dict.fromkeys(share.distance for share in facts.active):
        shares = [share for share in facts.active if share.distance == distance]
        rows.append((distance, "all", [share.all_triplets for share in shares]))
        rows.append((distance, "semi-hard", [share.semi_hard for share in shares]))
    return rows


def suggestion_rows(facts: ModelFacts) -> list[tuple[str, str, str]]:
    """Options of `tercet train`, their values, and why."""
    return [
        (found.option, f"{found.value:g}" if isinstance(found.value, (int, float)) else found.value, found.reason)
        for found in facts.suggestions
    ]


def row_numbers(rows: Sequence[int], most: int) -> str:
    """The first `most` rows of a list."""
    return ", ".join(map(str, rows[:most])) + (", …" if len(rows) > most else "")


def first_of(title: str, number: int, shown: int) -> str:
    """A title that says how much of a list stands under it, if not all."""
    return f"{title} (the first {shown} of {number:,})" if number > shown else title


def _size(label: tuple[str, int] | None) -> str:
    return "–" if label is None else f"{label[1]:,} ({label[0]})"


def _counted(rows: Sequence[int]) -> str:
    return f"{len(rows):,} (row {row_numbers(rows, FEW)})" if rows else "0"
