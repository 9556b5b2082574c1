"""Find the columns of texts and labels by their names, or else by their values. What is guessed is logged."""

import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from statistics import mean
from typing import Any

from tercet._separators import BETWEEN_LABELS
from tercet._texts import is_missing_value
from tercet.data.columns.labelled import UnclearColumnError, find_labelled_columns, find_text_column
from tercet.data.columns.names import is_index, usual_columns
from tercet.data.tables.table import Table
from tercet.errors import DataError, listed, short_repr

logger = logging.getLogger(__name__)

# Words in the names of columns, such as "clean_text" and "Ticket Type". Those of the first group come first.
_TEXT_WORDS = (
    {"text", "tweet", "description", "body", "message", "comment", "comments", "review", "reviews", "sentence"}
    | {"content", "utterance", "query", "question", "post", "document", "transcript", "complaint", "feedback"}
    | {"narrative", "article", "email"},
    {"subject", "title", "summary", "headline"},
)
_LABEL_WORDS = (
    {"label", "category", "class", "intent", "target", "topic", "tag", "type", "keyword"}
    | {"labels", "categories", "classes", "intents", "targets", "topics", "tags", "types", "keywords"}
    | {"sentiment", "emotion", "genre", "department", "queue"}
    | {"sentiments", "emotions", "genres", "departments", "queues"}
)
_BETWEEN_LABELS = re.compile(f"[{''.join(map(re.escape, BETWEEN_LABELS))}]")
_CHECKED_ROWS = 2000
# A text has several words. Of two columns of texts, one is chosen if its texts are longer by this factor.
_WORDS_OF_A_TEXT = 3
_MUCH_LONGER = 2
# Labels are shorter, and each has several rows.
_ROWS_OF_A_LABEL = 2


def find_columns(
    table: Table, text_column: str | None = None, label_column: str | None = None, levels: Sequence[str] = ()
) -> tuple[str, str]:
    """Return the names of the columns of texts and labels.

    Usual names decide. Without them, a word in a name does, such as in "clean_text" and "Ticket Type"; then the
    values: one column of long texts, and one with few values. If several columns are possible, none is guessed.

    Args:
        table: the table.
        text_column: the name of the text column; None searches for it.
        label_column: the name of the label column; None searches for it.
        levels: the columns that `label_column` was joined from, see `join_label_columns`.

    Raises:
        DataError: as for `find_labelled_columns`.
    """
    try:
        text, label = find_labelled_columns(table.columns, table.source, text_column, label_column)
        guessed = False
    except UnclearColumnError as error:
        stats = _stats(table)
        guessed = True
        if error.role == "text":
            found_text = text_column or _guess_text(stats, error, label_column)
        else:
            found_text = text_column or find_text(table, None, quiet=True)
        found_label = label_column or _named_label(table) or _guess_label(stats, found_text)
        if found_text is None or found_label is None or found_text == found_label:
            raise
        text, label = found_text, found_label
    used = {text, label, *levels, *_parts(text, table)}
    unused = [column for column in table.columns if column not in used and not is_index(column)]
    if unused or guessed or levels:
        rest = f"; not used: {listed(unused)}" if unused else ""
        labels = " → ".join(map(short_repr, levels or [label]))
        logger.info(f"{table.source}: text from {short_repr(text)}, labels from {labels}{rest}")
        also = [name for name in unused if any(_words(name) & words for words in _TEXT_WORDS)]
        if text_column is None and also and _words(text) & set().union(*_TEXT_WORDS):
            logger.info(f"{table.source}: to join columns of texts, pass text_column={','.join([text, also[0]])!r}")
    return text, label


def find_text(table: Table, text_column: str | None = None, *, quiet: bool = False) -> str:
    """Return the name of the column of texts. A guess is logged unless `quiet`; see `find_columns`.

    Raises:
        DataError: as for `find_text_column`.
    """
    try:
        return find_text_column(table.columns, table.source, text_column)
    except UnclearColumnError as error:
        found = _guess_text(_stats(table), error, None)
        if found is None:
            raise
        if not quiet:
            logger.info(f"{table.source}: text from {short_repr(found)}; for another column, pass text_column")
        return found


def is_text_name(name: str) -> bool:
    """Return whether a value is surely the name of a column of texts: a usual one, or a compound without spaces.

    Example:
        >>> is_text_name("Text"), is_text_name("clean_text"), is_text_name("email"), is_text_name("where is my text")
        (True, True, False, False)
    """
    compound = len(name.split()) == 1 and len(_words(name)) > 1
    return bool(usual_columns([name], "text")) or (compound and any(_words(name) & words for words in _TEXT_WORDS))


@dataclass(frozen=True)
class _Stats:
    """Facts on the values of a column.

    Attributes:
        name: the name of the column.
        words: the words of its name.
        mean_words: the mean number of words of a value.
        is_label: whether the values are few short ones, or lists of such, or such with separators between them.
    """

    name: str
    words: frozenset[str]
    mean_words: float
    is_label: bool

    @property
    def is_text(self) -> bool:
        return self.mean_words >= _WORDS_OF_A_TEXT and not self.is_label


def _stats(table: Table) -> list[_Stats]:
    found = []
    for name in table.columns:
        try:
            some = islice(table.columns[name], _CHECKED_ROWS)
            values: list[Any] = [value for value in some if not is_missing_value(value) and value != ""]
        except DataError:  # a column that cannot be read
            continue
        texts = [value if isinstance(value, str) else str(value) for value in values]
        if texts:
            words = frozenset(_words(name))
            # The parts of a cell are labels if the name says so, or if it is a list.
            parts = _labels_in(values, split=bool(words & _LABEL_WORDS))
            is_label = _are_labels(texts) or (parts != texts and _are_labels(parts))
            found.append(_Stats(name, words, mean(len(text.split()) for text in texts), is_label))
    return found


def _labels_in(values: list[Any], *, split: bool) -> list[str]:
    """Return the items of cells that are lists, the parts of other cells if `split`, or else the cells."""
    found: list[str] = []
    for value in values:
        if isinstance(value, list | tuple):
            found += map(str, value)
        else:
            found += [part.strip() for part in _BETWEEN_LABELS.split(str(value))] if split else [str(value)]
    return found


def _are_labels(values: list[str]) -> bool:
    """Return whether these are few values with few words."""
    num_values = len(set(values))
    few = num_values > 1 and len(values) / num_values >= _ROWS_OF_A_LABEL
    return few and mean(len(value.split()) for value in values) < _WORDS_OF_A_TEXT


def _guess_text(stats: list[_Stats], error: UnclearColumnError, label: str | None) -> str | None:
    if error.role == "text" and error.found:  # several have a usual name
        return None
    stats = [column for column in stats if column.name != label and column.is_text]
    named = next((found for words in _TEXT_WORDS if (found := [c for c in stats if c.words & words])), stats)
    ordered = sorted(named, key=lambda column: -column.mean_words)
    if not ordered or (len(ordered) > 1 and ordered[0].mean_words < _MUCH_LONGER * ordered[1].mean_words):
        return None
    return ordered[0].name


def _named_label(table: Table) -> str | None:
    """Return the only column with a usual name of labels."""
    try:
        return find_labelled_columns([*table.columns, "\0"], table.source, "\0")[1]
    except DataError:
        return None


def _guess_label(stats: list[_Stats], text: str | None) -> str | None:
    stats = [column for column in stats if column.name != text and column.is_label]
    whole = [column for column in stats if len(column.words) == 1 and column.words & _LABEL_WORDS]
    named = [column for column in stats if column.words & _LABEL_WORDS]
    found = whole or named or stats
    return found[0].name if len(found) == 1 else None


def _words(name: str) -> set[str]:
    return set(re.findall(r"[^\W\d_]+", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower()))


def _parts(text: str, table: Table) -> list[str]:
    """Return the columns that a joined column of texts consists of, such as "title,body"."""
    return [part.strip() for part in text.split(",") if part.strip() in table.columns]
