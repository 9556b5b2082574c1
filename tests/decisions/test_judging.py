"""Decisions about labelled rows: which rows, which limits, and what is said about them."""

import json

import numpy as np
import pytest

from tercet.decisions import LabelClassifier
from tercet.decisions.judging import choose_limits, judge, judge_calibration
from tercet.errors import DataError


def blobs(rows, labels=6, dim=16, noise=0.25, seed=0, shift=0.0):
    """Return embeddings in groups by label, and the labels, as text."""
    centres = np.random.default_rng(7).normal(size=(labels, dim))
    rng = np.random.default_rng(seed)
    ids = rng.integers(0, labels, rows)
    x = centres[ids] + noise * dim**0.5 * rng.normal(size=(rows, dim)) / 2
    x[:, 0] += shift
    return x.astype(np.float32), [f"label {number}" for number in ids]


@pytest.fixture(scope="module")
def classifier():
    return LabelClassifier(unseen_rows=True).fit(*blobs(600))


def test_the_numbers_are_those_of_counting(classifier):
    x, labels = blobs(400, seed=1)
    limits = choose_limits(classifier, 0.97)
    found = judge(classifier, x, labels, limits=limits)
    answers = classifier.predict(x, min_precision=0.97)
    given = [(answer, label) for answer, label in zip(answers, labels, strict=True) if answer is not None]
    assert 0 < len(given) < 400
    assert found.coverage == pytest.approx(len(given) / 400)
    assert found.precision == pytest.approx(np.mean([answer == label for answer, label in given]))
    assert found.accuracy == pytest.approx(classifier.score(x, labels))
    assert [found.label_names[number] for number in found.label_ids] == labels
    assert [found.label_names[number] for number in found.predicted_ids] == classifier.predict(x).tolist()
    assert f"at 97% promised precision, {found.coverage:.1%} of 400 rows are answered" in found.describe()
    curve = found.risk_coverage
    at = np.searchsorted(-curve.threshold, -limits.promise.threshold, side="right") - 1
    assert curve.coverage[at] == pytest.approx(found.coverage)
    assert curve.precision[at] == pytest.approx(found.precision)
    assert json.loads(json.dumps(found.to_dict(), allow_nan=False))["answered"] == len(given)


def test_an_unknown_label_is_never_right_and_is_counted_apart(classifier):
    x, labels = blobs(100, seed=2)
    labels[:10] = ["new"] * 10
    found = judge(classifier, x, labels, limits=choose_limits(classifier))
    assert found.label_names[found.num_known :] == ["new"]
    assert (~found.known).sum() == found.to_dict()["rows_with_unknown_label"] == 10
    assert not found.correct[:10].any()
    plain = judge(classifier, x[10:], labels[10:], limits=choose_limits(classifier))
    assert found.accuracy == plain.accuracy
    assert found.reliability.error == plain.reliability.error
    assert found.precision < plain.precision


def test_copies_of_training_rows_are_left_out(classifier):
    x, labels = blobs(600)
    new, new_labels = blobs(50, seed=3)
    found = judge(
        classifier, np.concatenate([x[:30], new]), labels[:30] + new_labels, limits=choose_limits(classifier),
        rows=range(100, 180),
    )  # fmt: skip
    assert found.left_out == 30
    assert found.rows.tolist() == list(range(130, 180))
    whole = judge(classifier, x[:30], labels[:30], limits=choose_limits(classifier), leave_out_copies=False)
    assert (len(whole), whole.left_out) == (30, 0)
    with pytest.raises(DataError, match="all 30 sentences of the evaluation rows are training sentences"):
        judge(classifier, x[:30], labels[:30], limits=choose_limits(classifier))


@pytest.mark.slow
def test_the_default_precision_falls_back_to_the_best_and_says_so():
    hard = LabelClassifier(unseen_rows=True).fit(*blobs(300, noise=0.9))
    limits = choose_limits(hard)
    assert "no threshold gives 95 % precision" in limits.note
    assert limits.promise is not None
    assert limits.promise.min_precision < 0.95
    with pytest.raises(DataError, match="no threshold gives 95 % precision"):
        choose_limits(hard, 0.95)
    few = LabelClassifier(unseen_rows=True).fit(blobs(6)[0], ["a", "b", "c"] * 2)
    assert choose_limits(few).promise is None
    assert "the highest precision that can be promised is" in choose_limits(few).note


def test_a_classifier_that_cannot_promise_answers_everything_and_says_why():
    seen = LabelClassifier().fit(*blobs(300))
    limits = choose_limits(seen)
    assert limits.promise is None
    assert "no precision can be promised, because the encoder was trained on the rows" in limits.note
    found = judge(seen, *blobs(40, seed=4), limits=limits)
    assert found.coverage == 1
    assert found.describe().startswith("without a limit, 100.0% of 40 rows")
    with pytest.raises(DataError, match="min_precision cannot be promised"):
        choose_limits(seen, 0.9)
    limited = choose_limits(seen, max_novelty=0.5)
    assert 0 < judge(seen, *blobs(40, seed=4), limits=limited).coverage < 1


def test_rows_unlike_the_gallery_are_a_warning_and_others_are_not(classifier):
    limits = choose_limits(classifier)
    assert judge(classifier, *blobs(300, seed=5), limits=limits).warnings == []
    warnings = judge(classifier, *blobs(300, seed=5, noise=1.5, shift=4.0), limits=limits).warnings
    assert "they are different, so the measured precision and coverage do not hold" in warnings[0]
    assert "of the evaluation rows are right, less than the promised 95%" in warnings[1].replace("answers to", "of")


def test_a_precision_below_the_promise_is_said_and_so_is_chance(classifier):
    x, labels = blobs(60, seed=6)
    limits = choose_limits(classifier)
    right = classifier.predict(x).tolist()
    assert judge(classifier, x, right, limits=limits).shortfall == ""
    answered = classifier.predict(x, min_precision=0.95)
    rows = [row for row, answer in enumerate(answered) if answer is not None]
    some = list(right)
    for row in rows[:4]:
        some[row] = next(label for label in labels if label != some[row])
    few = judge(classifier, x, some, limits=limits)
    assert few.shortfall.endswith("with so few answers, this may be chance")
    assert few.warnings == []
    for row in rows[:30]:
        some[row] = next(label for label in labels if label != right[row])
    many = judge(classifier, x, some, limits=limits)
    assert many.shortfall.endswith("less than the promised 95%")
    assert many.warnings == [many.shortfall]
    # 2,399 of 2,526 answers are right: 94.97 %.
    repeated = [*rows[:1] * 127, *rows[-1:] * 2399]
    nearly = judge(classifier, x[repeated], [some[row] for row in repeated], limits=limits)
    assert nearly.shortfall.startswith("94.97% of the 2,526 answers")


@pytest.mark.parametrize("held_out", [False, True])
def test_calibration_rows_have_their_labels_answers_and_numbers(tmp_path, held_out):
    x, labels = blobs(300)
    # Rows that cannot be used shift the numbers of the others: a copy of a training row and an unknown label.
    new, new_labels = blobs(200, seed=8)
    new[0], new_labels[1] = x[0], "unknown"
    data = {"calibration_data": (new, new_labels)} if held_out else {}
    classifier = LabelClassifier(unseen_rows=not held_out).fit(x, labels, **data)
    classifier.save(tmp_path / "c")
    expected = new_labels if held_out else labels
    for one in (classifier, LabelClassifier.load(tmp_path / "c")):
        first = 300 if held_out else 0  # the numbers of calibration data follow those of X
        texts = {first + number: f"text {number}" for number in range(len(expected) - 1)}
        found = judge_calibration(one, limits=choose_limits(one), sentences=texts)
        assert found.basis == ("held out" if held_out else "folds")
        positions = found.rows - first
        assert sorted(positions) == list(range(2, 200) if held_out else range(300))
        assert [found.label_names[number] for number in found.label_ids] == [expected[row] for row in positions]
        assert found.sentences == [texts.get(row) for row in found.rows]
        assert found.sentences.count(None) == 1
        assert found.accuracy == pytest.approx(one.scores_["chosen"])
        promise = found.limits.promise
        assert (found.coverage, found.precision) == (promise.coverage, promise.precision)
        assert (found.runner_up_ids != found.predicted_ids).all()


@pytest.mark.slow
def test_the_answers_for_held_out_rows_are_those_before_they_joined_the_gallery():
    x, labels = blobs(300, noise=0.9)
    new, new_labels = blobs(200, noise=0.9, seed=8)
    after = LabelClassifier(method="nearest_neighbours").fit(x, labels, calibration_data=(new, new_labels))
    found = judge_calibration(after, limits=choose_limits(after))
    before = LabelClassifier(method="nearest_neighbours", unseen_rows=True).fit(x, labels)
    predicted = [found.label_names[number] for number in found.predicted_ids]
    assert predicted == before.predict(new[found.rows - 300]).tolist()
    assert predicted != after.predict(new[found.rows - 300]).tolist()
    assert set(found.rows.tolist()) == set(range(300, 500))
