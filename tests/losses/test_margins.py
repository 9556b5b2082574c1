"""A margin that is far below the distances is reported at the first batch, with one that fits."""

import re

import pytest
import torch

from tercet import losses
from tercet._events import WarningKind, collect_warnings
from tercet.distances import get_distance, norms_of_differences
from tercet.losses.margins import batch_distances, fitting_margin

CLASSES = [losses.BatchSemiHardTripletLoss, losses.BatchHardTripletLoss, losses.BatchAllTripletLoss]


def far_apart(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Two labels that are about 5 apart, as of an encoder without normalization, with positives about 2 apart."""
    random = torch.Generator().manual_seed(seed)
    labels = torch.tensor([0, 0, 0, 1, 1, 1])
    centres = torch.tensor([[0.0] * 16, [1.2] * 16])
    return centres[labels] + 0.25 * torch.randn(6, 16, generator=random), labels


def warnings_of(loss, x, labels) -> list[str]:
    with collect_warnings() as collected:
        loss.compute_loss_from_embeddings(x, labels)
    return [warning.message for warning in collected if warning.kind == WarningKind.SMALL_MARGIN]


@pytest.mark.parametrize("cls", CLASSES)
def test_a_margin_that_makes_all_triplets_inactive_is_reported_with_one_that_fits(cls):
    x, labels = far_apart()
    loss = cls(margin=0.3)
    assert loss.compute_loss_from_embeddings(x, labels) == 0
    loss.reset_warnings()
    (message,) = warnings_of(loss, x, labels)
    assert message.startswith("margin 0.3 is far below the euclidean distances of these embeddings (on average 5")
    assert "no triplet of the first batch has a loss above 0" in message
    assert "distance_metric='cosine'" in message
    fits = float(re.search(r"a margin near ([\d.]+)\.$", message)[1])
    assert cls(margin=fits).compute_loss_from_embeddings(x, labels) > 0
    assert warnings_of(cls(margin=fits), x, labels) == []
    assert warnings_of(loss, x, labels) == []  # once per run


def test_a_margin_in_the_wrong_unit_is_reported_although_some_triplets_are_active():
    x = 5 * torch.randn(32, 16, generator=torch.Generator().manual_seed(0))
    loss = losses.BatchSemiHardTripletLoss(margin=0.3)
    (message,) = warnings_of(loss, x, torch.arange(32) % 8)
    assert "once they differ by that little" in message


@pytest.mark.parametrize("margin", [0.05, 0.1, 0.3])
@pytest.mark.parametrize("distance", ["euclidean", "cosine"])
def test_usual_margins_of_unit_vectors_are_not_reported(margin, distance):
    x = torch.nn.functional.normalize(torch.randn(32, 16, generator=torch.Generator().manual_seed(0)), dim=1)
    assert warnings_of(losses.BatchSemiHardTripletLoss(None, distance, margin), x, torch.arange(32) % 8) == []


def test_no_warning_without_a_margin_or_without_a_triplet():
    x, labels = far_apart()
    assert warnings_of(losses.BatchHardSoftMarginTripletLoss(), x, labels) == []
    unit = torch.nn.functional.normalize(x, dim=1)
    assert warnings_of(losses.BatchHardTripletLoss(margin=0.1), unit, torch.arange(6)) == []


def test_given_triplets_are_measured_too():
    x, _ = far_apart()
    loss = losses.TripletLoss(triplet_margin=0.3)
    with collect_warnings() as collected:
        assert loss.compute_loss_from_embeddings([x[:1], x[1:2], x[3:4]]) == 0
    assert [warning.kind for warning in collected] == [WarningKind.SMALL_MARGIN]


def test_distances_of_a_function_are_measured_on_the_complete_batch():
    def function(x):
        return norms_of_differences(x, x)

    x, labels = far_apart()
    negatives, gaps = batch_distances(x, labels, get_distance(function))
    assert len(negatives) == 18
    assert len(gaps) == 6 * 2 * 3
    assert negatives.min() > gaps.max() > 0


def test_fitting_margins_have_two_digits():
    assert [fitting_margin(mean) for mean in (1.2, 0.02, 4321.0, 0.0)] == [0.3, 0.005, 1100.0, 0.0]
    assert fitting_margin(1.2, gap=0.701) == 0.71
