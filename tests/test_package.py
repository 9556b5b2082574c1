"""The package itself: light to import, whole as a wheel."""

import subprocess
import sys

import pytest

import tercet

_HEAVY = ("torch", "transformers", "datasets", "numpy", "rich.console")


@pytest.mark.parametrize("statement", ["import tercet", "from tercet.cli.app import app"])
def test_importing_loads_nothing_heavy(statement):
    code = f"import sys; {statement}; print([name for name in {_HEAVY} if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"


def test_public_names_are_there():
    for name in tercet.__all__:
        assert getattr(tercet, name) is not None
    assert set(tercet.__all__) <= set(dir(tercet))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        tercet.nothing  # noqa: B018
