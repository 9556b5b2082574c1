"""The messages that the troubleshooting page quotes exist in the source."""

import ast
import functools
import re

import pytest

from tests.docs.pages import ROOT

_PAGE = (ROOT / "docs" / "guides" / "troubleshooting.md").read_text(encoding="utf-8")
_QUOTED = re.findall(r"^> (.+)$", _PAGE, re.MULTILINE)


def _text(node: ast.expr) -> str | None:
    """Return the text of a string expression, with `…` instead of what is filled in; None for other expressions."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(_text(part) or "…" for part in node.values)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        left, right = _text(node.left), _text(node.right)
        return None if left is None and right is None else f"{left or '…'}{right or '…'}"
    return None


@functools.cache
def _messages() -> list[str]:
    found = []
    for path in sorted((ROOT / "src").rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        texts = (_text(node) for node in ast.walk(tree) if isinstance(node, ast.expr))
        found += [" ".join(text.split()) for text in texts if text]
    return found


@pytest.mark.parametrize("quoted", _QUOTED)
def test_a_quoted_message_exists_in_the_source(quoted):
    pattern = re.compile(".*".join(re.escape(part.strip()) for part in quoted.split("…")))
    assert any(pattern.search(message) for message in _messages())


def test_there_are_ten_messages_each_with_a_cause_and_a_remedy():
    assert len(_QUOTED) >= 10
    sections = _PAGE.split("\n## ")[1:]
    for section in sections:
        if "\n> " in section:
            assert "**Cause.**" in section, section.splitlines()[0]
            assert "**Remedy.**" in section, section.splitlines()[0]
