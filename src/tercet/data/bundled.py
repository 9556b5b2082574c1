"""Real sentences without a download, for the demo and for tests.

The sentences come from the docstrings of Python's own standard library, labelled by module: which module does this
sentence describe? They are read from the source files, so no module is imported.
"""

import ast
import os
import sysconfig
import warnings
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from tercet.errors import DataError

# Small enough that the demo trains in minutes on a CPU.
_NUM_MODULES = 40
_SENTENCES_PER_MODULE = 120
# Sentences of other lengths are mostly a bare word or a paragraph.
_WORDS_PER_SENTENCE = range(4, 41)
# Tests, build files and packages that are not part of the library.
_SKIPPED = {"test", "idlelib", "lib2to3", "site-packages", "turtledemo", "__pycache__", "config", "ensurepip", "tests"}


def standard_library_docstrings(folder: Path | None = None) -> tuple[list[str], list[str]]:
    """Return sentences of the standard library's docstrings, and the name of the module that each describes.

    Takes the first sentence of each docstring of a public function, method, class or module, of the 40 modules with
    the largest number of them, at most 120 sentences per module. A sentence that occurs in two modules is left out.
    The same version of Python gives the same sentences.

    Args:
        folder: the source files; by default those of the running Python.

    Returns:
        The sentences and their modules, two lists of the same length, ordered by module.

    Raises:
        DataError: there are no source files (some builds of Python contain compiled files only).
    """
    folder = folder or Path(sysconfig.get_paths()["stdlib"])
    by_module: dict[str, dict[str, None]] = defaultdict(dict)
    modules_of: dict[str, set[str]] = defaultdict(set)
    for module, path in _public_sources(folder):
        for sentence in _first_sentences(path):
            by_module[module].setdefault(sentence)
            modules_of[sentence.lower()].add(module)
    unique = {
        module: [sentence for sentence in sentences if len(modules_of[sentence.lower()]) == 1]
        for module, sentences in by_module.items()
    }
    largest = sorted(unique, key=lambda module: (-len(unique[module]), module))[:_NUM_MODULES]
    pairs = [(sentence, module) for module in sorted(largest) for sentence in unique[module][:_SENTENCES_PER_MODULE]]
    if len(pairs) < _NUM_MODULES:
        raise DataError(f"no Python sources under {folder}; the demo reads its sentences from the standard library")
    sentences, labels = zip(*pairs, strict=True)
    return list(sentences), list(labels)


def _public_sources(folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield (top-level module, source file) for the public modules of the standard library, in a fixed order."""
    for parent, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if name not in _SKIPPED)
        for path in sorted(Path(parent, name) for name in files if name.endswith(".py")):
            module = path.relative_to(folder).with_suffix("").parts[0]
            if not module.startswith("_"):
                yield module, path


def _first_sentences(path: Path) -> Iterator[str]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Newer Pythons warn about escapes in old sources.
            tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError, OSError):
        return
    for node in ast.walk(tree):
        if not isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            continue
        if not isinstance(node, ast.Module) and node.name.startswith("_"):
            continue
        sentence = _first_sentence(ast.get_docstring(node) or "")
        if len(sentence.split()) in _WORDS_PER_SENTENCE:
            yield sentence


def _first_sentence(docstring: str) -> str:
    paragraph = " ".join(docstring.strip().split("\n\n")[0].split())
    end = paragraph.find(". ")
    return paragraph if end < 0 else paragraph[: end + 1]
