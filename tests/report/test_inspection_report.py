"""The report of an inspection: warnings come first, rows are listed, sections without findings are left out."""

import pytest

from tercet.inspection.inspection import inspect
from tercet.report.inspection_report import write_inspection_report
from tests.inspection.helpers import Blobs, ConstantModel, labelled, shuffled
from tests.report.helpers import Tags, titles


def _written(tmp_path, inspection):
    write_inspection_report(tmp_path / "i.html", inspection)
    text = (tmp_path / "i.html").read_text()
    return titles(text), Tags(text).words


@pytest.mark.slow
def test_a_warning_comes_before_everything_else(tmp_path):
    found = inspect(shuffled(), Blobs())
    headings, words = _written(tmp_path, found)
    assert found.with_model.warning in words[: words.index("rows")]
    assert headings[-1] == "Suggested settings"


def test_of_a_constant_model_only_lengths_are_shown(tmp_path):
    found = inspect(shuffled(), ConstantModel())
    headings, words = _written(tmp_path, found)
    assert headings == ["Texts and labels", "Lengths"]
    assert found.with_model.warning in words


def test_up_to_200_rows_are_listed(tmp_path):
    texts = [*[""] * 201, *["one a"] * 7, "one b"]
    _, words = _written(tmp_path, inspect(labelled(texts, ["x"] * 208 + ["y"])))
    assert "201 (row 0, 1, 2, 3, 4, …)" in words
    assert f"Empty texts: row {', '.join(map(str, range(200)))}, …" in words
    assert "Duplicates under the same label: row 202, 203, 204, 205, 206, 207" in words


def test_texts_that_are_all_empty(tmp_path):
    headings, words = _written(tmp_path, inspect(labelled(["", " "], ["x", "y"]), Blobs()))
    assert headings == ["Texts and labels"]
    assert "These data cannot be used for training: the data has no row with a text; all texts are empty" in words


def test_if_no_label_could_be_checked_the_report_does_not_say_that_there_is_no_issue(tmp_path):
    _, words = _written(tmp_path, inspect(labelled(["one a", "two a"], ["x", "x"]), Blobs()))
    assert "No label could be checked." in words
    assert "There is no label issue." not in words
