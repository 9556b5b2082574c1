"""Docs and examples import public names only: those in the `__all__` of a package or module of Tercet."""

import ast
import re
from importlib import import_module

import pytest

from tests.docs.pages import DOCS, ROOT, blocks, name

_EXAMPLES = sorted((ROOT / "examples").glob("*.py"))


def _imports(source: str) -> list[tuple[str, str | None]]:
    """Return the imports from Tercet, as (module, name); the name is None for `import module`."""
    found: list[tuple[str, str | None]] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "tercet":
            found += [(str(node.module), alias.name) for alias in node.names]
        elif isinstance(node, ast.Import):
            found += [(alias.name, None) for alias in node.names if alias.name.partition(".")[0] == "tercet"]
    return found


def _attributes(source: str) -> set[str]:
    """Return the names that are used as `tercet.NAME`."""
    return {
        node.attr
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "tercet"
    }


def _check_public(source: str, place: str) -> None:
    for module, attribute in _imports(source):
        assert not any(part.startswith("_") for part in module.split(".")), f"{place}: {module} is private"
        public = getattr(import_module(module), "__all__", None)
        assert public is not None, f"{place}: {module} has no __all__"
        if attribute is not None:
            assert attribute in public, f"{place}: {module}.{attribute} is not public"
    for attribute in _attributes(source):
        public = import_module("tercet").__all__
        assert attribute in public, f"{place}: tercet.{attribute} is not public"


@pytest.mark.parametrize("page", [ROOT / "README.md", *DOCS], ids=name)
def test_the_python_blocks_of_a_page_import_public_names(page):
    for block in blocks(page):
        if block.language == "python":
            _check_public(block.source, f"{name(page)}, line {block.line}")


@pytest.mark.parametrize("script", _EXAMPLES, ids=name)
def test_an_example_imports_public_names(script):
    _check_public(script.read_text(encoding="utf-8"), name(script))


def test_the_python_reference_documents_public_names():
    for page in DOCS:
        for target in re.findall(r"^::: (tercet[\w.]*)$", page.read_text(encoding="utf-8"), re.MULTILINE):
            module, _, attribute = target.rpartition(".")
            public = getattr(import_module(module), "__all__", None)
            assert public is not None, f"{name(page)}: {module} has no __all__"
            assert attribute in public, f"{name(page)}: {target} is not public"


def test_the_reference_has_every_public_name_of_the_package():
    reference = "\n".join(page.read_text(encoding="utf-8") for page in DOCS)
    for attribute in import_module("tercet").__all__:
        assert attribute == "__version__" or f"tercet.{attribute}" in reference, attribute
