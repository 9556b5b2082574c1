"""White space around the levels of nested labels."""

import pytest

from tercet._events import WarningKind, collect_warnings
from tercet.data.loading.labelled import load_labelled
from tercet.data.reading.options import ReadOptions


@pytest.mark.parametrize(
    ("labels", "separator", "expected", "hint"),
    [
        (["Home > Bath", "Home > Bed > Lamps"], ">", ["Home>Bath", "Home>Bed>Lamps"], "pass label_levels=' > '"),
        (["a / b", "a / c", "d"], "/", ["a/b", "a/c", "d"], "pass label_levels=' / '"),
        (["a> b", "a >c"], ">", ["a>b", "a>c"], None),
        (["a > b", "a > c", "a>d"], ">", ["a>b", "a>c", "a>d"], None),  # with " > ", "a>d" would have one level
    ],
)
def test_white_space_that_is_removed_is_a_warning(labels, separator, expected, hint):
    rows = [(f"text {number}", label) for number, label in enumerate(labels)]
    with collect_warnings() as warnings:
        assert load_labelled(rows, ReadOptions(label_levels=separator)).labels() == expected
    (warning,) = warnings
    assert warning.kind == WarningKind.CHANGED_DATA
    assert (
        "white space around the levels of labels was removed; labels that have changed: 2, such as" in warning.message
    )
    assert warning.message.endswith(hint or f"such as {labels[0]!r}, {labels[1]!r}")


def test_a_separator_with_white_space_keeps_it():
    labels = ["Home > Bath", "Home > Bed"]
    with collect_warnings() as warnings:
        found = load_labelled([("a", labels[0]), ("b", labels[1])], ReadOptions(label_levels=" > ")).labels()
    assert found == labels
    assert not warnings
