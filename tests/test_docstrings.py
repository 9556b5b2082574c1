"""The examples in docstrings run, and print what they say."""

import doctest
import importlib
from pathlib import Path

import pytest

import tercet

_SOURCE = Path(tercet.__file__).parents[1]
_MODULES = [
    ".".join(path.relative_to(_SOURCE).with_suffix("").parts).removesuffix(".__init__")
    for path in sorted((_SOURCE / "tercet").rglob("*.py"))
    if ">>> " in path.read_text(encoding="utf-8")
]
# Their examples encode with the bundled model, or train for seconds.
_SLOW = {"tercet.data.bundled", "tercet.heads.choice", "tercet.decisions.classifier"}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name in _SLOW else name for name in _MODULES]
)
def test_examples(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # Some examples write a file.
    found = doctest.testmod(importlib.import_module(name))
    assert found.failed == 0
    assert found.attempted


def test_there_are_examples():
    assert len(_MODULES) >= 80
