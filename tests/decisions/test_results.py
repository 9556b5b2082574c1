import json
from dataclasses import replace

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
        assert row["top_labels"] == found.top_labels[number].tolist() == [row["predicted"], row["runner_up"]]
        assert row["top_probabilities"] == found.top_probabilities[number].tolist()
        assert "neighbours" not in row
    assert {row["label"] for row in rows} > {None}
    assert found.labels.dtype == object
    assert found.accepted.dtype == bool
    assert np.array_equal(found.accepted, [row["reason"] is None for row in rows])


def test_dictionaries_have_the_evidence_if_it_was_asked_for(fitted):
    found = fitted.decision(blobs(5, seed=9)[0], explain=True, top=3)
    for number, row in enumerate(json.loads(json.dumps(found.to_dicts()))):
        assert len(row["top_labels"]) == len(row["top_probabilities"]) == 3
        assert [part["row"] for part in row["neighbours"]] == found.neighbours[number].tolist()
        assert [part["label"] for part in row["neighbours"]] == found.neighbour_labels[number].tolist()
        assert [part["similarity"] for part in row["neighbours"]] == found.neighbour_similarities[number].tolist()
        assert "text" not in row["neighbours"][0]
    texts = as_objects([["one", "two", "three"]] * 5)
    (first, *_) = replace(found, neighbour_texts=np.array(texts.tolist(), dtype=object)).to_dicts()
    assert [part["text"] for part in first["neighbours"]] == ["one", "two", "three"]


def test_dictionaries_have_the_levels_if_answers_may_be_parents(fitted):
    found = fitted.decision(blobs(2, seed=9)[0])
    levels = {"levels_left_out": np.array([0, 1]), "parent_confidence": np.array([np.nan, 0.75])}
    rows = json.loads(json.dumps(replace(found, **levels).to_dicts()))
    assert [(row["levels_left_out"], row["parent_confidence"]) for row in rows] == [(0, None), (1, 0.75)]
