"""Read tables that are Python objects: data frames, Arrow tables, dictionaries, lists of rows and data sets.

table_of            returns the table of an object
is_table_dict       returns whether an object is a dictionary of tables, such as a `DatasetDict`
choose_split        takes the table of a split from a dictionary of tables
check_no_transform  raises an error for a data set with a transform
to_dataset          converts an object to a `datasets.Dataset`, for the trainer
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from tercet._texts import has_order, is_missing_value
from tercet.data.columns.labelled import find_labelled_columns
from tercet.data.columns.names import TRIPLET_COLUMNS, is_first_choice
from tercet.data.tables.dataset_columns import texts_of
from tercet.data.tables.table import Columns, Table, repeated_column
from tercet.errors import DataError, listed, short_repr

if TYPE_CHECKING:
    from datasets import ClassLabel, Dataset

logger = logging.getLogger(__name__)

SUPPORTED = (
    "a datasets.Dataset, a pandas, polars or Arrow table, a dictionary of columns, or a list of (text, label) pairs or "
    "of dictionaries"
)


class ArrowTable(Protocol):
    """A table with the Arrow stream interface, such as a data frame of pandas or polars."""

    def __arrow_c_stream__(self, requested_schema: object = None) -> object: ...


def table_of(data: Any, source: str, also: str = "") -> Table:
    """Return the table of an object. Its columns are read when they are used.

    Args:
        data: a `datasets.Dataset`, a pandas data frame, an object with the Arrow stream interface (polars, pyarrow), a
            dictionary of columns, a list of dictionaries, of (text, label) pairs, or of (anchor, positive, negative).
        source: the name of the data in messages.
        also: what else the caller takes, for the message about an unsupported type.

    Raises:
        DataError: `data` is no such object, has no rows, or its columns or rows have different lengths.

    Example:
        >>> table_of([("a goal", "sport"), ("a soup", "food")], "data").columns["label"]
        ['sport', 'food']
    """
    table = _table_of(data, source)
    if table is None:
        raise DataError(f"{source} of type {type(data).__name__} are not supported; pass {also}{SUPPORTED}")
    if len(table) == 0:
        names = f", only the columns {listed(table.columns)}" if table.columns else ""
        raise DataError(f"{source} has no rows{names}; check how it was loaded or split")
    return table


def _table_of(data: Any, source: str) -> Table | None:
    if is_table_dict(data):
        raise DataError(
            f"{source} is a {type(data).__name__} of several tables ({listed(data)}); pass one of them, such as "
            f"data[{next(iter(data))!r}]"
        )
    if hasattr(data, "column_names") and hasattr(data, "with_format") and hasattr(data, "__len__"):
        return _of_dataset(data, source)
    if hasattr(data, "iloc") and hasattr(data, "columns"):  # a data frame of pandas
        return _of_columns([(name, data.iloc[:, place]) for place, name in enumerate(data.columns)], source)
    if hasattr(data, "__arrow_c_stream__") and _is_table(data):
        import pyarrow

        arrow = pyarrow.table(data)
        return _of_columns(list(zip(arrow.column_names, arrow.columns, strict=True)), source)
    if isinstance(data, Mapping):
        return _of_columns(list(data.items()), source)
    if isinstance(data, (list, tuple)):
        return _of_rows(data, source)
    return None


def _of_dataset(dataset: "Dataset", source: str) -> Table:
    """Return the columns of a data set. A `ClassLabel` column contains label names, and None for missing labels."""
    from datasets import ClassLabel

    plain = dataset.with_format(None)

    def read(name: str, rows: "Dataset" = plain) -> Sequence[Any]:
        values, feature = texts_of(rows, name), plain.features[name]
        of_items = getattr(feature, "feature", None)
        if isinstance(of_items, ClassLabel):  # A list of classes in each row.
            return [None if ids is None else [_label_name(of_items, label) for label in ids] for ids in values]
        if isinstance(feature, ClassLabel):
            return [_label_name(feature, label) for label in values]
        return values

    def read_rows(name: str, rows: Sequence[int]) -> Sequence[Any]:
        feature = plain.features[name]
        if hasattr(getattr(feature, "feature", feature), "decode_example"):
            raise DataError(f"{source}: the column {short_repr(name)} has values of the type {type(feature).__name__}")
        return read(name, plain.select(rows))

    return Table(source, Columns(plain.column_names, read, len(plain), read_rows=read_rows))


def _label_name(feature: "ClassLabel", label: int | None) -> str | None:
    # Data sets of the hub contain -1 or None where a label is not published.
    return None if label is None or label < 0 else feature.names[label]


def _of_columns(columns: list[tuple[Any, Any]], source: str) -> Table:
    by_name: dict[str, Any] = {}
    for name, values in columns:
        by_name.setdefault(str(name), values)
    names = [str(name) for name, _ in columns]

    def read(name: str) -> list[Any]:
        if names.count(name) > 1:
            raise repeated_column(source, name)
        return _listed(by_name[name])

    if invalid := [name for name, values in by_name.items() if not has_order(values)]:
        kind = type(by_name[invalid[0]]).__name__
        raise DataError(
            f"{source}: column {short_repr(invalid[0])} is no list of values but a {kind}; pass one value per row, in "
            "the order of the rows"
        )
    lengths = {name: len(values) for name, values in by_name.items()}
    if len(set(lengths.values())) > 1:
        shown = listed([f"{name}: {length}" for name, length in lengths.items()], 6)
        raise DataError(f"{source}: the columns have different numbers of rows ({shown})")
    return Table(source, Columns(by_name, read, next(iter(lengths.values()), 0)))


def _listed(values: Any) -> list[Any]:
    """Return the values of a list, an array, a tensor or a column as a list of plain Python values."""
    for method in ("to_pylist", "to_list", "tolist"):
        if hasattr(values, method):
            return list(getattr(values, method)())
    return list(values)


def _of_rows(rows: Sequence[Any], source: str) -> Table:
    """Return the table of a list of dictionaries, pairs or triplets."""
    if not rows:
        return Table(source, {})
    if hasattr(rows[0], "_asdict"):  # a named tuple, such as of itertuples
        rows = [row._asdict() if hasattr(row, "_asdict") else row for row in rows]
    if isinstance(rows[0], Mapping):
        names = dict.fromkeys(name for row in rows if isinstance(row, Mapping) for name in row)
        kind, size = "a dictionary", None
    else:
        size = len(rows[0]) if isinstance(rows[0], (list, tuple)) else 0
        kind = f"a row of {size} values" if size else ""
        names = dict.fromkeys(TRIPLET_COLUMNS if size == 3 else ("text", "label"))
    if not kind or size not in (None, 2, 3):
        raise DataError(
            f"{source} is a list whose first row is {short_repr(rows[0])}; rows must be (text, label) pairs, (anchor, "
            "positive, negative) triplets, or dictionaries"
        )
    for number, row in enumerate(rows):
        if not isinstance(row, Mapping if size is None else (list, tuple)) or (size is not None and len(row) != size):
            raise DataError(f"{source}, row {number}: expected {kind} as in row 0, got {short_repr(row)}")
    if size is None:
        return _of_columns([(name, [row.get(name) for row in rows]) for name in names], source)
    return _of_columns(list(zip(names, zip(*rows, strict=True), strict=True)), source)


def is_table_dict(data: Any) -> bool:
    """Return whether an object is a dictionary of tables, such as a `DatasetDict`, and no dictionary of columns."""
    return isinstance(data, Mapping) and any(map(_is_table, data.values()))


def _is_table(data: Any) -> bool:
    # A column of any library has none of these attributes.
    return isinstance(data, Mapping) or hasattr(data, "column_names") or hasattr(data, "columns")


def choose_split(data: Any, split: str) -> Any:
    """Return the table of a split if `data` is a dictionary of tables, else `data`.

    Raises:
        DataError: the dictionary has no such split.
    """
    if not is_table_dict(data):
        return data
    if split not in data:
        raise DataError(f"data has the splits {listed(data)}, but no split {short_repr(split)}; pass another split")
    return data[split]


def check_no_transform(data: Any, source: str) -> None:
    """Raise `DataError` if `data` is a data set with a transform (`set_transform`), which is applied by row only."""
    form = getattr(data, "format", None)
    if hasattr(data, "with_format") and isinstance(form, dict) and form.get("type") == "custom":
        raise DataError(
            f"{source} has a transform (set_transform or with_transform), which only SentenceTransformerTrainer "
            "applies; write its result into the data with data.map(…), or remove it with data.with_format(None)"
        )


def to_dataset(data: Any, source: str) -> "Dataset":
    """Return a table as a `datasets.Dataset`. A `Dataset` is returned as it is.

    Missing values are None. A column without a common type, such as one with strings and lists, is left out if the
    usual names of other columns show which ones to use.

    Raises:
        DataError: as for `table_of`; or a column that may be used has values of several types.
    """
    from datasets import Dataset

    if isinstance(data, Dataset):
        return data
    table = table_of(data, source)
    columns: dict[str, Any] = {}
    refused: dict[str, str] = {}
    for name in table.columns:
        values = [None if is_missing_value(value) else value for value in table.columns[name]]
        try:
            Dataset.from_dict({name: values})
        except Exception as error:  # pyarrow raises several types
            refused[name] = str(error).split("\n")[0]
        else:
            columns[name] = values
    used = list(refused) if not _are_named(columns) else [name for name in refused if is_first_choice(name)]
    if used:
        raise DataError(
            f"{source}: the values of column {short_repr(used[0])} have no common type ({refused[used[0]]}); "
            "convert all values to one type, or drop the column"
        )
    if refused:
        logger.warning(f"{source}: not used: {listed(refused)}, because the values have no common type")
    return Dataset.from_dict(columns)


def _are_named(columns: Iterable[str]) -> bool:
    """Return whether exactly one text column and one label column, or the three of triplets, have a usual name."""
    if set(TRIPLET_COLUMNS) <= {name.strip().lower() for name in columns}:
        return True
    try:
        find_labelled_columns(columns, "")
    except DataError:
        return False
    return True
