"""The options of reading labelled data."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import wraps
from typing import Any, ParamSpec, TypedDict, TypeVar, get_args

from tercet._nested_labels import separator_of
from tercet._separators import check_separator
from tercet.errors import DataError, did_you_mean, listed, short_repr

P = ParamSpec("P")
R = TypeVar("R")

COMBINED_LABELS = ("keep", "first", "drop")
SIMILAR_LABELS = ("merge", "keep")
# The fraction of the rows of each label, or of all triplets, that is held out for evaluation.
DEFAULT_EVAL_FRACTION = 0.2


class FileArguments(TypedDict, total=False):
    """More arguments of functions that read data, see `ReadOptions`."""

    csv_separator: str | None
    encoding: str | None
    split_column: str | None
    limit: int | None
    sample: int | None
    label_file: str | None


def takes_file_arguments(function: Callable[P, R]) -> Callable[P, R]:
    """Decorate a function that has `**reading: Unpack[FileArguments]`. Any other argument is a `TypeError`.

    The message names the argument that was probably meant, or the class of `settings` if that has it.
    """
    parameters = inspect.signature(function).parameters
    known = [name for name, found in parameters.items() if found.kind is not found.VAR_KEYWORD]
    known += FileArguments.__annotations__

    @wraps(function)
    def checked(*args: P.args, **kwargs: P.kwargs) -> R:
        for name in kwargs:
            if name not in known:
                hint = _argument_of_settings(name, parameters) or _similar_argument(name, known)
                raise TypeError(f"{function.__name__}() has no argument {name!r}{hint}")
        return function(*args, **kwargs)

    return checked


def _argument_of_settings(name: str, parameters: Mapping[str, inspect.Parameter]) -> str:
    """Return how to pass an argument that is a field of the dataclass of `settings`; "" if it is none."""
    kinds = get_args(parameters["settings"].annotation) if "settings" in parameters else ()
    found = [kind for kind in kinds if isinstance(kind, type) and name in getattr(kind, "__dataclass_fields__", ())]
    return f"; pass settings={found[0].__name__}({name}=…)" if found else ""


def _similar_argument(name: str, known: Sequence[str]) -> str:
    hint = did_you_mean(name, known).rstrip()
    return f"; {hint}" if hint else ""


@dataclass(frozen=True)
class ReadOptions:
    """The options for reading a table and for resolving odd labels.

    Args:
        text_column: the column of sentences, or several with commas, such as "title,body", whose texts are joined by
            line breaks; None takes the column with a usual name, such as `text` or `sentence`, or else guesses it.
        label_column: the column of labels, or several columns with the levels of nested labels, the coarsest first;
            None takes the column with a usual name, such as `label` or `intent`, or else guesses it.
        split: the split of a data set on the hub, of a dictionary, or of a file or folder with splits; or the value in
            `split_column`. Data without splits are read as a whole, see `optional_split`.
        header: whether the first line of a .csv, .tsv or .xlsx file contains the column names. If False, the columns
            are named "0", "1" and so on. None decides by the line.
        combined_labels: what to do with cells that contain several labels, such as "billing|refund": `keep` uses each
            combination as a label of its own, `first` uses the first label, `drop` leaves the rows out. None raises an
            error.
        similar_labels: what to do with labels that differ only in case, spaces, punctuation or form of a number,
            such as "Billing" and "billing": `merge` uses the most frequent form, `keep` keeps them apart. None raises
            an error.
        drop_missing: what to do with rows without a text or a label: None leaves them out with a warning, or counts
            them in an inspection; True leaves them out everywhere; False is an error.
        csv_separator: the separator of the columns of a text file, such as ";" or "tab". None finds it.
        encoding: the encoding of a text file, such as "cp1252". None finds it.
        split_column: the column with the name of each row's split; only the rows of `split` are read. A training
            evaluates on those of `validation` (or `valid`, `val`, `dev`, `eval`), else `test`.
        limit: the maximum number of rows to read, from the first one.
        sample: the maximum number of rows to read, chosen at random, the same ones each time.
        label_file: a file with the label of each row, in the same order, such as a .txt file with one per line.
        label_levels: the separator of the levels of nested labels, such as "/" in "billing/refund"; None for labels
            without levels. With several label columns, None is "/".
        multi_label: the separator of the labels of a row, such as ";" in "billing;refund"; None for one label per row.
            A list in a cell has one label in each element.
        optional_split: a value of `split` that the data need not have. If the data have no splits and `split` has this
            value, all rows are read without a message. Otherwise 'train' and 'test' log a warning, and any other value
            is an error.

    Raises:
        DataError: `combined_labels` or `similar_labels` has another value, `label_levels` or `multi_label` is no
            separator, two of them exclude each other, `limit` or `sample` is below 1, or `label_column` names a column
            twice or several with a `label_file`.
    """

    text_column: str | None = None
    label_column: str | Sequence[str] | None = None
    split: str = "train"
    header: bool | None = None
    combined_labels: str | None = None
    similar_labels: str | None = None
    drop_missing: bool | None = None
    csv_separator: str | None = None
    encoding: str | None = None
    split_column: str | None = None
    limit: int | None = None
    sample: int | None = None
    label_file: str | None = None
    label_levels: str | None = None
    multi_label: str | None = None
    optional_split: str = "train"

    @classmethod
    def of(cls, arguments: Mapping[str, Any], **changes: Any) -> "ReadOptions":
        """Return the options among the arguments of a function that reads data.

        Args:
            arguments: the arguments by name, such as `locals()` in the function. `reading` may have more of them, and
                arguments that are no options are ignored.
            changes: options that are not the argument of their name.

        Example:
            >>> def load(data, text_column=None, **reading):
            ...     return ReadOptions.of(locals())
            >>> load("d.csv", "title", limit=10) == ReadOptions(text_column="title", limit=10)
            True
        """
        given = {**arguments, **arguments.get("reading", {}), **changes}
        return cls(**{field.name: given[field.name] for field in fields(cls) if field.name in given})

    def __post_init__(self) -> None:
        if self.label_column is not None and not isinstance(self.label_column, str):
            self._set_label_columns(list(self.label_column))
        check_separator(self.label_levels, "label_levels")
        check_separator(self.multi_label, "multi_label")
        given = [name for name in ("label_levels", "multi_label", "combined_labels") if getattr(self, name) is not None]
        if len(given) > 1:
            raise DataError(f"{' and '.join(given)} exclude each other; pass one of them")
        for name in ("limit", "sample"):
            number = getattr(self, name)
            if number is not None and number < 1:
                raise DataError(f"{name} must be at least 1, got {number}")
        for name, choices in (("combined_labels", COMBINED_LABELS), ("similar_labels", SIMILAR_LABELS)):
            value = getattr(self, name)
            if value is not None and value not in choices:
                raise DataError(f"{name} must be one of {listed(choices)}, got {short_repr(value)}")

    def _set_label_columns(self, columns: list[str]) -> None:
        """Store several columns as a list, as in the JSON of a record, and one as its name."""
        if len(set(columns)) < len(columns) or not columns:
            raise DataError(f"label_column must name each level once, the coarsest first, got {columns}")
        if len(columns) > 1 and self.label_file is not None:
            raise DataError("label_file has one column of labels; pass one label_column, or no label_file")
        object.__setattr__(self, "label_column", columns if len(columns) > 1 else columns[0])
        object.__setattr__(self, "label_levels", separator_of(columns, self.label_levels))

    @property
    def level_columns(self) -> list[str]:
        """The columns of the levels of nested labels; empty if there is one label column."""
        return list(self.label_column) if isinstance(self.label_column, list) else []

    @property
    def label_name(self) -> str | None:
        """The name of the label column; with several columns, of the column that `read_data` joins from them."""
        if isinstance(self.label_column, list):
            return str(self.label_levels).join(self.label_column)
        return None if self.label_column is None else str(self.label_column)


# All defaults: columns are found, and odd labels are errors.
DEFAULT_OPTIONS = ReadOptions()
