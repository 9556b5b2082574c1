"""Find copies of a text, within one list of texts or between two.

Two texts are copies if `tercet._texts.text_key` gives both the same key: they differ at most in case, white space,
Unicode form (NFKC) or invisible characters. Keys are compared by their hashes of 64 bits, see `text_hashes.py`.
"""

from collections.abc import Hashable, Iterable, Sequence

import numpy as np

from tercet.data.tables.text_hashes import hashes_of


def copy_groups(texts: Sequence[str]) -> np.ndarray:
    """Return a number for each text, int64 `(n,)`. Copies of a text have the same number.

    The numbers count up in the order of the first copies.

    Example:
        >>> copy_groups(["Reset login", "Lost card", "reset  login"]).tolist()
        [0, 1, 0]
    """
    _, first, numbers = np.unique(hashes_of(texts), return_index=True, return_inverse=True)
    order = np.empty(len(first), dtype=np.int64)
    order[np.argsort(first)] = np.arange(len(first))
    groups: np.ndarray = order[numbers]
    return groups


def first_occurrences(items: Iterable[Hashable]) -> list[int]:
    """Return the numbers of the items that equal no earlier one, ascending.

    Example:
        >>> first_occurrences(["a", "b", "a"])
        [0, 1]
    """
    first: dict[Hashable, int] = {}
    for number, item in enumerate(items):
        first.setdefault(item, number)
    return list(first.values())


def overlapping_rows(eval_sentences: Sequence[str], train_sentences: Sequence[str]) -> list[int]:
    """Return the rows of the evaluation data whose text also occurs in the training data, in ascending order.

    A model has seen these texts in training, so metrics that include them are too good.

    Args:
        eval_sentences: the texts to evaluate on.
        train_sentences: the texts to train on, or to search in.

    Example:
        >>> overlapping_rows(["a late goal", "warm soup"], ["Warm  soup", "the team won"])
        [1]
    """
    return np.flatnonzero(np.isin(hashes_of(eval_sentences), hashes_of(train_sentences))).tolist()
