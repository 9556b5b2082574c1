"""Real sentences without a download, for the demo and for tests.

The sentences come from the docstrings of Python's standard library. The label of a sentence is the name of the
top-level module that it describes. The docstrings are parsed from the source files, so no module is imported.
"""

import ast
import os
import sysconfig
import warnings
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from tercet.errors import DataError

# With these limits, the demo trains in minutes on a CPU.
_NUM_MODULES = 40
_SENTENCES_PER_MODULE = 120
# Shorter texts are rarely sentences, and longer texts are mostly whole paragraphs.
_WORDS_PER_SENTENCE = range(4, 41)
# Folders with tests, with build files, or with packages that are not part of the standard library's public modules.
_SKIPPED = {"test", "idlelib", "lib2to3", "site-packages", "turtledemo", "__pycache__", "config", "ensurepip", "tests"}


def standard_library_docstrings(folder: Path | None = None) -> tuple[list[str], list[str]]:
    """Return sentences from the docstrings of the standard library, and the top-level module of each sentence.

    The sentences are the first sentences of the docstrings of public functions, methods, classes and modules. A
    sentence is used if it has 4 to 40 words and occurs in only one module. The result contains the 40 modules with the
    largest number of sentences (all if there are fewer), and at most 120 sentences per module. It is the same for the
    same source files.

    Args:
        folder: the folder of the source files; None uses the standard library of the running Python.

    Returns:
        The sentences and the names of their modules: two lists of the same length, sorted by module.

    Raises:
        DataError: there are fewer than 40 sentences. Some builds of Python contain only compiled files.
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
        raise DataError(
            f"found only {len(pairs)} docstring sentences under {folder}: the demo reads them from the source files "
            "(.py) of the standard library; use a build of Python that includes these files"
        )
    sentences, labels = zip(*pairs, strict=True)
    return list(sentences), list(labels)


def _public_sources(folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield the name of the module and the path of each source file of public top-level modules, in a fixed order."""
    for parent, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if name not in _SKIPPED)
        for path in sorted(Path(parent, name) for name in files if name.endswith(".py")):
            module = path.relative_to(folder).with_suffix("").parts[0]
            if not module.startswith("_"):
                yield module, path


def _first_sentences(path: Path) -> Iterator[str]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # New versions of Python warn about invalid escape sequences in old code.
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
