"""Rows held out for evaluation."""

import numpy as np
import pytest

from tercet.data.labels import LabelledSentences
from tercet.data.splits import split_labelled


@pytest.mark.parametrize(("size", "held_out"), [(1, 0), (2, 0), (3, 0), (4, 2), (5, 2), (10, 2), (100, 20)])
def test_a_label_gives_two_or_more_sentences_or_none(size, held_out):
    data = LabelledSentences([str(row) for row in range(2 * size)], np.arange(2 * size) % 2, ["a", "b"])
    kept, out = split_labelled(data, 0.2, seed=0)
    assert np.bincount(out.label_ids, minlength=2).tolist() == [held_out, held_out]
    assert sorted(kept.sentences + out.sentences, key=int) == data.sentences
    assert len(split_labelled(data, 0, seed=0)[1]) == 0
