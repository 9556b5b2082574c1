"""Count the rows that share a label. A set of labels is given by its name.

num_sharing      the number of rows that share a label with each set
rarest_labels    the label of each set with the fewest rows, by which rows are split
check_several    raises an error if no row has several labels
"""

from collections.abc import Mapping, Sequence

import numpy as np

from tercet._multi_labels import number_label_sets
from tercet.errors import DataError

# The number of pairs of sets whose common labels are counted at the same time.
_PAIRS_AT_ONCE = 20_000_000


def num_sharing(names: Sequence[str], others: Mapping[str, int], separator: str) -> np.ndarray:
    """Return the number of rows that share a label with each set, int64 `(num_sets,)`.

    Args:
        names: the names of the sets.
        others: the number of rows of each set to count.
        separator: the separator of the labels in the names.

    Example:
        >>> num_sharing(["a;b", "c"], {"a": 3, "b;c": 2}, ";").tolist()
        [5, 2]
    """
    from scipy.sparse import csr_array  # takes a tenth of a second

    distinct = list(dict.fromkeys(names))
    sets, labels = number_label_sets([*distinct, *others], separator)
    lengths = [len(one) for one in sets]
    columns = np.array([label for one in sets for label in one], dtype=np.int64)
    starts = np.concatenate(([0], np.cumsum(lengths)))
    table = csr_array((np.ones(len(columns)), columns, starts), shape=(len(sets), len(labels)))
    candidates, counts = table[len(distinct) :].T.tocsr(), np.array([*others.values()], dtype=np.int64)
    step = max(1, _PAIRS_AT_ONCE // max(1, len(others)))
    found = [
        (table[start : min(start + step, len(distinct))] @ candidates > 0) @ counts
        for start in range(0, len(distinct), step)
    ]
    by_name = dict(zip(distinct, np.concatenate(found).tolist() if found else [], strict=True))
    return np.array([by_name[name] for name in names], dtype=np.int64)


def rarest_labels(names: Sequence[str], counts: Sequence[int] | np.ndarray, separator: str) -> np.ndarray:
    """Return, for each set, the id of its label with the fewest rows, int64 `(num_sets,)`: the stratum of a split.

    Args:
        names: the name of each set; the position is its id.
        counts: the number of rows of each set.
        separator: the separator of the labels in the names.
    """
    sets, labels = number_label_sets(names, separator)
    rows = np.zeros(len(labels) + 1, dtype=np.int64)
    for ids, count in zip(sets, counts, strict=True):
        rows[ids] += count
    return np.array([min(ids, key=lambda label: (rows[label], label), default=len(labels)) for ids in sets])


def check_several(names: Sequence[str], separator: str, source: str) -> None:
    """Raise `DataError` if none of the sets has several labels: the separator is then probably another one."""
    if not any(separator in name for name in names):
        raise DataError(
            f"{source}: no row has several labels separated by {separator!r}; leave out multi_label, or pass the "
            "separator of the labels"
        )
