"""The monitor on made-up statistics: each planted failure gets its warning, and healthy runs get none."""

import json
import logging

import pytest
import torch
from torch import nn

from tercet import losses
from tercet._events import WarningKind, collect_warnings, emit_warning
from tercet.distances import MANHATTAN
from tercet.losses._engine.stats import LossStats
from tercet.trainer.logs.monitor import MIN_BATCHES, WINDOW, TrainingMonitor

COLLAPSE = WarningKind.COLLAPSE
INACTIVE_TRIPLETS = WarningKind.INACTIVE_TRIPLETS
LABELS_NOT_SEPARATED = WarningKind.LABELS_NOT_SEPARATED


def _batch(positive=0.5, negative=1.0, anchors=8, active=10):
    return LossStats(
        anchors=anchors, valid_triplets=100, mined_triplets=20, active_triplets=active,
        mean_positive_distance=positive, mean_negative_distance=negative,
        mean_hardest_positive_distance=positive, mean_hardest_negative_distance=negative,
        positive_pairs=16, negative_pairs=48,
    )  # fmt: skip


def _warnings(batches, norms=None, finish=False, **options):
    """The warnings of a monitor that observes these batches, as pairs of kind and message."""
    monitor = TrainingMonitor(**options)
    with collect_warnings() as warnings:
        for at, batch in enumerate(batches):
            monitor.observe(batch, norms[at] if norms else 1.0)
        if finish:
            monitor.finish()
    return [(warning.kind, warning.message) for warning in warnings]


@pytest.mark.parametrize(
    ("batches", "kind", "words"),
    [
        ([_batch()] + [_batch(0.1, 0.1)] * WINDOW, COLLAPSE, "sentences with different labels relative to their norm"),
        ([_batch()] + [_batch(0.0, 0.0)] * WINDOW, COLLAPSE, "and is 0 now"),
        ([_batch(active=0)] * WINDOW, INACTIVE_TRIPLETS, "so the model no longer learns. Stop the run"),
        ([_batch(1.01, 1.0)] * WINDOW, LABELS_NOT_SEPARATED, "Check that the labels or the triplets are right"),
        (
            [_batch(0.98, 1.0), _batch(1.0, 0.98)] * (WINDOW // 2),
            LABELS_NOT_SEPARATED,
            "Check that the labels or the triplets are right",
        ),
    ],
)
def test_a_failure_is_reported_once(batches, kind, words):
    warnings = _warnings(batches * 3)
    assert [found for found, _ in warnings].count(kind) == 1
    (message,) = [message for found, message in warnings if found == kind]
    assert words in message
    assert sum(words in message for _, message in warnings) == 1


def test_a_warning_is_logged_and_can_be_stored_as_json(caplog):
    with caplog.at_level(logging.WARNING, "tercet"), collect_warnings() as warnings:
        emit_warning(COLLAPSE, "the embeddings have collapsed")
    emit_warning(COLLAPSE, "after the block")
    assert json.loads(json.dumps([warning.to_dict() for warning in warnings])) == [
        {"kind": "collapse", "message": "the embeddings have collapsed"}
    ]
    assert caplog.records[0].getMessage() == "the embeddings have collapsed"


@pytest.mark.parametrize(
    "batches",
    [
        [_batch()] * 200,
        [_batch(0.5 - step / 200, 1.0, active=40 - step // 2) for step in range(80)],
        [_batch(active=0)] * (WINDOW - 1) + [_batch()],
        [_batch()] * WINDOW + [_batch(0.99, 1.0)] * WINDOW,
        [_batch(0.98, 1.0)] * WINDOW,  # hard to learn, but nearer in every batch
        [_batch()] * 15 + [_batch(0.2, 0.2)] + [_batch()] * 15,  # one batch is no collapse
        [_batch(anchors=0, active=0)] * WINDOW,  # the loss warns about it
    ],
)
def test_a_healthy_run_gets_no_warning(batches):
    assert _warnings(batches) == []


def _collapses(*args, **options):
    return [message for kind, message in _warnings(*args, **options) if kind == COLLAPSE]


def test_a_collapse_is_measured_relative_to_the_norm_if_the_distance_scales_with_it():
    grown = [_batch()] + [_batch(10.0, 10.0)] * WINDOW
    (message,) = _collapses(grown, [1.0] + [100.0] * WINDOW)
    assert "relative to their norm was 1 in the first batch and is 0.19 now" in message
    longer = [1.0] + [10.0] * WINDOW  # the cosine does not change with the norm
    assert not _collapses([_batch()] + [_batch(1.0, 1.0)] * WINDOW, longer, scales_with_norm=False)
    shorter = [1.0] + [0.03] * WINDOW
    warnings = _warnings([_batch()] + [_batch(0.01, 0.01)] * WINDOW, shorter, scales_with_norm=False)
    assert "different labels was 1 in the first batch" in warnings[0][1]


def test_the_labels_are_not_judged_while_the_embeddings_collapse():
    assert _warnings([_batch()] + [_batch(0.4, 0.4)] * (WINDOW - 1)) == []


def test_a_short_run_is_checked_when_it_ends():
    assert _warnings([_batch(active=0)] * MIN_BATCHES) == []
    ((kind, _),) = _warnings([_batch(active=0)] * MIN_BATCHES, finish=True)
    assert kind == WarningKind.NOTHING_LEARNED
    ((kind, message),) = _warnings([_batch(active=0)], finish=True)
    assert kind == WarningKind.NOTHING_LEARNED
    assert "not one triplet of the 1 batch of the run had a loss above 0" in message
    active = [_batch(), *[_batch(active=0)] * MIN_BATCHES]
    assert _warnings(active, finish=True) == []
    assert [kind for kind, _ in _warnings([*active, *[_batch(active=0)] * WINDOW], finish=True)] == [INACTIVE_TRIPLETS]


def test_a_resumed_run_does_not_judge_the_labels():
    assert _warnings([_batch(1.01, 1.0)] * WINDOW, resumed=True) == []


def test_a_soft_margin_always_has_a_loss():
    assert _warnings([_batch(active=0)] * WINDOW, has_margin=False) == []


@pytest.mark.parametrize(
    ("make_loss", "scales_with_norm", "has_margin"),
    [
        (lambda: losses.BatchHardTripletLoss(distance_metric="euclidean"), True, True),
        (lambda: losses.BatchHardTripletLoss(distance_metric="cosine"), False, True),
        (lambda: losses.TripletLoss(distance_metric=MANHATTAN), True, True),
        (lambda: losses.BatchAllTripletLoss(distance_metric=lambda x: torch.cdist(x, x)), False, True),
        (losses.BatchHardSoftMarginTripletLoss, True, False),
        (nn.Identity, False, True),  # a custom loss of unknown properties
    ],
)
def test_the_monitor_takes_the_properties_of_the_loss_from_its_distance_and_the_catalogue(
    make_loss, scales_with_norm, has_margin
):
    monitor = TrainingMonitor.for_loss(make_loss())
    assert (monitor._scales_with_norm, monitor._has_margin) == (scales_with_norm, has_margin)


def test_a_head_that_separates_all_triplets_is_no_problem(caplog):
    """Nothing is left to learn for the encoder, so no warning gives advice that would make the model worse."""
    with collect_warnings() as warnings, caplog.at_level(logging.INFO):
        monitor = TrainingMonitor(after_head=True)
        for _ in range(WINDOW):
            monitor.observe(_batch(active=0), 1.0)
        monitor.finish(unchanged=True)
    assert not warnings
    expected = "the encoder was not trained further: after the head, all mined triplets of the 30 batches satisfy"
    assert caplog.messages == [f"{expected} the margin already"]


def test_after_a_head_labels_that_are_not_separated_are_still_a_warning():
    with collect_warnings() as warnings:
        monitor = TrainingMonitor(after_head=True)
        for _ in range(MIN_BATCHES):
            monitor.observe(_batch(active=5, positive=1.0, negative=1.0), 1.0)
        monitor.finish(restored=True)
    assert [warning.kind for warning in warnings] == [WarningKind.LABELS_NOT_SEPARATED]


def test_after_a_head_the_state_before_the_first_change_may_be_the_best(caplog):
    with collect_warnings() as warnings, caplog.at_level(logging.INFO):
        monitor = TrainingMonitor(after_head=True)
        monitor.observe(_batch(active=5), 1.0)
        monitor.finish(restored=True)
    assert not warnings
    assert caplog.messages == [
        "the encoder was not trained further: after the head, the best state is the one before the first change of a "
        "weight"
    ]
