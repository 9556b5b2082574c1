"""Errors in the tree of nested labels: within and across the parents of each level. Imports no torch."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from tercet._nested_labels import join_path, path_of

_Path = tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class ParentErrors:
    """The errors in the sentences of one parent: of all labels that begin with the same levels.

    Attributes:
        parent: the levels in common, such as "home" at level 1 and "home/light" at level 2.
        level: their number; 1 for the coarsest level.
        labels: the number of labels of the parent among the given ones.
        sentences: the number of sentences with one of these labels.
        within: the number of them with an error whose parent is the same.
        across: the number of them with an error that has another parent at this level.
        most_often: the other parent of most of the errors across; None without one.
    """

    parent: str
    level: int = 1
    labels: int
    sentences: int
    within: int
    across: int
    most_often: str | None

    @property
    def errors(self) -> int:
        """Return the number of errors within and across."""
        return self.within + self.across


@dataclass
class _Counts:
    """The counts of a parent; `others` are the parents of its errors across."""

    labels: set[str] = field(default_factory=set)
    sentences: int = 0
    within: int = 0
    others: Counter[_Path] = field(default_factory=Counter)

    @property
    def errors(self) -> int:
        return self.within + self.others.total()


def parent_errors(given: Sequence[str], predicted: Sequence[str], separator: str) -> list[ParentErrors]:
    """Count errors within and across the parents of each level but the finest one.

    A parent is followed by those below it. Among the parents below one parent, those with the most errors are first. A
    label with fewer levels than others is a parent, too, at its own level.

    Args:
        given: the label of each of n sentences.
        predicted: what is predicted or suggested for each of them.
        separator: the separator of the levels.

    Example:
        >>> found = parent_errors(["a/x/1", "a/x/2", "a/y", "b"], ["a/x/2", "a/y", "b", "b"], "/")
        >>> [(one.parent, one.within, one.across, one.most_often) for one in found]
        [('a', 2, 1, 'b'), ('a/x', 1, 1, 'a/y'), ('a/y', 0, 1, 'b'), ('b', 0, 0, None)]
    """
    pairs = Counter(zip(given, predicted, strict=True))
    paths = {label: path_of(label, separator) for pair in pairs for label in pair}
    num_levels = max((len(path) - 1 for path in paths.values()), default=0) or 1
    counts: dict[_Path, _Counts] = {}
    for (label, other), number in pairs.items():
        path, other_path = paths[label], paths[other]
        for level in range(1, min(num_levels, len(path)) + 1):
            parent, other_parent = path[:level], other_path[:level]
            found = counts.setdefault(parent, _Counts())
            found.labels.add(label)
            found.sentences += number
            if parent != other_parent:
                found.others[other_parent] += number
            elif label != other:
                found.within += number

    def place(parent: _Path) -> list[tuple[int, _Path]]:
        above = [parent[:level] for level in range(1, len(parent) + 1)]
        return [(-counts[prefix].errors, prefix) for prefix in above]

    return [_parent(path, counts[path], separator) for path in sorted(counts, key=place)]


def _parent(path: _Path, counts: _Counts, separator: str) -> ParentErrors:
    others = counts.others
    most_often = min(others, key=lambda other: (-others[other], other), default=None)
    return ParentErrors(
        parent=join_path(path, separator),
        level=len(path),
        labels=len(counts.labels),
        sentences=counts.sentences,
        within=counts.within,
        across=others.total(),
        most_often=None if most_often is None else join_path(most_often, separator),
    )


def most_errors(parents: Sequence[ParentErrors], number: int) -> list[ParentErrors]:
    """Return the parents with the most errors, in their order. Those above a returned parent are returned, too."""
    # A parent has at least as many errors as those below it, and a coarser level.
    first = sorted(range(len(parents)), key=lambda at: (-parents[at].errors, parents[at].level))[:number]
    return [parents[at] for at in sorted(first)]


def errors_by_level(parents: Sequence[ParentErrors]) -> list[int]:
    """Return the number of errors by the coarsest level that is wrong, from level 1 to that of the complete labels.

    Example:
        >>> errors_by_level(parent_errors(["a/x/1", "a/x/2", "a/y", "b"], ["a/x/2", "a/y", "b", "b"], "/"))
        [1, 1, 1]
    """
    # The number of errors that have this many levels in common with the label, or more.
    in_common = [sum(one.errors for one in parents if one.level == 1)]
    for level in range(1, max((one.level for one in parents), default=1) + 1):
        in_common.append(sum(one.within for one in parents if one.level == level))
    return [number - deeper for number, deeper in zip(in_common, [*in_common[1:], 0], strict=True)]


def describe_accuracy(parents: Sequence[ParentErrors]) -> str:
    """Return the fraction of the sentences with a right prediction at each level, in one sentence.

    Example:
        >>> describe_accuracy(parent_errors(["a/x", "a/x", "a/y", "b"], ["a/x", "a/y", "b", "b"], "/"))
        'Right at level 1: 75.0% of 4 sentences; up to level 2: 50.0%'
    """
    sentences = sum(one.sentences for one in parents if one.level == 1)
    right, shown = sentences, list[str]()
    for level, errors in enumerate(errors_by_level(parents), 1):
        right -= errors
        fraction = f"{right / max(1, sentences):.1%}"
        shown.append(f"up to level {level}: {fraction}" if shown else f"{fraction} of {sentences:,} sentences")
    return f"Right at level 1: {'; '.join(shown)}"
