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
    assert len(counts) == 40
    assert max(counts.values()) <= 120
    assert 1500 < len(sentences) < 4800
    assert {"email", "asyncio", "logging"} <= set(counts)
    assert len(set(sentences)) == len(sentences)
    assert "test" not in counts
    assert (sentences, labels) == bundled.standard_library_docstrings()
    assert "tkinter.messagebox" not in sys.modules, "sources are read, not imported"


def test_a_build_without_sources_is_refused(tmp_path):
    (tmp_path / "broken.py").write_text("def (")
    with pytest.raises(DataError, match="found only 0 docstring sentences under"):
        bundled.standard_library_docstrings(tmp_path)
