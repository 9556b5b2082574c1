"""The bundled sentences: real text without a download."""

import sys
from collections import Counter

import pytest

from tercet.data import bundled
from tercet.errors import DataError


@pytest.mark.slow
def test_docstrings_of_the_standard_library():
    sentences, labels = bundled.standard_library_docstrings()
    counts = Counter(labels)
    assert {"read", "remove", "send", "set", "write"} <= set(counts)
    assert min(counts.values()) >= 20
    assert max(counts.values()) <= 150
    assert 900 < len(sentences) < 2500
    assert len(set(sentences)) == len(sentences)
    assert (sentences, labels) == bundled.standard_library_docstrings()
    assert "tkinter.messagebox" not in sys.modules, "sources are read, not imported"


def functions(*named):
    """Return a source file with functions of these names, each with a docstring."""
    return "\n".join(f"def {name}():\n    {docstring!r}" for name, docstring in named)


def test_the_label_is_the_first_word_of_the_name(tmp_path, monkeypatch):
    monkeypatch.setattr(bundled, "_MIN_SENTENCES", 2)
    names = ("read_text", "_readLine", "ReadAll")
    for number, name in enumerate(names):
        source = functions((name, f"Give the text number {number}. More text."), ("open", f"Open number {number} now."))
        (tmp_path / f"module_{number}.py").write_text(source)
    (tmp_path / "test").mkdir()
    (tmp_path / "test" / "skipped.py").write_text(functions(("read_test", "Give a test a text.")))
    sentences, labels = bundled.standard_library_docstrings(tmp_path)
    assert labels == ["open"] * 3 + ["read"] * 3
    assert sentences[3:] == [f"Give the text number {number}." for number in range(3)]


def test_sentences_that_give_the_label_away_or_have_two_are_left_out(tmp_path, monkeypatch):
    monkeypatch.setattr(bundled, "_MIN_SENTENCES", 1)
    for number in range(3):
        source = functions(
            ("read_text", f"Give the text number {number}."),
            ("read_line", "read_line() gives a line."),
            ("read_both", "Give all there is."),
            ("load_both", "Give all there is."),
            ("load_one", f"Give the object number {number}."),
            ("__read__", "Give a text in secret."),
            ("read_word", "Too short."),
        )
        (tmp_path / f"module_{number}.py").write_text(source)
    (tmp_path / "module_3.py").write_text(functions(("alone_one", "Give a word of one module.")))
    sentences, labels = bundled.standard_library_docstrings(tmp_path)
    assert set(labels) == {"load", "read"}
    assert sorted(sentences) == sorted(f"Give the {kind} number {n}." for kind in ("object", "text") for n in range(3))


def test_a_build_without_sources_is_refused(tmp_path):
    (tmp_path / "broken.py").write_text("def (")
    with pytest.raises(DataError, match="found no docstrings under"):
        bundled.standard_library_docstrings(tmp_path)
