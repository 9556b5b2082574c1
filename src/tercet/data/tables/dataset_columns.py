"""Columns of a `datasets.Dataset`, without a copy of their texts.

texts_of        returns a column as a `TextColumn`
integers_of     returns a column as an array of integers
label_ids_of    returns the column `label` of a prepared data set
remember_texts  keeps the column of a data set, so that its texts are hashed once
dataset_of      returns a data set of columns
select_rows     returns some rows of a data set
renamed         returns some columns of a data set under new names
add_labels      adds label ids to a data set of texts
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from uuid import uuid4
from weakref import WeakKeyDictionary

import numpy as np

from tercet.data.tables.column_values import is_text_type
from tercet.data.tables.text_column import TextColumn

if TYPE_CHECKING:
    from datasets import Dataset

# The columns by data set, so that the texts of one are hashed once.
_COLUMNS: "WeakKeyDictionary[Dataset, dict[str, TextColumn]]" = WeakKeyDictionary()


def texts_of(dataset: "Dataset", name: str) -> "TextColumn | list[Any]":
    """Return a column of a data set: a `TextColumn` if it has strings, else a list."""
    known = _COLUMNS.setdefault(dataset, {})
    if name not in known:
        column = dataset.data.column(name)
        if not is_text_type(column.type):
            return list(dataset.with_format(None)[name][:])
        known[name] = TextColumn(column.chunks, None, _rows_of(dataset))
    return known[name]


def integers_of(dataset: "Dataset", name: str) -> np.ndarray | None:
    """Return a column of integers or classes, int64 `(n,)`; None if it has another type, or if a value is missing."""
    import pyarrow

    column = dataset.data.column(name)
    if not pyarrow.types.is_integer(column.type) or pyarrow.types.is_uint64(column.type) or column.null_count:
        return None
    values: np.ndarray = column.to_numpy().astype(np.int64)
    rows = _rows_of(dataset)
    return values if rows is None else values[rows]


def dataset_of(columns: Mapping[str, TextColumn]) -> "Dataset":
    """Return a data set with these columns, which were taken from the same rows. Their values are copied if few."""
    from datasets import concatenate_datasets

    rows = next(iter(columns.values())).rows
    others = [column.rows for column in columns.values()]
    same = all(
        other is rows or (other is not None and rows is not None and np.array_equal(other, rows)) for other in others
    )
    if not same or (rows is not None and all(column.is_small for column in columns.values())):
        return dataset_of({name: column.copy() for name, column in columns.items()})
    whole = concatenate_datasets([_all_rows_of(column, name) for name, column in columns.items()], axis=1)
    dataset = whole if rows is None else _with_rows(whole, rows)
    for name, column in columns.items():
        remember_texts(dataset, name, column)
    return dataset


def _all_rows_of(column: TextColumn, name: str) -> "Dataset":
    """Return a data set with all values of the arrays of a column."""
    import pyarrow
    from datasets import Dataset
    from datasets.table import InMemoryTable, MemoryMappedTable

    values = pyarrow.chunked_array(column.chunks, column.chunks[0].type if column.chunks else pyarrow.string())
    if column.file is not None:  # Worker processes get the name of the file, and map it too.
        table = MemoryMappedTable(pyarrow.table({column.file.name: values}), str(column.file.path))
        return Dataset(table, fingerprint=uuid4().hex).rename_column(column.file.name, name)
    return Dataset(InMemoryTable(pyarrow.table({name: values})), fingerprint=uuid4().hex)


def select_rows(dataset: "Dataset", rows: np.ndarray) -> "Dataset":
    """Return the given rows of a data set, as its method `select` does, but without a Python object per row."""
    before = _rows_of(dataset)
    selected = _with_rows(dataset, rows if before is None else before[rows])
    for name, column in _COLUMNS.get(dataset, {}).items():
        remember_texts(selected, name, column.take(rows))
    return selected


def renamed(dataset: "Dataset", names: Mapping[str, str]) -> "Dataset":
    """Return the columns of texts with these names, under their new names. The texts are not copied.

    Args:
        dataset: a data set.
        names: the new name of each column that is kept, in the order of the result.
    """
    plain = dataset.with_format(None).select_columns(list(names)).rename_columns(dict(names))
    found = plain.select_columns(list(names.values()))
    for old, new in names.items():
        remember_texts(found, new, texts_of(dataset, old))
    return found


def add_labels(texts: "Dataset", label_ids: np.ndarray, feature: Any = None) -> "Dataset":
    """Return a data set with the columns `sentence` and `label`. The texts are not copied.

    Args:
        texts: a data set with the column `sentence`.
        label_ids: int64 `(n,)`, the label of each row.
        feature: the type of the label column; None is that of integers.
    """
    from datasets import Dataset, Value

    rows, whole = _rows_of(texts), texts
    if rows is not None:
        whole = Dataset(texts.data, info=texts.info, fingerprint=uuid4().hex)
        of_all = np.zeros(len(whole), dtype=np.int64)
        of_all[rows] = label_ids
        if not np.array_equal(of_all[rows], label_ids):  # A row that was taken twice has two labels.
            copied = dataset_of({"sentence": TextColumn.of(texts_of(texts, "sentence")).copy()})
            return add_labels(copied, label_ids, feature)
        label_ids = of_all
    labelled = whole.add_column("label", label_ids, new_fingerprint=uuid4().hex, feature=feature or Value("int64"))
    found = labelled if rows is None else _with_rows(labelled, rows)
    remember_texts(found, "sentence", texts_of(texts, "sentence"))
    return found


def label_ids_of(dataset: Any) -> np.ndarray:
    """Return the column `label` of a prepared data set, int64 `(n,)`."""
    found = integers_of(dataset, "label")
    return np.asarray(dataset["label"][:]) if found is None else found


def _with_rows(dataset: "Dataset", rows: np.ndarray) -> "Dataset":
    """Return the given rows of the table of a data set."""
    import pyarrow
    from datasets import Dataset
    from datasets.table import InMemoryTable

    indices = InMemoryTable(pyarrow.table({"indices": pyarrow.array(rows.astype(np.uint64))}))
    return Dataset(dataset.data, info=dataset.info, indices_table=indices, fingerprint=uuid4().hex)


def _rows_of(dataset: "Dataset") -> np.ndarray | None:
    """Return the numbers of the rows of a data set in its table, int64 `(n,)`; None if it has them all in order."""
    indices = dataset._indices
    return None if indices is None else indices.column(0).to_numpy().astype(np.int64)


def remember_texts(dataset: "Dataset", name: str, column: "TextColumn | list[Any]") -> None:
    """Store a column of a data set, with its hashes if they are known, so that they are not computed again."""
    if isinstance(column, TextColumn):
        _COLUMNS.setdefault(dataset, {})[name] = column
