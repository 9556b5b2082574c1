"""The loss engine on batches of many blocks, ragged groups and many positives."""

import pytest
import torch

from tercet.losses import miners
from tercet.losses._engine import kernels, matrix_product_source
from tercet.losses.miners import Miner
from tests.losses.engine_cases import NAMES, assert_same, dense, miner_of, shifted, with_gradient
from tests.losses.helpers import batch_loss


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("few", [0, 1000])
def test_blocks_close_and_far_in_one_batch_of_many_blocks(name, few, monkeypatch):
    """Blocks computed from differences and blocks computed by products add up to the right gradient."""
    labels = torch.arange(24) // 3
    x = torch.randn(24, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(4))
    x[6:12] = x[6:7] + 1e-3 * x[6:12]
    wanted = with_gradient(lambda e: dense(name, e, labels, 0.4, "euclidean"), x)
    monkeypatch.setattr(matrix_product_source, "PAIRS_PER_CHUNK", 8)
    monkeypatch.setattr(matrix_product_source, "SMALL_BATCH", few)
    for waiting in (0, matrix_product_source.MAX_WAITING_BYTES):
        monkeypatch.setattr(matrix_product_source, "MAX_WAITING_BYTES", waiting)
        for rows in (3, 5, 6, 24):
            miner = miner_of(name, 0.4)
            got = with_gradient(lambda e, r=rows, f=miner: batch_loss(e, labels, f, block_rows=r)[0], x)
            assert_same(got, wanted, 1e-10)


@pytest.mark.parametrize("name", NAMES)
def test_more_candidates_than_a_few(name):
    """Sizes at which lists, sorts and minima of runs replace what is faster for small batches."""
    for number in (126, 130, 270):
        labels = torch.arange(number) % (number // 2)
        x = torch.randn(number, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(number))
        wanted = with_gradient(lambda e, y=labels: dense(name, e, y, 0.4, "euclidean"), x)
        for rows in (32, 256):
            miner = miner_of(name, 0.4)
            got = with_gradient(lambda e, y=labels, r=rows, f=miner: batch_loss(e, y, f, block_rows=r)[0], x)
            assert_same(got, wanted, 1e-10)


RAGGED = {
    "ragged": [0] * 9 + [1] * 2 + [2] * 5 + [3, 4, 5, 6],
    "interleaved": [0, 1, 2, 0, 1, 0, 3, 0, 2, 0, 2**60, -7, 2**60],
    "wide": [0] * 130 + [1] * 3 + [2, 3],
    "two": [0] * 100 + [1] * 60,
}


@pytest.mark.slow
@pytest.mark.parametrize("labels", RAGGED.values(), ids=RAGGED)
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("distance", ["euclidean", "cosine", shifted])
def test_ragged_groups_at_every_block_size(labels, name, distance):
    labels = torch.tensor(labels)
    x = torch.randn(len(labels), 6, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    wanted = with_gradient(lambda e: dense(name, e, labels, 0.4, distance), x)
    for rows in (1, 7, 1000):
        got = with_gradient(lambda e, r=rows: batch_loss(e, labels, miner_of(name, 0.4), distance, block_rows=r)[0], x)
        assert_same(got, wanted, 1e-10)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("rows", [1, 2, 256])
def test_rows_of_zeros_have_the_cosine_distance_1_to_each_other(name, rows, monkeypatch):
    small = torch.tensor([[0.0, 0], [0, 0], [1, 0], [1, 0], [0, 1]]), torch.tensor([0, 0, 1, 1, 2])
    large = torch.randn(300, 8, generator=torch.Generator().manual_seed(0)), torch.arange(300) % 70
    large[0][[3, 73]] = 0
    for x, labels in (small, large):
        for chunk in (matrix_product_source.PAIRS_PER_CHUNK, 0):  # 0 computes blocks with close pairs from differences
            monkeypatch.setattr(matrix_product_source, "PAIRS_PER_CHUNK", chunk or 1)
            monkeypatch.setattr(matrix_product_source, "MAX_CLOSE_FRACTION", 1 / 8 if chunk else 0.0)
            got = batch_loss(x, labels, miner_of(name, 0.3), "cosine", block_rows=rows)[0]
            assert got.item() == pytest.approx(dense(name, x, labels, 0.3, "cosine").item(), abs=1e-5)


def test_all_searches_find_the_same_negatives(monkeypatch):
    """Many distances are equal, because they are multiples of a quarter. Some negatives are masked."""
    generator = torch.Generator().manual_seed(0)
    distances_of_rows = torch.randint(0, 40, (50, 150), generator=generator) / 4
    negatives, positives = distances_of_rows[:, :100].contiguous(), distances_of_rows[:, 100:]
    negatives[torch.rand(50, 100, generator=generator) < 0.3] = torch.finfo(torch.float32).max
    wanted = torch.where(negatives.unsqueeze(1) > positives.unsqueeze(2), negatives.unsqueeze(1), torch.inf).amin(2)
    monkeypatch.setattr(kernels, "CACHED_DISTANCES", 700)  # seven rows at a time
    for max_passes in (100, 0):
        monkeypatch.setattr(kernels, "MAX_PASSES_TO_SEARCH", max_passes)
        for non_negative in (True, False):
            columns, found = kernels.next_farther(negatives, positives, non_negative=non_negative)
            assert torch.equal(found, wanted)
            assert torch.equal(negatives.gather(1, columns), wanted)


def test_singletons_beside_one_large_label_cost_no_memory():
    """Singletons have no triplet, so their distances are not computed, and they have no rows in a block."""
    labels = torch.cat([torch.zeros(40, dtype=torch.long), torch.arange(1, 2001)])
    sizes = []
    miner = miners.all_triplets(0.3)
    spy = Miner(lambda block: sizes.append(block.positives.shape) or miner.mine(block), "active")
    batch_loss(torch.randn(2040, 4), labels, spy)
    assert sizes == [(40, 39)]


@pytest.mark.parametrize("name", ["all", "semi"])
@pytest.mark.parametrize("distance", ["euclidean", shifted])
@pytest.mark.parametrize("groups", [[4] * 10, [9, 5, 2, 1, 13], [1, 20], [3, 3]])
def test_a_search_of_all_positives_at_once_equals_the_passes(name, distance, groups, monkeypatch):
    """As on a GPU."""
    labels = torch.repeat_interleave(torch.arange(len(groups)), torch.tensor(groups))
    x = torch.randn(len(labels), 5, dtype=torch.float64)
    if name == "all":  # Equal distances; the semi-hard rule may choose either of two negatives.
        x[::7] = x[0].clone()

    def run():
        return with_gradient(lambda e: batch_loss(e, labels, miner_of(name, 0.4), distance)[0], x)

    expected = run()
    monkeypatch.setattr(kernels, "_compares_at_once", lambda negatives, positives: True)
    assert_same(run(), expected, 1e-12)


def test_weights_are_counted_at_once(monkeypatch):
    negatives, thresholds, weights = torch.rand(6, 9), torch.rand(6, 4), torch.rand(6, 4)
    expected = kernels.count_below(negatives, thresholds, weights)
    monkeypatch.setattr(kernels, "_compares_at_once", lambda negatives, positives: True)
    torch.testing.assert_close(kernels.count_below(negatives, thresholds, weights), expected)
