"""Number the labels of a stream, in its order, while it is read."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from datasets import ClassLabel, Dataset

from tercet._labels import plain_labels
from tercet.data.cleaning.label_forms import trim_labels
from tercet.data.cleaning.resolving import match_labels
from tercet.data.cleaning.rules import CleaningRules
from tercet.data.tables.cells import plain_values
from tercet.errors import DataError, short_repr


class StreamLabels:
    """The numbers of the labels of a stream. New labels get the next numbers, in the order of the stream.

    Args:
        column: the name of the label column.
        names: the names of the labels of the first part, by number; None if the labels are integers.
        fixed: whether the numbers are those of a `ClassLabel`.
    """

    def __init__(self, column: str, names: list[str] | None, *, fixed: bool) -> None:
        self.column, self.names, self._fixed = column, names, fixed
        self._ids = {name: number for number, name in enumerate(names or [])}

    def numbers(self, values: Iterable[Any], source: str) -> np.ndarray:
        """Return the numbers of labels, int64 `(n,)`.

        Raises:
            DataError: a label is missing or has another type than those of the first part, or differs from an earlier
                one only in form.
        """
        if self._fixed:
            values = [None if value is None or value < 0 else value for value in values]
        plain = plain_labels(trim_labels(plain_values(values))[0], source, error=DataError)
        if self.names is None or self._fixed:
            if not all(type(value) is int for value in plain):
                wrong = next(value for value in plain if type(value) is not int)
                raise DataError(f"{source}: a label is {short_repr(wrong)}, but earlier ones are integers")
            return np.array(plain, dtype=np.int64)
        if any(type(value) is int for value in plain):
            wrong = next(value for value in plain if type(value) is int)
            raise DataError(f"{source}: a label is {short_repr(wrong)}, but earlier ones are strings")
        found = list(map(str, plain))
        if new := [name for name in found if name not in self._ids]:
            match_labels(new, self.names, "earlier rows", CleaningRules(source, fixed=True))
            for name in dict.fromkeys(new):
                self._ids[name] = len(self.names)
                self.names.append(name)
        return np.array([self._ids[name] for name in found], dtype=np.int64)


def labels_of_stream(first: Dataset, column: str, names: list[str] | None) -> StreamLabels:
    """Return the numbers of the labels of a stream, given those of its first part."""
    fixed = isinstance(first.features[column], ClassLabel)
    return StreamLabels(column, None if names is None else list(names), fixed=fixed)
