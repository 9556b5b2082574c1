"""Checks of numbers that a caller passes."""

import numpy as np
import pytest

from tercet._numbers import check_integer, check_margin
from tercet.errors import DataError, EmbeddingError


@pytest.mark.parametrize("value", [0, -1, 1.0, 1.5, "1", None, True, float("nan"), [1]])
def test_what_is_no_integer_of_at_least_the_minimum_is_refused(value):
    with pytest.raises(DataError, match="batch_size must be an integer of at least 1, got"):
        check_integer("batch_size", value, error=DataError)


def test_integers_of_numpy_are_taken():
    assert check_integer("k", np.int64(3)) == 3
    assert check_integer("k", 0, minimum=0) == 0


def test_margins():
    assert check_margin(np.float32(0.5)) == 0.5
    with pytest.raises(EmbeddingError, match="the triplet_margin must be a finite number of at least 0, got -1"):
        check_margin(-1, name="triplet_margin")
