"""The package itself: light to import, whole as a wheel."""

import ast
import subprocess
import sys
from importlib import import_module
from pathlib import Path

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


_PACKAGES = [init.parent for init in sorted(Path(tercet.__file__).parent.glob("*/**/__init__.py"))]


@pytest.mark.parametrize("package", _PACKAGES, ids=lambda folder: folder.name)
def test_each_public_name_of_a_package_can_be_imported(package):
    name = ".".join(("tercet", *package.relative_to(Path(tercet.__file__).parent).parts))
    for public in getattr(import_module(name), "__all__", []):
        exec(f"from {name} import {public}", {})


@pytest.mark.parametrize("package", _PACKAGES, ids=lambda folder: folder.name)
def test_the_docstring_of_a_package_names_each_of_its_modules(package):
    text = ast.get_docstring(ast.parse((package / "__init__.py").read_text("utf-8"))) or ""
    modules = {path.name for path in package.glob("*.py")} - {"__init__.py"}
    modules |= {f"{init.parent.name}/" for init in package.glob("*/__init__.py")}
    assert {name for name in modules if name not in text} == set()
    named = {word.strip("(),.;:`") for word in text.split() if word.strip("(),.;:`").endswith(".py")}
    assert named <= modules
