"""Labels with several levels in one string, such as "billing/refund". Imports no torch."""

from collections.abc import Iterable, Mapping, Sequence

from tercet.errors import DataError, counted, short_repr

# The margin of a level, relative to that of the next coarser level.
MARGIN_PER_LEVEL = 0.5
# The largest margin of a level, relative to that of the finest one, because unit vectors have a distance of 2 at most.
_MAX_TIMES_FINEST = 3.0
# The separator of the levels that come from several columns.
DEFAULT_SEPARATOR = "/"


def path_of(label: str, separator: str) -> tuple[str, ...]:
    """Return the levels of a label, the coarsest first, without white space around them.

    Example:
        >>> path_of("billing / refund", "/"), path_of("account", "/")
        (('billing', 'refund'), ('account',))
    """
    return tuple(level.strip() for level in label.split(separator))


def is_below(label: str, ancestor: str, separator: str) -> bool:
    """Return whether a label is an ancestor itself, or below it."""
    path = path_of(ancestor, separator)
    return path_of(label, separator)[: len(path)] == path


def join_path(path: Sequence[str], separator: str) -> str:
    """Return the label of a path."""
    return separator.join(path)


def normalize_label(label: str, separator: str | None) -> str:
    """Return a label without white space around its levels; the label itself without a separator.

    Example:
        >>> normalize_label("billing / refund", "/"), normalize_label("billing / refund", None)
        ('billing/refund', 'billing / refund')
    """
    return label if separator is None else join_path(path_of(label, separator), separator)


def describe_levels_left_out(counts: Mapping[int, int]) -> str:
    """Return how many answers leave out each number of levels, to add to their total; "" for one number only.

    Example:
        >>> describe_levels_left_out({1: 8, 2: 4}), describe_levels_left_out({1: 8})
        (' (1 level left out: 8, 2 levels: 4)', '')
    """
    if len(counts) < 2:
        return ""
    (first, number), *others = sorted(counts.items())
    shown = [f"{counted(first, 'level')} left out: {number:,}", *(f"{up} levels: {n:,}" for up, n in others)]
    return f" ({', '.join(shown)})"


def separator_of(label_column: str | Sequence[str] | None, label_levels: str | None) -> str | None:
    """Return the separator of the levels; for several label columns without a given one, "/"."""
    several = label_column is not None and not isinstance(label_column, str) and len(label_column) > 1
    return DEFAULT_SEPARATOR if several and label_levels is None else label_levels


def num_levels(labels: Iterable[str], separator: str) -> int:
    """Return the number of levels of the deepest label."""
    return max(len(path_of(label, separator)) for label in labels)


def margins_of_levels(margin: float | Sequence[float], levels: int) -> list[float]:
    """Return the margin of each level, the coarsest first.

    Args:
        margin: a margin for each level; or one number, that of the coarsest level, of which each finer level has half.
        levels: the number of levels.

    Raises:
        DataError: there are several margins, but not one for each level.

    Example:
        >>> margins_of_levels(0.3, 2), margins_of_levels((0.3, 0.2), 2)
        ([0.3, 0.15], [0.3, 0.2])
    """
    if not isinstance(margin, Sequence):
        return [margin * MARGIN_PER_LEVEL**level for level in range(levels)]
    if len(margin) != levels:
        raise DataError(
            f"margin has {len(margin)} values, but the labels have {levels} levels; pass a margin for each level, the "
            "coarsest first, or one number, of which each finer level has half"
        )
    return list(margin)


def margins_from_finest(margin: float, levels: int) -> list[float]:
    """Return the margin of each level, the coarsest first: twice that of the next finer one, at most 3 × `margin`.

    Args:
        margin: the margin of the finest level.
        levels: the number of levels.

    Example:
        >>> margins_from_finest(0.5, 2), margins_from_finest(0.5, 4)
        ([1.0, 0.5], [1.5, 1.5, 1.0, 0.5])
    """
    return [margin * min(2.0**level, _MAX_TIMES_FINEST) for level in reversed(range(levels))]


def normalize_nested(labels: Sequence[str], separator: str, source: str) -> list[str]:
    """Remove white space around the levels of labels.

    Raises:
        DataError: a level of a label is empty, or no label has a second level. The message names the label.
    """
    paths = {label: path_of(label, separator) for label in dict.fromkeys(labels)}
    for label, path in paths.items():
        if not all(path):
            raise DataError(
                f"{source}: the label {short_repr(label)} has an empty level; write a name before and after each "
                f"{separator!r}, or pass another label_levels"
            )
    if all(len(path) == 1 for path in paths.values()):
        raise DataError(
            f"{source}: no label contains {separator!r}, so there is one level only; leave out label_levels, or pass "
            "the separator of the levels"
        )
    return [join_path(paths[label], separator) for label in labels]


def describe_removed_spaces(labels: Iterable[str], separator: str) -> str:
    """Return which labels `normalize_nested` changes, and a separator that keeps them if there is one; "" for none."""
    different = list(dict.fromkeys(labels))
    changed = [label for label in different if normalize_label(label, separator) != label]
    if not changed:
        return ""
    spaced = f" {separator.strip()} "
    keeps = all(join_path(path_of(label, separator), spaced) == label for label in different)
    return (
        f"white space around the levels of labels was removed; labels that have changed: {len(changed):,}, such as "
        + ", ".join(short_repr(label) for label in changed[:3])
        + (f"; to keep it, pass label_levels={spaced!r}" if keeps else "")
    )
