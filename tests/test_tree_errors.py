"""Errors in a tree of two to four levels, with labels of different depth, against plain loops."""

import numpy as np
import pytest

from tercet._tree_errors import ParentErrors, describe_accuracy, errors_by_level, most_errors, parent_errors

NAMES = {
    2: ["a/x", "a/y", "b/x", "b/z", "c"],
    3: ["a/x/1", "a/x/2", "a/x", "a/y", "b/x/1", "b/z/1", "b/z/2", "c", "d/e"],
    4: ["a/x/1/p", "a/x/1/q", "a/x/2", "a/y/1/p", "a/y", "b/x/1/p", "b", "c/d/e", "f/g"],
}


def _drawn(levels, rows=300):
    random = np.random.default_rng(levels)
    given = random.choice(NAMES[levels], rows)
    return given.tolist(), np.where(random.random(rows) < 0.5, given, random.choice(NAMES[levels], rows)).tolist()


@pytest.mark.parametrize("levels", NAMES)
def test_every_level_equals_loops(levels):
    given, predicted = _drawn(levels)
    found = {one.parent: one for one in parent_errors(given, predicted, "/")}
    expected = {
        "/".join(name.split("/")[:level])
        for name in given
        for level in range(1, levels)
        if len(name.split("/")) >= level
    }
    assert set(found) == expected
    for parent, one in found.items():
        depth = parent.count("/") + 1
        of_parent = [
            (label, other, "/".join(other.split("/")[:depth]))
            for label, other in zip(given, predicted, strict=True)
            if label == parent or label.startswith(f"{parent}/")
        ]
        across = [at_level for label, other, at_level in of_parent if at_level != parent]
        assert one.level == depth
        assert one.labels == len({label for label, _, _ in of_parent})
        assert one.sentences == len(of_parent)
        assert one.across == len(across)
        assert one.within == sum(label != other for label, other, _ in of_parent) - len(across)
        most = min(set(across), key=lambda name: (-across.count(name), name.split("/")), default=None)
        assert one.most_often == most


@pytest.mark.parametrize("levels", NAMES)
def test_errors_by_level_are_those_of_the_first_different_level(levels):
    given, predicted = _drawn(levels)
    expected = [0] * levels
    for label, other in zip(given, predicted, strict=True):
        if label != other:
            paths = zip(label.split("/"), other.split("/"), strict=False)
            expected[next((level for level, (a, b) in enumerate(paths) if a != b), min(
                len(label.split("/")), len(other.split("/"))
            ))] += 1  # fmt: skip
    found = parent_errors(given, predicted, "/")
    assert errors_by_level(found) == expected
    assert sum(expected) == sum(a != b for a, b in zip(given, predicted, strict=True))
    right = 1 - np.cumsum(expected) / len(given)
    assert describe_accuracy(found) == (
        f"Right at level 1: {right[0]:.1%} of 300 sentences; "
        + "; ".join(f"up to level {level}: {fraction:.1%}" for level, fraction in enumerate(right[1:], 2))
    )


def test_parents_are_followed_by_those_below_them_and_the_most_errors_are_first():
    found = parent_errors(*_drawn(4), "/")
    for at, one in enumerate(found):
        above = [other for other in found[:at] if one.parent.startswith(f"{other.parent}/")]
        assert [other.level for other in above] == list(range(1, one.level))
        siblings = [
            other
            for other in found[:at]
            if other.level == one.level and other.parent.rpartition("/")[0] == one.parent.rpartition("/")[0]
        ]
        assert all(other.errors >= one.errors for other in siblings)
    for number in range(len(found) + 2):
        shown = most_errors(found, number)
        assert len(shown) == min(number, len(found))
        names = {one.parent for one in shown}
        assert all(one.level == 1 or one.parent.rpartition("/")[0] in names for one in shown)
        assert shown == [one for one in found if one in shown]


def test_labels_with_one_level_have_errors_across_only():
    found = parent_errors(["a", "b", "b"], ["b", "b", "a"], "/")
    assert [(one.parent, one.within, one.across) for one in found] == [("a", 0, 1), ("b", 0, 1)]
    assert errors_by_level(found) == [2, 0]
    assert parent_errors([], [], "/") == []


def test_an_older_record_has_level_1():
    counts = {"labels": 1, "sentences": 2, "within": 0, "across": 1, "most_often": "b"}
    assert ParentErrors(parent="a", **counts).level == 1
