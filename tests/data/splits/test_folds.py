"""Folds: copies stay together, labels are spread, and the order of the rows does not matter."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tercet.data.splits.folds import deal_folds

_ROWS = st.lists(st.tuples(st.sampled_from("abcdefghijklm\ud800"), st.integers(0, 3)), min_size=1, max_size=40)


@given(_ROWS, st.integers(2, 10))
def test_copies_share_a_fold_and_labels_are_spread(rows, folds):
    keys, label_ids = [key for key, _ in rows], np.array([code for _, code in rows])
    dealt = deal_folds(keys, label_ids, folds)
    fold_of = dict(zip(keys, dealt.tolist(), strict=True))
    assert dealt.tolist() == [fold_of[key] for key in keys]
    assert set(fold_of.values()) <= set(range(folds))
    first = {key: min(code for other, code in rows if other == key) for key in keys}
    for code in set(first.values()):
        texts = Counter(fold_of[key] for key in fold_of if first[key] == code)
        assert len(texts) == min(folds, sum(texts.values()))
        assert max(texts.values()) - min(texts.get(fold, 0) for fold in range(folds)) <= 1


@pytest.mark.slow
@given(_ROWS, st.randoms(use_true_random=False))
def test_the_order_of_the_rows_does_not_count(rows, random):
    order = list(range(len(rows)))
    random.shuffle(order)
    keys, label_ids = [key for key, _ in rows], np.array([code for _, code in rows])
    dealt = deal_folds(keys, label_ids, 10, seed=3)
    np.testing.assert_array_equal(deal_folds([keys[i] for i in order], label_ids[order], 10, seed=3), dealt[order])


def test_the_seed_counts():
    keys, label_ids = [str(number) for number in range(200)], np.zeros(200, dtype=int)
    one, again, other = (deal_folds(keys, label_ids, 10, seed) for seed in (0, 0, 4_294_967_295))
    np.testing.assert_array_equal(one, again)
    assert (one != other).mean() > 0.5
