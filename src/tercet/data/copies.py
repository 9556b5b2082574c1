"""Find copies of a text, within one list of texts or between two.

Two texts are copies if `tercet._texts.text_key` gives both the same key: they differ at most in case, white space,
Unicode form (NFKC) or invisible characters.
"""

from collections.abc import Sequence

import numpy as np

from tercet._texts import text_key, text_keys


def copy_groups(texts: Sequence[str]) -> np.ndarray:
    """Return a number for each text, int64 `(n,)`. Copies of a text have the same number.

    The numbers count up in the order of the first copies.

    Example:
        >>> copy_groups(["Reset login", "Lost card", "reset  login"]).tolist()
        [0, 1, 0]
    """
    numbers: dict[str, int] = {}
    return np.array([numbers.setdefault(key, len(numbers)) for key in text_keys(texts)], dtype=np.int64)


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
    known = set(text_keys(train_sentences))
    return [row for row, text in enumerate(eval_sentences) if text_key(text) in known]
