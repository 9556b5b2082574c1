"""The losses of several and of nested labels in each of two processes, which `test_relations` starts."""

import torch
import torch.distributed as dist

from tercet import losses
from tercet.losses import relations

SIZES = (7, 5)


def all_losses() -> list[losses.BatchLoss]:
    """Return a loss of each rule for both relations, for label ids from 0 to 5."""
    sets = [[0], [0, 1], [1, 2], [3], [3, 4], []]
    paths = [("a", "x"), ("a", "y"), ("a",), ("b", "x"), ("b", "y"), ("c",)]
    kinds = (losses.BatchAllTripletLoss, losses.BatchSemiHardTripletLoss, losses.BatchHardTripletLoss)
    several = [kind(margin=0.7) for kind in kinds]
    for loss in several:
        loss.relation = relations.SharedLabel(sets, weighted=True)
    return [*several, *(losses.NestedTripletLoss(None, [kind(margin=1.0), kind(margin=0.5)], paths) for kind in kinds)]


def main() -> None:
    """Compare loss and gradient with those of one process."""
    random = torch.Generator().manual_seed(0)
    x = torch.randn(sum(SIZES), 4, dtype=torch.float64, generator=random)
    labels = torch.randint(0, 6, (sum(SIZES),), generator=random)
    # One process, before the group exists.
    wanted = []
    for loss in all_losses():
        whole = x.clone().requires_grad_()
        value = loss.compute_loss_from_embeddings(whole, labels)
        wanted.append((value.detach(), torch.autograd.grad(value, whole)[0]))
        assert value > 0
    dist.init_process_group("gloo")
    start = sum(SIZES[: dist.get_rank()])
    rows = slice(start, start + SIZES[dist.get_rank()])
    for loss, (value, gradient) in zip(all_losses(), wanted, strict=True):
        part = x[rows].clone().requires_grad_()
        got = loss.compute_loss_from_embeddings(part, labels[rows])
        torch.testing.assert_close(got.detach(), value)
        # DistributedDataParallel divides by the number of processes.
        torch.testing.assert_close(torch.autograd.grad(got, part)[0] / len(SIZES), gradient[rows])
    dist.destroy_process_group()
