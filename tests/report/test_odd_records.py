"""Reports of odd records: metrics without a value, no content, labels that look like code, one label or a thousand."""

from dataclasses import replace

import pytest

from tercet.records import EvaluationRecord, RowCounts, RunRecord
from tercet.report import write_evaluation_report, write_run_report
from tests.report.helpers import LOG, RECORD, Tags, evaluated


@pytest.mark.parametrize("value", [None, float("nan")])
def test_a_metric_without_a_value_is_a_dash_and_no_change_is_claimed(value, tmp_path):
    """A record has null for NaN, as a metric of a plugin may return it."""
    before, after = {"map@r": value, "recall@1": 0.25}, {"map@r": 0.5, "recall@1": value, "new": 0.75}
    record = replace(RECORD, evaluation={"among_themselves": EvaluationRecord(before=before, after=after)})
    write_run_report(tmp_path / "r.html", record, LOG, None)
    words = [word for word in Tags((tmp_path / "r.html").read_text("utf-8")).words if word.strip()]
    assert "MAP@R – → 0.5000" in words
    assert "MAP@R has no value before or after the training." in words
    at = words.index("change") + 1
    assert words[at : at + 12] == [
        "MAP@R", "–", "0.5000", "–", "recall@1", "0.2500", "–", "–", "new", "–", "0.7500", "–"
    ]  # fmt: skip
    rows = RowCounts(rows=2, measured=2)
    for metrics, headline in ((before, "MAP@R –"), ({"new": 0.75}, "new 0.7500"), ({}, None)):
        write_evaluation_report(
            tmp_path / "e.html", model="m", data="d", reference=None, metrics=metrics, protocol="among_themselves",
            rows=rows,
        )  # fmt: skip
        words = Tags((tmp_path / "e.html").read_text("utf-8")).words
        assert headline is None or headline in words


def test_an_empty_record_has_a_page(tmp_path):
    write_run_report(tmp_path / "r.html", RunRecord(), [], None)
    assert "None" not in " ".join(Tags((tmp_path / "r.html").read_text("utf-8")).words)


@pytest.mark.slow
@pytest.mark.parametrize(
    "labels",
    [
        ["<b onclick=alert(1)>1</b>", "<script>x</script>", "</script>"], ["L" * 10_000, "L" * 9_999 + "M"], ["only"],
        ["", " "], ["__proto__", "constructor"], ["NaN", "None", "inf"], [f"label {n}" for n in range(1000)],
    ],
    ids=["markup", "long", "one", "blank", "names of JavaScript", "names of nothing", "a thousand"],
)  # fmt: skip
@pytest.mark.parametrize("rows", [1, 3])
def test_odd_labels_have_a_page_without_markup(labels, rows, tmp_path):
    of_rows = [label for label in labels for _ in range(rows)]
    sentences = [f"sentence {row}" for row in range(len(of_rows))]
    write_run_report(tmp_path / "r.html", RECORD, LOG, evaluated(sentences, of_rows))
    page = Tags((tmp_path / "r.html").read_text("utf-8"))
    assert page.tags["script"] == 2
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    assert max(map(len, page.words)) < 6_000  # of the style
