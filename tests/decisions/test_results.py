import json

import numpy as np

from tercet.decisions.results import as_objects, reason_of
from tests.decisions.data import blobs


def test_reasons():
    assert reason_of(True, True) is None
    assert reason_of(False, True) == "between labels"
    assert reason_of(True, False) == "unlike anything seen"
    assert reason_of(False, False) == "between labels and unlike anything seen"


def test_objects_are_not_joined_into_an_array():
    assert as_objects([[1, 2], [3, 4]]).shape == (2,)
    assert as_objects([]).shape == (0,)


def test_decisions_as_dictionaries_are_json(fitted):
    found = fitted.decision(blobs(20, seed=9, noise=0.8)[0], threshold=0.9)
    rows = json.loads(json.dumps(found.to_dicts()))
    assert len(rows) == len(found) == 20
    for number, row in enumerate(rows):
        assert row["label"] == (None if found.reasons[number] else row["predicted"])
        assert row["reason"] == found.reasons[number]
        assert row["confidence"] == found.confidence[number]
        assert row["runner_up"] != row["predicted"]
    assert {row["label"] for row in rows} > {None}
    assert found.labels.dtype == object
    assert found.accepted.dtype == bool
    assert np.array_equal(found.accepted, [row["reason"] is None for row in rows])
