"""The losses of sentences with several labels, and of nested labels, against the plain loops."""

import os
import random
from dataclasses import replace
from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode

from tercet import distances, losses
from tercet.errors import EmbeddingError
from tercet.losses import CrossBatchMemory, functional, miners, reference, relations
from tercet.losses._engine import levels as engine_levels
from tercet.losses.functional.labels import ids_and_relation
from tercet.losses.functional.nested import levels_of, loss_of_levels
from tercet.losses.miners import Miner
from tests.losses import relations_processes_run
from tests.losses.helpers import batch_loss
from tests.ranks import run_ranks

LOSSES = {
    "all": (miners.all_triplets, reference.batch_all),
    "hard": (miners.hard, reference.batch_hard),
    "semi": (miners.semi_hard, reference.batch_semi_hard),
}
MARGINS = (1.0, 0.5, 0.2)


def random_sets(random_numbers: random.Random, size: int) -> list[frozenset[int]]:
    return [frozenset(random_numbers.sample(range(5), random_numbers.choice([0, 1, 1, 2, 3]))) for _ in range(size)]


def random_paths(random_numbers: random.Random, size: int) -> list[tuple[str, ...]]:
    return [
        tuple(random_numbers.choice("abc") for _ in range(random_numbers.choice([1, 2, 2, 3]))) for _ in range(size)
    ]


def check_case(case: int, block_rows: tuple[int, ...] = (1, 3, 256)) -> None:
    """Compare both relations with the loops in float64, for one random batch."""
    numbers = random.Random(case)
    size, margin = numbers.randint(1, 14), numbers.choice([0.1, 0.3, 2.0])
    distance = ["euclidean", "cosine", "manhattan"][case % 3]
    x = torch.randn(size, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(case)).requires_grad_()
    d = distances.matrix(x, x, distance)
    sets, paths = random_sets(numbers, size), random_paths(numbers, size)
    ids, relation = ids_and_relation(sets)
    relation.weighted = case % 2 == 0
    for make, loops in LOSSES.values():
        wanted = loops(d, sets, margin, weighted=relation.weighted)
        _compare(
            x,
            wanted,
            [batch_loss(x, ids, make(margin), distance, relation=relation, block_rows=rows)[0]
             for rows in block_rows],
        )  # fmt: skip
        tree = relations.LabelTree(paths)
        weights = [1.0, 0.5, 0.25][: len(tree)]
        wanted = reference.nested(paths, [partial(loops, d, margin=m) for m in MARGINS[: len(tree)]], weights)
        levels = levels_of(tree, [make(m) for m in MARGINS[: len(tree)]], weights)
        labels = torch.arange(size)
        _compare(
            x,
            wanted,
            [engine_levels.loss_of_levels(x, labels, levels, distance, block_rows=rows)[0] for rows in block_rows],
        )
    wanted = reference.batch_hard_soft_margin(d, sets, weighted=relation.weighted)
    _compare(x, wanted, [batch_loss(x, ids, miners.hard_soft_margin(), distance, relation=relation)[0]])


def _compare(x: torch.Tensor, wanted: torch.Tensor, results: list[torch.Tensor]) -> None:
    (gradient,) = torch.autograd.grad(wanted, x, retain_graph=True)
    for got in results:
        assert abs(got.item() - wanted.item()) <= 1e-10 * max(1.0, abs(wanted.item()))
        torch.testing.assert_close(torch.autograd.grad(got, x)[0], gradient, rtol=1e-10, atol=1e-10)


def test_equal_the_loops():
    """Twelve cases; `make test-exhaustive` runs 2,000."""
    for case in range(int(os.environ.get("TERCET_CASES", "12"))):
        check_case(case)


@pytest.mark.parametrize("name", LOSSES)
def test_gradients_by_differences(name):
    numbers = random.Random(4)
    x = torch.randn(9, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(4)).requires_grad_()
    sets, paths = random_sets(numbers, 9), [("a", "b"), ("a", "c"), ("a", "b"), ("d",), ("d",)] * 2
    miner = LOSSES[name][0](0.9)
    assert torch.autograd.gradcheck(lambda e: functional.loss_with_miner(e, sets, miner)[0], (x,))
    assert torch.autograd.gradcheck(lambda e: functional.nested_triplet_loss(e, paths[:9], [miner, miner]), (x,))


@given(
    sets=st.lists(st.sets(st.integers(0, 4), max_size=3), min_size=2, max_size=12),
    seed=st.integers(0, 1000),
)
@settings(max_examples=25, deadline=None)
def test_properties_of_several_labels(sets, seed):
    """Sets of one label are ordinary labels; a label for all makes no triplet; the order does not matter."""
    random_numbers = torch.Generator().manual_seed(seed)
    x = torch.randn(len(sets), 4, dtype=torch.float64, generator=random_numbers)
    order = torch.randperm(len(sets), generator=random_numbers).tolist()
    for loss in (functional.batch_all_triplet_loss, functional.batch_hard_triplet_loss):
        value = loss(x, sets, margin=0.5)
        torch.testing.assert_close(loss(x[order], [sets[row] for row in order], margin=0.5), value)
        names = [{f"label {label}" for label in one} for one in sets]
        torch.testing.assert_close(loss(x, names, margin=0.5), value)
        assert loss(x, [one | {9} for one in sets], margin=0.5) == 0
        firsts = [min(one, default=7) for one in sets]
        single = loss(x, torch.tensor(firsts), margin=0.5)
        torch.testing.assert_close(loss(x, [{label} for label in firsts], margin=0.5), single)
        matrix = torch.tensor([[label in one for label in range(5)] for one in sets])
        torch.testing.assert_close(loss(x, matrix, margin=0.5), value)


def test_one_level_is_an_ordinary_loss_and_repeated_rows_tie():
    x = torch.randn(6, 3, dtype=torch.float64)[[0, 0, 1, 2, 2, 3, 4, 5, 1]].requires_grad_()
    labels = torch.tensor([0, 0, 1, 1, 0, 2, 2, 2, 3])
    for make, _ in LOSSES.values():
        wanted = functional.loss_with_miner(x, labels, make(0.4))[0]
        nested = functional.nested_triplet_loss(x, labels.unsqueeze(1), [make(0.4)])
        torch.testing.assert_close(nested, wanted)
        (one,), (other,) = (torch.autograd.grad(loss, x) for loss in (nested, wanted))
        torch.testing.assert_close(one, other)


def _all_triplets_per_pair(margin):
    """All triplets, averaged over the pairs: weights of all negatives, and a number of terms that is known before."""
    return replace(miners.all_triplets(margin), mean_over="positives")


@pytest.mark.parametrize("block_rows", [None, 5])
@pytest.mark.parametrize(
    "makes",
    [(miners.hard, miners.semi_hard), (_all_triplets_per_pair, miners.hard), (_all_triplets_per_pair,) * 2,
     (miners.hard, _all_triplets_per_pair), (miners.all_triplets, miners.hard)],
)  # fmt: skip
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_the_levels_together_are_the_sum_of_the_levels(makes, block_rows, dtype):
    """Whether the weights are added up per block, or the gradients at the end; with anchors that one level lacks."""
    paths = random_paths(random.Random(5), 24)
    tree = relations.LabelTree(paths)
    x = torch.randn(24, 3, dtype=dtype, generator=torch.Generator().manual_seed(5))
    x[7] = x[3]
    x.requires_grad_()
    chosen = [makes[min(level, 1)](0.5 / (level + 1)) for level in range(len(tree))]
    levels = levels_of(tree, chosen)
    loss, _ = engine_levels.loss_of_levels(x, torch.arange(24), levels, block_rows=block_rows)
    wanted = sum(
        level.weight * functional.loss_with_miner(x, torch.arange(24), level.miner, relation=level.relation)[0]
        for level in levels
    )
    torch.testing.assert_close(loss, wanted)
    (found,), (expected,) = (torch.autograd.grad(value, x) for value in (loss, wanted))
    torch.testing.assert_close(found, expected)


def test_candidates_of_a_memory_and_stats():
    """Both relations with the embeddings of past batches: as the loss of one batch, with fewer anchors."""
    random_numbers = torch.Generator().manual_seed(1)
    x = torch.randn(20, 4, dtype=torch.float64, generator=random_numbers)
    sets = random_sets(random.Random(2), 20)
    ids, relation = ids_and_relation(sets)
    paths = random_paths(random.Random(3), 20)
    memory = CrossBatchMemory(14, 4).double()
    memory.add(x[6:], ids[6:])
    loss = losses.BatchSemiHardTripletLoss(margin=0.5)
    loss.relation, loss.collect_stats = relation, True
    value = loss.compute_loss_from_embeddings(x[:6].requires_grad_(), ids[:6], memory)
    miner = miners.semi_hard(0.5)
    wanted, stats = functional.loss_with_miner(x, ids, miner, relation=relation, anchors=slice(0, 6), with_stats=True)
    assert value.item() == pytest.approx(wanted.item())
    assert loss.stats == stats
    pairs = [(a, p) for a in range(6) for p in range(20) if a != p and sets[a] & sets[p]]
    assert stats.positive_pairs == len(pairs)

    nested = losses.NestedTripletLoss(None, [losses.BatchAllTripletLoss(margin=m) for m in MARGINS], paths)
    nested.collect_stats = True
    memory = CrossBatchMemory(14, 4).double()
    memory.add(x.detach()[6:], torch.arange(6, 20))
    value = nested.compute_loss_from_embeddings(x[:6].detach().requires_grad_(), torch.arange(6), memory)
    levels = levels_of(nested.tree, [miners.all_triplets(m) for m in MARGINS])
    wanted, of_levels = loss_of_levels(x, torch.arange(20), levels, anchors=slice(0, 6), with_stats=True)
    assert value.item() == pytest.approx(wanted.item())
    assert nested.stats == of_levels[-1].read()
    with pytest.raises(EmbeddingError, match="relation"):
        losses.BatchHardTripletLoss().compute_loss_from_embeddings(x[:6], sets[:6], memory)


@pytest.mark.parametrize(
    ("paths", "copies"),
    [
        ([("a", "x", "1"), ("a", "x", "2"), ("b", "x", "1")] * 3, 2),
        ([("a", "x"), ("a", "y"), ("a", "y")] * 3 + [("b", "1"), ("b", "2"), ("b", "3")], 1),
        ([("a", "x", "1"), ("a", "y", "1"), ("a", "y", "2")] * 3 + [("b", "1"), ("b", "2"), ("b", "3")], 1),
    ],
)
def test_a_level_copies_the_distances_once_at_most(paths, copies):
    # The last level copies nothing, and a level without some of the anchors only selects the others.
    class Copies(TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            copied.append(function is torch.ops.aten.clone.default and args[0].shape == (len(paths), len(paths)))
            return function(*args, **(kwargs or {}))

    copied = []
    x = torch.randn(len(paths), 4, generator=torch.Generator().manual_seed(0))
    with Copies():
        functional.nested_triplet_loss(x, paths, [miners.all_triplets(1.0) for _ in paths[0]])
    assert sum(copied) == copies


@pytest.mark.distributed
def test_two_processes_have_the_loss_and_gradient_of_one():
    run_ranks(relations_processes_run.main, processes=2)


def test_invalid_labels_and_miners_are_refused():
    x, sets = torch.randn(4, 2), [{0, 1}, {1}, {2}, {2}]
    with pytest.raises(EmbeddingError, match="4 embeddings and 3 labels"):
        functional.batch_hard_triplet_loss(x, sets[:3])
    with pytest.raises(EmbeddingError, match="got 1 miners for 2 levels"):
        functional.nested_triplet_loss(x, [("a", "b")] * 4, [miners.hard(1.0)])
    with pytest.raises(EmbeddingError, match="empty path"):
        functional.nested_triplet_loss(x, [("a",), (), ("b",), ("b",)], [miners.hard(1.0)])
    relation = relations.SharedLabel(sets, weighted=True)
    with pytest.raises(EmbeddingError, match="from 0 to 3"):
        functional.loss_with_miner(x, [0, 1, 2, 4], miners.hard(1.0), relation=relation)
    custom = Miner(miners.hard(1.0).mine, mean_over="anchors")
    with pytest.raises(EmbeddingError, match="does not use weights"):
        functional.loss_with_miner(x, [0, 1, 2, 3], custom, relation=relation)
    several = [losses.BatchHardTripletLoss(), losses.BatchHardTripletLoss(distance_metric="cosine")]
    with pytest.raises(EmbeddingError, match="one distance"):
        losses.NestedTripletLoss(None, several, [("a", "b"), ("c",)])


def test_the_tree_of_labels():
    tree = relations.LabelTree([("a", "b"), ("a", "c"), ("a",), ("d",)])
    labels = torch.arange(4)
    assert tree.levels()[0].positive(labels, labels).tolist() == [
        [True, True, True, False], [True, True, True, False], [True, True, True, False], [False, False, False, True],
    ]  # fmt: skip
    assert tree.levels()[1].positive(labels, labels).tolist() == torch.eye(4).bool().tolist()
    assert relations.SharedLabel([[0, 1], [1], []]).jaccard(torch.arange(3), torch.arange(3)).tolist() == [
        [1.0, 0.5, 0.0], [0.5, 1.0, 0.0], [0.0, 0.0, 0.0],
    ]  # fmt: skip
