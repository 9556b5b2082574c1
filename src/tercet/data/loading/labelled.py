"""Read labelled sentences: find the columns, clean the rows, number the labels and warn about doubtful ones.

load_labelled  reads one table of labelled sentences
as_dataset     converts `LabelledSentences` to a `datasets.Dataset`
with_lists     returns options for a label column that has lists
"""

import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from tercet._multi_labels import separator_for
from tercet._texts import validate_texts
from tercet.data.cleaning.cleaning import clean_rows
from tercet.data.cleaning.resolving import match_labels
from tercet.data.cleaning.rules import CleaningRules
from tercet.data.columns.content import check_texts_in
from tercet.data.columns.guessing import find_columns
from tercet.data.labels.doubts import warn_of_doubtful_labels
from tercet.data.labels.labelled_sentences import LabelledSentences
from tercet.data.labels.numbering import number_labels
from tercet.data.labels.set_counts import check_several
from tercet.data.reading.options import DEFAULT_OPTIONS, ReadOptions
from tercet.data.reading.selection import name_split, read_data
from tercet.data.tables.cells import plain_values
from tercet.data.tables.column_values import shared_values
from tercet.data.tables.dataset_columns import add_labels, dataset_of
from tercet.data.tables.text_column import TextColumn
from tercet.errors import short_repr

if TYPE_CHECKING:
    from datasets import Dataset

    from tercet.data.reading.sources import Source

logger = logging.getLogger(__name__)

# With fewer rows, a few repeated texts decide whether there are more labels than texts.
_MIN_ROWS_TO_SWAP = 10
_NO_LISTS = {str, int, float, bool, type(None)}


def load_labelled(
    source: "Source",
    options: ReadOptions = DEFAULT_OPTIONS,
    *,
    incomplete: bool = False,
    known_labels: Sequence[str] | None = None,
    known_from: str = "the training data",
    several_labels: bool = False,
) -> LabelledSentences:
    """Read labelled sentences, clean their labels (see `ReadOptions`) and number them. Log unused columns.

    White space around labels is always removed, and their characters are composed (NFC). Such changes, and rows that
    are left out, are warnings of the kind `CHANGED_DATA`.

    Args:
        source: a file, the name of a data set on the hub, a table in memory (see `tercet.data.reading.in_memory`), or a
            table that was read.
        options: the columns and the split to read, and what to do with labels that are probably not what they seem.
        incomplete: whether to keep rows without a text or a label, with the empty string in its place, and labels as
            they are if `options` does not say what to do with them. For an inspection, which counts them.
        known_labels: the label names of other data, such as the training data. A label that differs from one of them
            only in form is an error, or gets its form if `similar_labels` is `merge`.
        known_from: the other data, for messages.
        several_labels: whether the caller takes rows with several labels, so that a column of lists needs no option.

    Raises:
        DataError: `source` cannot be read or has another type, a column is not found, a row is invalid, or `options`
            does not say what to do with the labels. The message names the place.
    """
    table = name_split(read_data(source, options), options)
    text, label = find_columns(table, options.text_column, options.label_name, options.level_columns)
    check_texts_in(table, text, label)
    labels_of_rows = shared_values(table.columns[label])
    _warn_if_swapped(table.columns[text], labels_of_rows, text, label, table.source)
    if several_labels:
        options = with_lists(labels_of_rows, label, table.source, options)
    rules = CleaningRules(table.source, options, table.places, incomplete=incomplete, several_labels=several_labels)
    clean = clean_rows(table.columns[text], labels_of_rows, rules)
    lines = table.places_of(clean.rows)
    label_ids, label_names = number_labels(clean.labels, table.source, lines, allow_empty=incomplete)
    if known_labels is not None:
        labels = [label_names[label_id] for label_id in label_ids]
        matched = match_labels(labels, known_labels, known_from, rules, multi_label=options.multi_label)
        if matched is not labels:
            label_ids, label_names = number_labels(matched, table.source, lines)
    elif options.multi_label is not None:
        check_several(label_names, options.multi_label, table.source)
    validate_texts(clean.texts, table.source, lines, allow_empty=incomplete)
    rows = clean.rows if table.rows is None else np.array(table.rows, dtype=np.int64)[clean.rows]
    data = LabelledSentences(
        clean.texts, label_ids, label_names, rows, (text, label), options.multi_label,
        num_source_rows=len(table) if table.num_source_rows is None else table.num_source_rows,
    )  # fmt: skip
    if not incomplete:
        warn_of_doubtful_labels(data, table.source)
    return data


def with_lists(labels: Sequence[Any], column: str, source: str, options: ReadOptions) -> ReadOptions:
    """Return options with a separator for several labels, if the label column has lists and no option is for them."""
    given = (options.multi_label, options.label_levels, options.combined_labels)
    if set(map(type, labels)) <= _NO_LISTS:  # Fast for the columns of nearly all files.
        return options
    lists = [value for value in plain_values(labels) if isinstance(value, tuple)]
    if not lists or any(option is not None for option in given):
        return options
    logger.info(f"{source}: column {short_repr(column)} has lists, so a row may have several labels")
    return replace(options, multi_label=separator_for(label for value in lists for label in value))


def _warn_if_swapped(texts: Sequence[Any], labels: Sequence[Any], text: str, label: str, source: str) -> None:
    """Warn if most texts repeat and there are more labels than texts: the columns are then probably swapped.

    Fewer than ten rows are too few to decide.
    """
    if len(texts) < _MIN_ROWS_TO_SWAP:
        return
    num_labels = len(set(map(str, labels)))
    different: set[str] = set()
    for text_of_row in texts:
        different.add(str(text_of_row))
        if len(different) >= num_labels or len(different) > len(texts) / 2:
            return
    num_texts = len(different)
    if num_texts:
        logger.warning(
            f"{source}: {len(texts):,} rows have {num_texts:,} different texts (column {short_repr(text)}), but "
            f"{num_labels:,} different labels (column {short_repr(label)}); are the two columns swapped?"
        )


def as_dataset(data: LabelledSentences) -> "Dataset":
    """Convert labelled sentences to a `datasets.Dataset` with the columns `sentence` and `label`.

    The label column is a `ClassLabel` with the ids and the names of `data`.
    """
    from datasets import ClassLabel

    texts = dataset_of({"sentence": TextColumn.of(data.sentences)})
    return add_labels(texts, data.label_ids, ClassLabel(names=data.label_names))
