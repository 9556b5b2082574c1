"""An inspection as tables on standard output."""

from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from tercet.inspection.batches import MARGINS, BatchFacts
from tercet.inspection.inspection import Example, Inspection, ModelFacts
from tercet.inspection.tables import FEW, active_rows, first_of, model_rows, row_numbers, suggestion_rows, text_rows
from tercet.inspection.texts import TextFacts
from tercet.report.text import cut

_SHOWN = 10
_WIDEST = 70


def print_inspection(inspection: Inspection) -> None:
    """Print what there is, a table for each question."""
    console = Console()
    console.print(_pairs("Texts and labels", text_rows(inspection.texts)))
    if inspection.texts.contradictions:
        console.print(_contradictions(inspection.texts))
    if inspection.obstacle:
        console.print(Text(f"Not fit to train on: {inspection.obstacle}", style="bold"))
    facts = inspection.with_model
    if facts is None:
        return
    console.print(_pairs(f"With {facts.model}", model_rows(facts)))
    if facts.warning:
        console.print(Text(facts.warning, style="bold"))
    tables = [_suspects(facts), _confusions(facts), _near_duplicates(facts)]
    if facts.batches is not None:
        tables += [_batches(facts.batches), _suggestions(facts)]
    for table in tables:
        if table.row_count:
            console.print(table)


def _pairs(title: str, rows: Iterable[Sequence[str]]) -> Table:
    table = _table(title, "", "")
    for row in rows:
        table.add_row(*(_line(cell, 2 * _WIDEST) for cell in row))
    return table


def _contradictions(facts: TextFacts) -> Table:
    table = _table(
        first_of("Texts under two labels or more", len(facts.contradictions), _SHOWN), "rows", "text", "labels"
    )
    for found in facts.contradictions[:_SHOWN]:
        names = Text(", ").join(_line(name) for name in found.labels[:FEW])
        more = ", …" if len(found.labels) > FEW else ""
        table.add_row(row_numbers(found.rows, FEW), _line(found.text), Text.assemble(names, more))
    return table


def _suspects(facts: ModelFacts) -> Table:
    title = first_of("Most doubtful labels", len(facts.suspects), _SHOWN)
    table = _table(title, "row", "text", "label", "suggested", "score", right=("row", "score"))
    for found in facts.suspects[:_SHOWN]:
        words = map(_line, (found.text, found.label, found.suggested_label))
        table.add_row(str(found.row), *words, f"{found.score:.2f}")
    return table


def _confusions(facts: ModelFacts) -> Table:
    title = first_of("Labels taken for each other", len(facts.confusions), _SHOWN)
    table = _table(title, "labels", "sentences", "share", "examples", right=("sentences", "share"))
    for found in facts.confusions[:_SHOWN]:
        examples = Text("\n").join(_example(example) for example in found.examples)
        names = Text("\n").join(map(_line, found.labels))
        table.add_row(names, " / ".join(map(str, found.disputed)), f"{found.share:.0%}", examples)
    return table


def _near_duplicates(facts: ModelFacts) -> Table:
    title = first_of("Near copies under two labels", len(facts.near_duplicates), _SHOWN)
    table = _table(title, "similarity", "sentences", right=("similarity",))
    for found in facts.near_duplicates[:_SHOWN]:
        table.add_row(f"{found.similarity:.3f}", Text("\n").join([_example(found.first), _example(found.second)]))
    return table


def _batches(batches: BatchFacts) -> Table:
    title = (
        f"A batch of {batches.batch_size}: {batches.labels:.1f} labels, {batches.valid_triplets:,.0f} triplets "
        "on average; share with a loss above 0, by margin"
    )
    table = _table(title, "distance", "triplets", *(f"{margin:g}" for margin in MARGINS))
    for distance, kind, shares in active_rows(batches):
        table.add_row(distance if kind == "all" else "", kind, *(f"{share:.0%}" for share in shares))
    return table


def _suggestions(facts: ModelFacts) -> Table:
    table = _table("To begin with", "option", "value", "because")
    for row in suggestion_rows(facts):
        table.add_row(*row)
    return table


def _table(title: str, *columns: str, right: tuple[str, ...] = ()) -> Table:
    table = Table(title=Text(title), title_justify="left", show_header=any(columns))
    for name in columns:
        # Labels often differ at their ends alone, so a word that is too long goes on in the next line.
        table.add_column(name, justify="right" if name in right else "left", overflow="fold")
    return table


def _example(example: Example) -> Text:
    return Text.assemble(
        f"{example.row}: ", _line(example.text), ("  [", "dim"), (cut(example.label, _WIDEST), "dim"), ("]", "dim")
    )


def _line(text: str, widest: int = _WIDEST) -> Text:
    """One line of text as it is, without marks that the table would take for its own."""
    return Text(cut(text, widest))
