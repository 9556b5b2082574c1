"""The names of splits, in the keys of files and in the names of files and folders."""

import re

# The splits to evaluate on, the first that exists. A test split is often kept for a last measurement.
EVALUATION_SPLITS = ("validation", "valid", "val", "dev", "eval", "test", "testing")
SPLIT_WORDS = frozenset(["train", "training", *EVALUATION_SPLITS])


def is_split(name: str) -> bool:
    """Return whether a name is that of a split, such as `train` or `oos_val`."""
    return any(word in SPLIT_WORDS for word in split_words(name))


def split_words(name: str) -> list[str]:
    """Return the words of a name in which one may be that of a split.

    Example:
        >>> split_words("oos_val"), split_words("Train-00000-of-00002")
        (['oos', 'val'], ['train', '00000', 'of', '00002'])
    """
    return re.findall(r"[a-z0-9]+", name.lower())
