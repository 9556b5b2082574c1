"""The training rows that a decision names as its evidence."""

import numpy as np

from tercet import LabelClassifier
from tests.conftest import EVALUATION_TOPICS
from tests.decisions.data import blobs

EVALUATION = [text for texts in EVALUATION_TOPICS.values() for text in texts]


def test_the_nearest_training_rows_are_named():
    x, ids = blobs(60)
    calibration = blobs(30, seed=1)
    # Of the calibration rows, the first is a copy of a training row and is left out.
    calibration[0][0] = x[0]
    classifier = LabelClassifier(unseen_rows=True).fit(x, ids, calibration_data=calibration)
    classifier.partial_fit(*blobs(5, seed=2))
    everything = np.concatenate([x, calibration[0], blobs(5, seed=2)[0]])
    labels = np.concatenate([ids, calibration[1], blobs(5, seed=2)[1]])
    for part in (x[7:9], calibration[0][4:6], blobs(5, seed=2)[0][3:]):
        found = classifier.decision(part, explain=True)
        assert found.neighbours.shape == found.neighbour_labels.shape == (2, 3)
        np.testing.assert_allclose(found.neighbour_similarities[:, 0], 1, atol=1e-3)
        np.testing.assert_allclose(everything[found.neighbours[:, 0]], part)
        for row in range(2):
            assert found.neighbour_labels[row].tolist() == labels[found.neighbours[row]].tolist()
            similarity = everything[found.neighbours[row]] @ part[row]
            similarity = (
                similarity / np.linalg.norm(everything[found.neighbours[row]], axis=1) / np.linalg.norm(part[row])
            )
            np.testing.assert_allclose(found.neighbour_similarities[row], similarity, atol=1e-3)
    assert found.neighbour_texts is None
    assert classifier.decision(x[:2]).neighbours is None


def test_rows_that_are_added_are_numbered_after_those_that_were_left_out(tmp_path):
    x, ids = blobs(30)
    calibration = blobs(6, seed=1)
    calibration[0][-1] = x[0]  # a copy of a training row, which is left out
    classifier = LabelClassifier(unseen_rows=True).fit(x, ids, calibration_data=calibration)
    classifier.partial_fit(*blobs(1, seed=2))
    classifier.save(tmp_path / "saved")
    loaded = LabelClassifier.load(tmp_path / "saved")
    for seed, expected in ((2, 36), (3, 37)):
        row = blobs(1, seed=seed)
        if seed == 3:
            loaded.partial_fit(*row)
        assert loaded.decision(row[0], explain=True).neighbours[0, 0] == expected


def test_kept_texts_are_shown(encoder, sentences, labels):
    classifier = LabelClassifier(encoder, keep_texts=True, unseen_rows=True)
    classifier.fit(sentences, labels, calibration_data=(EVALUATION[:2], ["sport", "sport"]))
    everything = [*sentences, *EVALUATION[:2]]
    found = classifier.decision([sentences[5], EVALUATION[1]], explain=True)
    assert found.neighbour_texts[:, 0].tolist() == [sentences[5], EVALUATION[1]]
    for texts, rows in zip(found.neighbour_texts.tolist(), found.neighbours.tolist(), strict=True):
        assert texts == [everything[row] for row in rows]
