"""The report of `tercet inspect`: the tables of the screen, longer, and figures beside them."""

from pathlib import Path

from tercet.inspection.batches import BatchFacts
from tercet.inspection.inspection import Example, Inspection, ModelFacts
from tercet.inspection.tables import (
    FEW,
    active_rows,
    first_of,
    model_rows,
    row_numbers,
    suggestion_rows,
    text_rows,
)
from tercet.inspection.texts import TextFacts
from tercet.report import plots as figures
from tercet.report.page import Part, Section, Table, write_page
from tercet.report.text import labelled

_LABELS_SHOWN = 30
_ROWS_SHOWN = 200
# More would not fit into a cell.
_ROWS_OF_A_TEXT = 20


def write_inspection_report(path: Path, inspection: Inspection) -> None:
    """Write an inspection as one HTML file."""
    facts = inspection.with_model
    told = [f"Not fit to train on: {inspection.obstacle}"] if inspection.obstacle else []
    told += [facts.warning] if facts and facts.warning else []
    sections = [Section("Texts and labels", [*told, *_texts(inspection.texts)])]
    if facts:
        sections.append(Section("Lengths", _lengths(facts)))
    if facts and facts.judged is not None:
        sections += [
            Section("Doubtful labels", _suspects(facts, facts.judged)),
            Section("Labels taken for each other", _confusions(facts)),
            Section("Near copies under two labels", _near_copies(facts)),
        ]
    if facts and facts.batches is not None:
        sections.append(Section("What batches would hold", _batches(facts.batches)))
        because = Table("Settings of tercet train", ["option", "value", "because"], suggestion_rows(facts))
        sections.append(Section("To begin with", [because]))
    write_page(path, f"Inspection of {inspection.source}", sections)


def _texts(facts: TextFacts) -> list[Part]:
    labels = facts.labels
    parts: list[Part] = [Table("Counts (row 0 is the first row of data)", ["", ""], text_rows(facts))]
    for what, rows in (("Empty texts", facts.empty), ("Copies under the same label", facts.duplicates)):
        if len(rows) > FEW:
            parts.append(f"{what}: row {row_numbers(rows, _ROWS_SHOWN)}")
    if shown := labels.sizes[:_LABELS_SHOWN]:
        caption = "all labels" if len(shown) == labels.count else f"the {len(shown)} largest of {labels.count:,} labels"
        names, sizes = zip(*shown, strict=True)
        parts += [f"Sentences of {caption}.", figures.bars(names, sizes, "sentences")]
    if facts.contradictions:
        title = first_of("Texts under two labels or more", len(facts.contradictions), _ROWS_SHOWN)
        found = [
            [row_numbers(c.rows, _ROWS_OF_A_TEXT), c.text, ", ".join(c.labels)]
            for c in facts.contradictions[:_ROWS_SHOWN]
        ]
        parts.append(Table(title, ["rows", "text", "labels"], found))
    return parts


def _lengths(facts: ModelFacts) -> list[Part]:
    first = 0
    names, counts = [], []
    for upper, count in facts.lengths.histogram:
        names.append(f"{first + 1} to {upper} tokens")
        counts.append(count)
        first = upper
    return [
        Table(f"With {facts.model}", ["", ""], model_rows(facts)),
        "Sentences by the number of their tokens.",
        figures.bars(names, counts, "sentences"),
    ]


def _suspects(facts: ModelFacts, judged: int) -> list[Part]:
    rows = [[str(s.row), s.text, s.label, s.suggested_label, f"{s.score:.2f}"] for s in facts.suspects[:_ROWS_SHOWN]]
    if not rows:
        return ["No label is disputed." if judged else "No label could be judged."]
    columns = ["row", "text", "label", "suggested", "score"]
    return [
        f"{len(facts.suspects):,} of {judged:,} labels are disputed by the other sentences, as {facts.model} "
        "sees them. The score is the natural logarithm of how much likelier the other label is.",
        Table(first_of("The most doubtful first", len(facts.suspects), _ROWS_SHOWN), columns, rows, frozenset({0, 4})),
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
    return [
        Table(first_of("Most sentences first", len(facts.confusions), _ROWS_SHOWN), columns, rows, frozenset({1, 2}))
    ]


def _near_copies(facts: ModelFacts) -> list[Part]:
    rows = [[f"{n.similarity:.3f}", _example(n.first), _example(n.second)] for n in facts.near_duplicates[:_ROWS_SHOWN]]
    if not rows:
        return ["There are none."]
    columns = ["similarity", "sentence", "sentence"]
    title = first_of("The most similar first", len(facts.near_duplicates), _ROWS_SHOWN)
    return [Table(title, columns, rows, frozenset({0}))]


def _batches(facts: BatchFacts) -> list[Part]:
    shares = {
        f"{distance}, {'all triplets' if kind == 'all' else kind}": values
        for distance, kind, values in active_rows(facts)
    }
    margins = sorted({share.margin for share in facts.active})
    return [
        f"Of {facts.epoch:,} batches of {facts.batch_size} in an epoch, {facts.drawn:,} were drawn: on average "
        f"{facts.labels:.1f} labels and {facts.valid_triplets:,.0f} triplets. At each margin, the share with a loss "
        "above 0:",
        figures.active_by_margin(margins, shares),
    ]


def _example(example: Example) -> str:
    return f"{example.row}: {labelled(example.text, example.label)}"
