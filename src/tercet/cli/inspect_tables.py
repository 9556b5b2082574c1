"""An inspection as tables on standard output."""

from rich.console import Console
from rich.table import Table
from rich.text import Text

from tercet.diagnosis.batches import MARGINS
from tercet.diagnosis.inspection import Example, Inspection, ModelFacts
from tercet.diagnosis.lengths import Lengths
from tercet.diagnosis.texts import TextFacts
from tercet.errors import listed

_SHOWN = 10
_WIDEST_TEXT = 70


def print_inspection(inspection: Inspection) -> None:
    """Print what there is, a table for each question."""
    console = Console()
    console.print(_texts(inspection.texts))
    if inspection.texts.contradictions:
        console.print(_contradictions(inspection.texts))
    if inspection.obstacle:
        console.print(Text(f"Not fit to train on: {inspection.obstacle}", style="bold"))
    if inspection.with_model is None:
        return
    facts = inspection.with_model
    console.print(_model(facts))
    for table in (_suspects(facts), _confusions(facts), _near_duplicates(facts), _batches(facts), _suggestions(facts)):
        if table.row_count:
            console.print(table)


def _texts(facts: TextFacts) -> Table:
    table = _table("Texts and labels", "", "")
    labels = facts.labels
    table.add_row("sentences", f"{facts.rows:,}")
    table.add_row("labels", f"{labels.count:,}")
    table.add_row("smallest label", _cut(f"{labels.smallest[1]:,} ({labels.smallest[0]})"))
    table.add_row("median label", f"{labels.median:,g}")
    table.add_row("largest label", _cut(f"{labels.largest[1]:,} ({labels.largest[0]})"))
    table.add_row("labels with one sentence", f"{labels.singletons:,}")
    table.add_row("empty texts", f"{len(facts.empty):,}{_rows(facts.empty)}")
    table.add_row("copies under the same label", f"{len(facts.duplicates):,}{_rows(facts.duplicates)}")
    table.add_row("texts under two labels or more", f"{len(facts.contradictions):,}")
    return table


def _contradictions(facts: TextFacts) -> Table:
    table = _table(_of("Texts under two labels or more", len(facts.contradictions)), "rows", "text", "labels")
    for found in facts.contradictions[:_SHOWN]:
        table.add_row(listed(found.rows), _cut(found.text), _cut(", ".join(found.labels)))
    return table


def _model(facts: ModelFacts) -> Table:
    table = _table(f"With {facts.model}", "", "")
    lengths = facts.lengths
    table.add_row("tokens of a sentence", _lengths(lengths))
    table.add_row("sentences that are cut", f"{lengths.cut:,} (limit {lengths.limit or 'none'})")
    share = len(facts.suspects) / facts.judged if facts.judged else 0.0
    table.add_row("labels that others dispute", f"{len(facts.suspects):,} of {facts.judged:,} ({share:.1%})")
    table.add_row("pairs of labels with such sentences", f"{len(facts.confusions):,}")
    table.add_row("near copies under two labels", f"{len(facts.near_duplicates):,}")
    return table


def _suspects(facts: ModelFacts) -> Table:
    title = _of("Most doubtful labels", len(facts.suspects))
    table = _table(title, "row", "text", "label", "suggested", "score", right=("row", "score"))
    for found in facts.suspects[:_SHOWN]:
        table.add_row(
            str(found.row), _cut(found.text), _cut(found.label), _cut(found.suggested_label), f"{found.score:.2f}"
        )
    return table


def _confusions(facts: ModelFacts) -> Table:
    title = _of("Labels taken for each other", len(facts.confusions))
    table = _table(title, "labels", "sentences", "share", "examples", right=("sentences", "share"))
    for found in facts.confusions[:_SHOWN]:
        examples = Text("\n").join(_example(example) for example in found.examples)
        names = Text("\n").join(_cut(name, 40) for name in found.labels)
        table.add_row(names, "\n".join(map(str, found.disputed)), f"{found.share:.0%}", examples)
    return table


def _near_duplicates(facts: ModelFacts) -> Table:
    title = _of("Near copies under two labels", len(facts.near_duplicates))
    table = _table(title, "similarity", "sentences", right=("similarity",))
    for found in facts.near_duplicates[:_SHOWN]:
        table.add_row(f"{found.similarity:.3f}", Text("\n").join([_example(found.first), _example(found.second)]))
    return table


def _batches(facts: ModelFacts) -> Table:
    batches = facts.batches
    if batches is None:
        return _table("", "")
    title = (
        f"A batch of {batches.batch_size}: {batches.labels:.1f} labels, {batches.valid_triplets:,.0f} triplets "
        "on average; share with a loss above 0, by margin"
    )
    table = _table(title, "distance", "triplets", *(f"{margin:g}" for margin in MARGINS))
    for distance in dict.fromkeys(share.distance for share in batches.active):
        shares = [share for share in batches.active if share.distance == distance]
        table.add_row(distance, "all", *(f"{share.all_triplets:.0%}" for share in shares))
        table.add_row("", "semi-hard", *(f"{share.semi_hard:.0%}" for share in shares))
    return table


def _suggestions(facts: ModelFacts) -> Table:
    table = _table("To begin with", "option", "value", "because")
    for found in facts.suggestions:
        value = f"{found.value:g}" if isinstance(found.value, (int, float)) else found.value
        table.add_row(found.option, value, found.reason)
    return table


def _table(title: str, *columns: str, right: tuple[str, ...] = ()) -> Table:
    table = Table(title=Text(title), title_justify="left", show_header=any(columns))
    for name in columns:
        table.add_column(name, justify="right" if name in right else "left")
    return table


def _lengths(lengths: Lengths) -> str:
    percentiles = ", ".join(f"{share} % up to {tokens}" for share, tokens in lengths.percentiles.items())
    return f"{lengths.mean:.1f} on average, {percentiles}, longest {lengths.longest:,}"


def _example(example: Example) -> Text:
    return Text.assemble(f"{example.row}: ", _cut(example.text), (f"  [{example.label}]", "dim"))


def _of(title: str, number: int) -> str:
    return f"{title} (the first {_SHOWN} of {number:,})" if number > _SHOWN else title


def _rows(rows: list[int]) -> str:
    return f" (row {', '.join(map(str, rows[:5]))}{', …' if len(rows) > 5 else ''})" if rows else ""


def _cut(text: str, widest: int = _WIDEST_TEXT) -> Text:
    """One line of text as it is, without marks that the table would take for its own."""
    line = " ".join("".join(c if c.isprintable() or c.isspace() else "�" for c in text).split())
    return Text(line if len(line) <= widest else f"{line[: widest - 1]}…")
