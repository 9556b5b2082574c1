"""Rows of another distribution than the training rows are reported."""

import logging

import numpy as np
import pytest

from tercet import LabelClassifier
from tests.decisions.data import blobs


@pytest.mark.parametrize("held_out", [False, True])
def test_rows_of_another_distribution_are_reported(held_out, caplog):
    x, ids = blobs(300, noise=0.2)
    calibration = blobs(150, noise=0.2, seed=1) if held_out else None
    classifier = LabelClassifier(unseen_rows=True).fit(x, ids, calibration_data=calibration)
    assert not classifier.decision(blobs(300, noise=0.2, seed=2)[0]).unfamiliar
    drifted = blobs(300, noise=0.2, seed=2)[0] + 0.7 * np.random.default_rng(5).normal(size=8).astype(np.float32)
    found = classifier.decision(drifted, min_precision=0.9)
    assert found.unfamiliar
    # The promise names the rows on which it was measured, and it is broken on these.
    assert "calibration rows" in classifier.promise(min_precision=0.9).describe()
    assert (found.predicted == blobs(300)[1])[found.accepted].mean() < 0.9
    warning = "have a novelty above 0.95, but only 5% of sentences like those of the training data have"
    remedies = {False: "; pass max_novelty='auto' to give them no answer, or label some", True: "; label some of them"}
    for limited, call in (
        (False, lambda: classifier.predict(drifted, min_precision=0.9)),
        (False, lambda: classifier.decision(drifted)),
        (True, lambda: classifier.predict(drifted, max_novelty="auto")),
    ):
        caplog.clear()
        with caplog.at_level(logging.WARNING, "tercet"):
            call()
        assert len(caplog.messages) == 1
        assert warning in caplog.text
        assert remedies[limited] in caplog.text


@pytest.mark.slow
def test_rows_of_the_same_distribution_are_seldom_reported():
    alarms = sum(
        LabelClassifier(method="class_means", unseen_rows=True)
        .fit(*blobs(90, seed=seed))
        .decision(blobs(200, seed=100 + seed)[0])
        .unfamiliar
        for seed in range(20)
    )
    assert alarms == 0
