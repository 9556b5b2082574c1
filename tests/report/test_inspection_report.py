"""The report of an inspection: warnings first, rows listed, nothing where nothing can be told."""

from tercet.inspection.inspection import inspect_data
from tercet.report.inspection_report import write_inspection_report
from tests.inspection.test_inspection import Blind, Blobs, labelled, shuffled
from tests.report.test_page import Tags, titles


def _written(tmp_path, inspection):
    write_inspection_report(tmp_path / "i.html", inspection)
    text = (tmp_path / "i.html").read_text()
    return titles(text), Tags(text).words


def test_a_warning_stands_before_everything_else(tmp_path):
    found = inspect_data(shuffled(), Blobs())
    headings, words = _written(tmp_path, found)
    assert found.with_model.warning in words[: words.index("rows")]
    assert headings[-1] == "To begin with"


def test_of_a_model_that_tells_nothing_apart_only_lengths_are_told(tmp_path):
    found = inspect_data(shuffled(), Blind())
    headings, words = _written(tmp_path, found)
    assert headings == ["Texts and labels", "Lengths"]
    assert found.with_model.warning in words


def test_up_to_200_rows_are_listed(tmp_path):
    texts = [*[""] * 201, *["one a"] * 7, "one b"]
    _, words = _written(tmp_path, inspect_data(labelled(texts, ["x"] * 208 + ["y"])))
    assert "201 (row 0, 1, 2, 3, 4, …)" in words
    assert f"Empty texts: row {', '.join(map(str, range(200)))}, …" in words
    assert "Copies under the same label: row 202, 203, 204, 205, 206, 207" in words


def test_texts_that_are_all_empty(tmp_path):
    headings, words = _written(tmp_path, inspect_data(labelled(["", " "], ["x", "y"]), Blobs()))
    assert headings == ["Texts and labels"]
    assert "Not fit to train on: the data has no row with a text" in words


def test_where_no_label_can_be_judged_none_is_called_undisputed(tmp_path):
    _, words = _written(tmp_path, inspect_data(labelled(["one a", "two a"], ["x", "x"]), Blobs()))
    assert "No label could be judged." in words
    assert "No label is disputed." not in words
