"""Copies of a text are found in any form, within one list and between two."""

from tercet.data.cleaning.copies import copy_groups, overlapping_rows


def test_copies_have_one_number():
    assert copy_groups(["b", "Café  x", "B ", "cafe\u0301 X", "c"]).tolist() == [0, 1, 0, 1, 2]
    assert copy_groups([]).tolist() == []


def test_rows_that_were_trained_on_are_named():
    train = ["the team won", "Ｗarm\u00a0soup"]
    assert overlapping_rows(["warm soup", "a late goal", "THE TEAM\nWON", "warm soup"], train) == [0, 2, 3]
    assert overlapping_rows([], train) == overlapping_rows(train, []) == []
