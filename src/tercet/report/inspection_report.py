"""The report of `tercet inspect`: the tables of the screen, longer, and figures beside them."""

from collections.abc import Sequence
from pathlib import Path

from tercet.diagnosis.batches import DISTANCES, BatchFacts
from tercet.diagnosis.inspection import Example, Inspection, ModelFacts
from tercet.diagnosis.texts import TextFacts
from tercet.report import figures
from tercet.report.page import Part, Section, Table, write_page
from tercet.report.text import labelled

_LABELS_SHOWN = 30
_ROWS_SHOWN = 200


def write_inspection_report(path: Path, inspection: Inspection) -> None:
    """Write an inspection as one HTML file."""
    sections = [Section("Texts and labels", _texts(inspection.texts, inspection.obstacle))]
    if facts := inspection.with_model:
        sections += [
            Section("Lengths", _lengths(facts)),
            Section("Doubtful labels", _suspects(facts)),
            Section("Labels taken for each other", _confusions(facts)),
            Section("Near copies under two labels", _near_copies(facts)),
        ]
        if facts.batches is not None:
            sections.append(Section("What batches would hold", _batches(facts.batches)))
            sections.append(Section("To begin with", [_suggestions(facts)]))
    write_page(path, f"Inspection of {inspection.source}", sections)


def _texts(facts: TextFacts, obstacle: str | None) -> list[Part]:
    labels = facts.labels
    rows = [
        ["sentences", f"{facts.rows:,}"],
        ["labels", f"{labels.count:,}"],
        ["smallest label", f"{labels.smallest[1]:,} ({labels.smallest[0]})"],
        ["median label", f"{labels.median:,g}"],
        ["largest label", f"{labels.largest[1]:,} ({labels.largest[0]})"],
        ["labels with one sentence", f"{labels.singletons:,}"],
        ["empty texts", _counted(facts.empty)],
        ["copies under the same label", _counted(facts.duplicates)],
        ["texts under two labels or more", f"{len(facts.contradictions):,}"],
    ]
    parts: list[Part] = [f"Not fit to train on: {obstacle}"] if obstacle else []
    parts += [Table("Counts (row 0 is the first row of data)", ["", ""], rows)]
    shown = labels.sizes[:_LABELS_SHOWN]
    caption = "all labels" if len(shown) == labels.count else f"the {len(shown)} largest of {labels.count:,} labels"
    names, sizes = zip(*shown, strict=True)
    parts += [f"Sentences of {caption}.", figures.bars(names, sizes, "sentences")]
    if facts.contradictions:
        found = [[_rows(c.rows), c.text, ", ".join(c.labels)] for c in facts.contradictions[:_ROWS_SHOWN]]
        parts.append(
            Table(_of("Texts under two labels or more", len(facts.contradictions)), ["rows", "text", "labels"], found)
        )
    return parts


def _lengths(facts: ModelFacts) -> list[Part]:
    lengths = facts.lengths
    limit = f"{lengths.cut:,} are longer than the limit of {lengths.limit} tokens and are cut" if lengths.limit else ""
    percentiles = ", ".join(f"{share} % up to {tokens}" for share, tokens in lengths.percentiles.items())
    first = 0
    names, counts = [], []
    for upper, count in lengths.histogram:
        names.append(f"{first + 1} to {upper} tokens")
        counts.append(count)
        first = upper
    return [
        f"{lengths.mean:.1f} tokens on average, {percentiles}, the longest {lengths.longest:,}. {limit}",
        figures.bars(names, counts, "sentences"),
    ]


def _suspects(facts: ModelFacts) -> list[Part]:
    rows = [[str(s.row), s.text, s.label, s.suggested_label, f"{s.score:.2f}"] for s in facts.suspects[:_ROWS_SHOWN]]
    if not rows:
        return ["No label is disputed."]
    columns = ["row", "text", "label", "suggested", "score"]
    return [
        f"{len(facts.suspects):,} of {facts.judged:,} labels are disputed by the other sentences, as {facts.model} "
        "sees them. The score is the natural logarithm of how much likelier the other label is.",
        Table(_of("The most doubtful first", len(facts.suspects)), columns, rows, frozenset({0, 4})),
    ]


def _confusions(facts: ModelFacts) -> list[Part]:
    rows: list[list[str]] = []
    for found in facts.confusions[:_ROWS_SHOWN]:
        for at, example in enumerate(found.examples):
            pair = [" / ".join(found.labels), " / ".join(map(str, found.disputed)), f"{found.share:.0%}"]
            rows.append([*(pair if at == 0 else ["", "", ""]), _example(example)])
    if not rows:
        return ["No two labels are taken for each other."]
    columns = ["labels", "sentences", "share", "example"]
    return [Table(_of("Most sentences first", len(facts.confusions)), columns, rows, frozenset({1, 2}))]


def _near_copies(facts: ModelFacts) -> list[Part]:
    rows = [[f"{n.similarity:.3f}", _example(n.first), _example(n.second)] for n in facts.near_duplicates[:_ROWS_SHOWN]]
    if not rows:
        return ["There are none."]
    columns = ["similarity", "sentence", "sentence"]
    return [Table(_of("The most similar first", len(facts.near_duplicates)), columns, rows, frozenset({0}))]


def _batches(facts: BatchFacts) -> list[Part]:
    shares: dict[str, list[float]] = {}
    for distance in DISTANCES:
        of_it = [share for share in facts.active if share.distance == distance]
        shares[f"{distance}, all triplets"] = [share.all_triplets for share in of_it]
        shares[f"{distance}, semi-hard"] = [share.semi_hard for share in of_it]
    margins = sorted({share.margin for share in facts.active})
    return [
        f"Of {facts.epoch:,} batches of {facts.batch_size} in an epoch, {facts.drawn:,} were drawn: on average "
        f"{facts.labels:.1f} labels and {facts.valid_triplets:,.0f} triplets. At each margin, the share with a loss "
        "above 0:",
        figures.active_by_margin(margins, shares),
    ]


def _suggestions(facts: ModelFacts) -> Table:
    rows = [
        [s.option, f"{s.value:g}" if isinstance(s.value, (int, float)) else s.value, s.reason]
        for s in facts.suggestions
    ]
    return Table("Settings of tercet train", ["option", "value", "because"], rows)


def _example(example: Example) -> str:
    return f"{example.row}: {labelled(example.text, example.label)}"


def _counted(rows: Sequence[int]) -> str:
    return f"{len(rows):,} (row {_rows(rows)})" if rows else "0"


def _rows(rows: Sequence[int]) -> str:
    return ", ".join(map(str, rows[:5])) + (", …" if len(rows) > 5 else "")


def _of(title: str, number: int) -> str:
    return f"{title} ({_ROWS_SHOWN} of {number:,})" if number > _ROWS_SHOWN else title
