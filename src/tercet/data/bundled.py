"""Real sentences without a download, for the demo and for tests.

The sentences come from the docstrings of the functions of Python's standard library. The label of a sentence is the
first word of the function's name: what the function does, such as `read` or `remove`. The docstrings are parsed from
the source files, so no module is imported.
"""

import ast
import os
import re
import sysconfig
import warnings
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from tercet.errors import DataError

# With these limits, the demo trains in about a minute on a CPU with two cores.
_SENTENCES_PER_LABEL = 150
_MIN_SENTENCES = 20
# If fewer modules have functions that begin with a verb, the verb says more about the module than about the function.
_MIN_MODULES = 3
# Shorter texts are rarely sentences, and longer texts are mostly whole paragraphs.
_WORDS_PER_SENTENCE = range(3, 41)
# Folders with tests, with build files, or with packages that are not part of the standard library's public modules.
_SKIPPED = {"test", "idlelib", "lib2to3", "site-packages", "turtledemo", "__pycache__", "config", "ensurepip", "tests"}
# The first word of a name: `read` of `read_text`, `_read_text`, `readText` and `ReadText`.
_FIRST_WORD = re.compile(r"_*([A-Z]?[a-z]+)")


def standard_library_docstrings(folder: Path | None = None) -> tuple[list[str], list[str]]:
    """Return sentences from the docstrings of the standard library, and the first word of each function's name.

    The sentences are the first sentences of the docstrings of functions and methods. A sentence is used if it has 3 to
    40 words, does not contain a call of the function, and occurs with one label only. A label is used if at least 3
    modules have functions that begin with it, and if it has at least 20 sentences; it gets at most 150. The result is
    the same for the same source files.

    Args:
        folder: the folder of the source files; None uses the standard library of the running Python.

    Returns:
        The sentences and their labels: two lists of the same length, sorted by label.

    Raises:
        DataError: no label has enough sentences. Some builds of Python contain only compiled files.

    Example:
        >>> sentences, labels = standard_library_docstrings()
        >>> {"read", "remove", "send"} <= set(labels)
        True
    """
    folder = folder or Path(sysconfig.get_paths()["stdlib"])
    sentences_of: dict[str, dict[str, None]] = defaultdict(dict)
    modules_of: dict[str, set[str]] = defaultdict(set)
    labels_of: dict[str, set[str]] = defaultdict(set)
    for module, path in _public_sources(folder):
        for label, sentence in _described_functions(path):
            sentences_of[label].setdefault(sentence)
            modules_of[label].add(module)
            labels_of[sentence.lower()].add(label)
    pairs: list[tuple[str, str]] = []
    for label in sorted(sentences_of):
        sentences = [sentence for sentence in sentences_of[label] if len(labels_of[sentence.lower()]) == 1]
        if len(modules_of[label]) >= _MIN_MODULES and len(sentences) >= _MIN_SENTENCES:
            pairs += [(sentence, label) for sentence in sentences[:_SENTENCES_PER_LABEL]]
    if not pairs:
        raise DataError(
            f"found no docstrings under {folder}: the demo reads them from the source files (.py) of the standard "
            "library; use a build of Python that includes these files"
        )
    return [sentence for sentence, _ in pairs], [label for _, label in pairs]


def _public_sources(folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield the name of the module and the path of each source file of public top-level modules, in a fixed order."""
    for parent, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if name not in _SKIPPED)
        for path in sorted(Path(parent, name) for name in files if name.endswith(".py")):
            module = path.relative_to(folder).with_suffix("").parts[0]
            if not module.startswith("_"):
                yield module, path


def _described_functions(path: Path) -> Iterator[tuple[str, str]]:
    """Yield the label and the sentence of each function of a source file."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # New versions of Python warn about invalid escape sequences in old code.
            tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError, OSError):
        return
    for node in ast.walk(tree):
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            continue
        word = _FIRST_WORD.match(node.name)
        sentence = _first_sentence(ast.get_docstring(node) or "")
        if not word or node.name.endswith("__") or f"{node.name}(" in sentence:
            continue
        if len(sentence.split()) in _WORDS_PER_SENTENCE:
            yield word[1].lower(), sentence


def _first_sentence(docstring: str) -> str:
    paragraph = " ".join(docstring.strip().split("\n\n")[0].split())
    end = paragraph.find(". ")
    return paragraph if end < 0 else paragraph[: end + 1]
