"""The sections on decisions: promise and measurement, plots, answers per label, rejected sentences."""

import html
import re
from dataclasses import replace

import numpy as np
import pytest

from tercet.decisions import LabelClassifier
from tercet.decisions.judged_decisions import ChosenLimits
from tercet.decisions.judging import choose_limits, judge, judge_calibration
from tercet.records import RowCounts
from tercet.report.decision_plots import precision_by_coverage, reliability_diagram
from tercet.report.decisions import decision_sections
from tercet.report.evaluation_report import write_evaluation_report
from tercet.report.page import Wide
from tercet.report.page_table import Table
from tercet.report.run_report import write_run_report
from tests.decisions.test_judging import blobs
from tests.report.helpers import LOG, NASTY, RECORD, Tags, decided, gain, titles

NAMES = [f"label {number}" for number in range(30)]
SECTIONS = ["Decisions", "Answers per label", "Rejected sentences"]


def write(path, judged, **more):
    """Write the report of an evaluation and return its text."""
    write_evaluation_report(
        path, model="my-model", data="test.csv", reference=None, metrics={"map@r": 0.5, "recall@1": 0.75},
        protocol="among_themselves", rows=RowCounts(rows=40, measured=40), decisions=judged, **more,
    )  # fmt: skip
    return path.read_text(encoding="utf-8")


def texts_of(judged, number, **options):
    return " ".join(part for part in decision_sections(judged, **options)[number].parts if isinstance(part, str))


def tables_of(judged, number, **options):
    return [part for part in decision_sections(judged, **options)[number].parts if isinstance(part, Table)]


def test_the_curve_has_the_chosen_point_on_it_and_the_promised_line():
    judged = decided(NAMES)
    curve = judged.risk_coverage
    figure = precision_by_coverage(curve, (judged.coverage, judged.precision), 0.9)
    line, point = figure.data
    at = int(np.argmin(np.abs(np.array(line.x) - point.x[0])))
    assert (line.x[at], line.y[at]) == pytest.approx((point.x[0], point.y[0]), abs=1e-4)
    assert figure.layout.shapes[0].y0 == 0.9
    assert line.x[-1] == 1
    assert line.y[-1] == pytest.approx(judged.correct.mean(), abs=1e-4)
    large = decided(NAMES, rows=200)
    drawn = precision_by_coverage(large.risk_coverage).data[0]
    assert len(drawn.x) == 1000
    assert drawn.x[-1] == 1


def test_the_bars_of_the_diagram_are_the_fractions_of_right_answers():
    judged = decided(NAMES)
    bars, diamonds, _, counts = reliability_diagram(judged.reliability).data
    assert sum(counts.y) == len(judged)
    for x, y, confidence in zip(bars.x, bars.y, diamonds.x, strict=True):
        inside = np.abs(judged.confidence - x) <= 1 / 30
        assert y == pytest.approx(judged.correct[inside].mean(), abs=1e-4)
        assert confidence == pytest.approx(judged.confidence[inside].mean(), abs=1e-4)
    one = replace(
        judged, label_ids=judged.label_ids[:1], predicted_ids=judged.predicted_ids[:1], confidence=np.array([1.0])
    )
    assert list(reliability_diagram(one.reliability).data[0].x) == [pytest.approx(1 - 1 / 30)]


def test_the_text_has_the_promise_and_what_was_measured():
    judged = decided(NAMES)
    text = texts_of(judged, 0)
    assert judged.limits.promise.describe() in text
    answered = judged.answered
    assert f"{answered.sum()} of 600 ({judged.coverage:.1%}) are answered" in text
    assert f"{judged.correct[answered].sum()} of the answers ({judged.precision:.1%}) are right" in text
    assert f"ECE {judged.reliability.error:.3f}" in text
    assert f"would have about {judged.calibration_error_by_chance:.3f}" in text
    assert f"{judged.risk_coverage.area:.3f}" in text


@pytest.mark.slow
def test_answers_with_parents_are_counted_by_level():
    judged = decided(["a/x/1", "a/x/2", "b/y"])
    steps = np.where(judged.answered, np.arange(len(judged)) % 3, 0)
    judged = replace(judged, levels_left_out=steps, parent_right=steps > 0)
    one, two = (int((steps == up).sum()) for up in (1, 2))
    levels = f"(1 level left out: {one}, 2 levels: {two})"
    assert f"{one + two} answers are parents of the likeliest label {levels}, of which" in texts_of(judged, 0)
    assert f"{one + two} of them with a parent of the label {levels}; " in judged.describe()
    assert judged.to_dict()["answered_by_levels_left_out"] == {"1": one, "2": two}
    assert "levels" not in replace(judged, levels_left_out=np.minimum(steps, 1)).describe()


def test_precision_and_recall_of_a_label_count_what_was_rejected():
    judged = decided(NAMES)
    worst, every, *_ = tables_of(judged, 1)
    assert worst.caption == "The 20 worst of 30 labels"
    f1 = [float(row[5]) for row in every.rows]
    assert f1 == sorted(f1)
    answered, right = judged.answered, judged.correct & judged.answered
    for name, size, rejected, precision, recall, *_ in every.rows:
        at = NAMES.index(name)
        given, answers = judged.label_ids == at, answered & (judged.predicted_ids == at)
        assert (size, rejected) == ("20", str((given & ~answered).sum()))
        assert recall == f"{(right & given).sum() / 20:.1%}"
        assert precision == (f"{(right & answers).sum() / answers.sum():.1%}" if answers.any() else "–")
    (matrix,) = [part for part in decision_sections(judged)[1].parts if isinstance(part, Wide)]
    assert sum(int(text) for trace in matrix.plot.data for text in trace.text) == answered.sum()


def test_the_surest_wrong_answers_are_listed_with_their_label():
    judged = decided(NAMES)
    table = tables_of(judged, 1)[-1]
    wrong = judged.answered & ~judged.correct
    assert table.caption == f"The 15 surest of {wrong.sum()} wrong answers"
    surest = int(np.flatnonzero(wrong)[judged.confidence[wrong].argmax()])
    answer = NAMES[judged.predicted_ids[surest]]
    assert table.rows[0] == [
        f"sentence number {surest} [{NAMES[judged.label_ids[surest]]}]", answer, f"{judged.confidence[surest]:.3f}",
    ]  # fmt: skip


def test_answers_to_sentences_with_an_unknown_label_are_no_label_issues():
    judged = decided(NAMES, unknown=("weather",))
    table = tables_of(judged, 1)[-1]
    wrong = judged.answered & ~judged.correct
    shown = (wrong & judged.known).sum()
    assert table.caption == f"The {shown} surest of {shown} wrong answers"
    assert (wrong & ~judged.known).any()
    assert not any("[weather]" in row[0] for row in table.rows)


@pytest.mark.slow
def test_rejected_sentences_are_counted_by_reason_and_have_examples():
    judged = decided(NAMES, max_novelty=0.8)
    reasons, pairs, novel = tables_of(judged, 2)
    counts = {row[0]: int(row[1]) for row in reasons.rows}
    assert counts == {
        reason: judged.reasons.count(reason)
        for reason in ("between labels", "unlike anything seen", "between labels and unlike anything seen")
    }
    assert sum(counts.values()) == (~judged.answered).sum()
    assert pairs.rows[0][0].startswith("label ")
    doubtful = [row for row, reason in enumerate(judged.reasons) if reason and "between" in reason]
    ids = {(*sorted((judged.predicted_ids[row], judged.runner_up_ids[row])),) for row in doubtful}
    assert pairs.caption.endswith(f"of {len(ids)} pairs")
    values = [float(row[3]) for row in novel.rows]
    assert values == sorted(values, reverse=True)
    assert values[0] == pytest.approx(judged.novelty.max(), abs=1e-3)
    assert "No limit of the novelty was set" not in texts_of(judged, 2)
    assert "No limit of the novelty was set" in texts_of(decided(NAMES), 2)


@pytest.mark.slow
def test_unknown_labels_are_counted_apart_and_not_listed_as_labels():
    judged = decided(NAMES[:3], unknown=["new", "newer"])
    text = texts_of(judged, 0)
    rejected = (~judged.answered[60:]).sum()
    assert (
        f"40 rows have a label that the classifier does not know, so the right decision is no answer: {rejected}"
        in text
    )
    labels, errors, *_ = tables_of(judged, 1)
    assert {row[0] for row in labels.rows} == set(NAMES[:3])
    assert "new" in {row[0] for row in errors.rows}


@pytest.mark.slow
def test_nothing_answered_nothing_rejected_and_no_rows():
    judged = decided(NAMES[:3])
    nothing = replace(judged, reasons=["between labels"] * len(judged))
    assert decision_sections(nothing)[1].parts == ["No row is answered."]
    everything = replace(judged, reasons=[None] * len(judged), limits=ChosenLimits(note="too few rows"))
    assert decision_sections(everything)[2].parts == ["No row is rejected."]
    assert "All rows are answered: too few rows." in texts_of(everything, 0)
    empty = np.empty(0, dtype=int)
    none = replace(judged, label_ids=empty, predicted_ids=empty, confidence=np.empty(0), reasons=[])
    assert [section.title for section in decision_sections(none)] == ["Decisions"]


@pytest.mark.slow
@pytest.mark.parametrize("texts", [True, False])
def test_no_text_of_the_data_becomes_markup_and_none_is_shown_without_texts(tmp_path, texts):
    names = [f"{nasty} {number}" for number, nasty in enumerate(NASTY)]
    sentences = [f"{NASTY[number % len(NASTY)]} sentence-of-row{number}" for number in range(240)]
    text = write(tmp_path / "e.html", decided(names, max_novelty=0.5, sentences=sentences), texts=texts)
    page = Tags(text)
    assert titles(text) == [*SECTIONS, "Metrics"]
    assert page.tags["script"] == 2
    assert not {"i", "b"} & set(page.tags)
    assert any("<script>alert(1)</script> 0" in words for words in page.words)
    assert ("sentence-of-row" in text) == texts
    assert ("row 1,0" in text) != texts
    assert ("This page contains sentences from the data" in text) == texts
    assert ("The sentences of the data are left out" in text) != texts


@pytest.mark.slow
def test_1000_labels_do_not_explode_the_page(tmp_path):
    judged = decided([f"{number} {'&' * 100}" for number in range(1000)], rows=4, max_novelty=0.9)
    text = write(tmp_path / "e.html", judged)
    assert "The 500 worst of 1,000 labels" in text
    assert len(text) < 6_000_000


@pytest.mark.slow
def test_the_report_of_a_run_has_the_sections_and_the_warnings(tmp_path):
    judged = decided(NAMES, min_precision=0.999)
    write_run_report(tmp_path / "r.html", RECORD, LOG, None, decisions=judged)
    text = (tmp_path / "r.html").read_text()
    assert titles(text)[:5] == ["Was it worth it?", *SECTIONS, "Metrics"]
    assert f"<span>{html.escape(judged.shortfall)}" in text
    assert "less than the promised 99.9%" in judged.shortfall
    few = decided(NAMES, rows=1, min_precision=0.99)
    assert few.shortfall.endswith("may be chance")
    assert f"{few.shortfall}." in texts_of(few, 0)
    write_run_report(tmp_path / "f.html", RECORD, LOG, None, decisions=few)
    assert 'class="alert"' not in (tmp_path / "f.html").read_text()


@pytest.mark.slow
def test_the_report_of_an_evaluation_has_all_that_the_command_prints(tmp_path):
    judged, found = decided(NAMES), gain()
    text = write(
        tmp_path / "e.html", judged, gain=found, classifiers=found.trained, warnings=["mind the gap"],
        command="tercet evaluate my-model test.csv",
    )  # fmt: skip
    assert titles(text) == [*SECTIONS, "Was it worth it?", "Metrics", "To repeat the evaluation"]
    for part in ("mind the gap", found.sentence, "0.5000", "0.7500", "tercet evaluate my-model test.csv"):
        assert html.escape(part) in text
    assert f'class="headline">At 90% promised precision, {judged.coverage:.1%} of 600 rows' in text
    plain = write(tmp_path / "p.html", None, classifiers=found.trained)
    assert titles(plain) == ["Metrics", "Classifiers"]
    assert 'class="headline">MAP@R 0.5000' in plain


@pytest.mark.slow
def test_a_fitted_classifier_on_new_rows_and_on_its_held_out_rows(tmp_path):
    x, labels = blobs(300)
    held_out = blobs(300, seed=8)
    classifier = LabelClassifier().fit(x, labels, calibration_data=held_out)
    limits = choose_limits(classifier)
    found = replace(judge_calibration(classifier, limits=limits), source="the held-out rows")
    text = texts_of(found, 0)
    assert "The held-out rows (300). The temperature and the thresholds of the classifier come from these" in text
    assert "before the rows joined the training rows" in text
    assert found.warnings == []
    new = judge(classifier, *blobs(300, seed=5, noise=1.5, shift=4.0), limits=limits)
    new = replace(new, sentences=[f"new sentence {number}" for number in range(300)])
    assert "The classifier was not fitted to these rows." in texts_of(new, 0)
    page = write(tmp_path / "e.html", new)
    assert page.count('class="alert"') == 2
    assert "they are different, so the measured precision and coverage do not hold for them" in page
    assert "less than the promised 95%" in page


@pytest.mark.slow
def test_a_sentence_that_is_not_known_is_shown_by_its_number():
    data = blobs(300, noise=0.6, seed=8)
    hard = LabelClassifier().fit(*blobs(300, noise=0.6), calibration_data=data)
    sentences = {number: f"text {number}" for number in range(300, 450)}
    found = judge_calibration(hard, limits=choose_limits(hard), sentences=sentences)
    (pairs,) = [table for table in tables_of(found, 2) if table.caption.startswith("Between")]
    shown = [re.fullmatch(r"(text|row) (\d+) \[label \d\]", row[2]).groups() for row in pairs.rows]
    assert {kind for kind, _ in shown} == {"text", "row"}
    assert all((kind == "text") == (int(number) < 450) for kind, number in shown)


@pytest.mark.slow
def test_a_classifier_without_a_promise_says_why():
    classifier = LabelClassifier().fit(*blobs(300))
    judged = judge_calibration(classifier, limits=choose_limits(classifier))
    text = texts_of(judged, 0)
    assert "All rows are answered: no precision can be promised, because the encoder was trained on the rows" in text
    assert "other folds" in text
    hard = LabelClassifier(unseen_rows=True).fit(*blobs(300, noise=0.9))
    text = texts_of(judge_calibration(hard, limits=choose_limits(hard)), 0)
    assert "No threshold gives 95 % precision with 95 % confidence" in text
    assert "Instead, the highest one is taken. The promise: at " in text
