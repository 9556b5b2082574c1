"""Run the blocks of a page from top to bottom, in one process, on tiny data and a tiny model.

A TOML block is written to `run.toml`.

The process is forked from one that has imported the libraries, so a page starts in a moment. Commands run through the
real command line. The names of models that a page uses are replaced by the folder of the tiny model.
"""

import ast
import csv
import importlib.util
import os
import re
import shlex
import shutil
import sys
import traceback
from pathlib import Path

from tests.child import ENVIRONMENT
from tests.conftest import EVALUATION_TOPICS, TOPICS
from tests.docs.pages import blocks, name
from tests.warm import WARM

# Commands that install something or start several processes are not run.
NOT_RUN = ("pip", "make", "torchrun", "accelerate")
_MODELS = ("bundled", "sentence-transformers/all-MiniLM-L6-v2", "microsoft/mpnet-base")
# The optional package of a command.
_NEEDS = {"search": "vicinity", "duplicates": "vicinity"}
_TIMEOUT = 120


def run_page(page: Path, model: Path, folder: Path) -> None:
    """Run the blocks of a page in `folder`; raise `AssertionError` with the line and the output of one that fails."""
    _write_data(folder)
    if not re.search(
        r"--output my-model|\"my-model\", model=|save_pretrained\(\"my-model\"\)", page.read_text("utf-8")
    ):
        shutil.copytree(model, folder / "my-model")
    output = folder.with_name(folder.name + ".txt")
    process = WARM.Process(target=_run, args=(page, model, folder, output))
    process.start()
    process.join(_TIMEOUT)
    if process.is_alive():
        process.kill()
        process.join()
        raise AssertionError(f"{name(page)} ran for more than {_TIMEOUT} s: {output.read_text('utf-8')[-3000:]}")
    assert process.exitcode == 0, output.read_text(encoding="utf-8")[-6000:]


def missing_packages(page: Path) -> list[str]:
    """Return the packages that the blocks of a page import, or its commands need, and that are not installed."""
    needed = set()
    for block in blocks(page):
        if block.language == "python":
            for node in ast.walk(ast.parse(block.source)):
                if isinstance(node, ast.Import):
                    needed |= {alias.name.partition(".")[0] for alias in node.names}
                elif isinstance(node, ast.ImportFrom):
                    needed.add(str(node.module).partition(".")[0])
        elif block.language == "sh":
            needed |= {_NEEDS[words[1]] for words in commands(block.source) if words[1] in _NEEDS}
    return sorted(name for name in needed if importlib.util.find_spec(name) is None)


def commands(source: str) -> list[list[str]]:
    """Return the commands of a shell block as words, without comments."""
    lines = source.replace("\\\n", " ").splitlines()
    return [words for line in lines if (words := shlex.split(line, comments=True))]


def _run(page: Path, model: Path, folder: Path, output: Path) -> None:
    handle = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(handle, 1)
    os.dup2(handle, 2)
    os.environ.update({**ENVIRONMENT, "COLUMNS": "100"})
    os.chdir(folder)
    import torch

    torch.set_num_threads(1)
    names: dict[str, object] = {"__name__": "__main__"}
    for block in blocks(page):
        try:
            if block.language == "python":
                source = _with_tiny_model(block.source, model)
                code = compile("\n" * (block.line - 1) + source, str(page), "exec")
                exec(code, names)
            elif block.language == "toml":
                Path("run.toml").write_text(_with_tiny_model(block.source, model), encoding="utf-8")
            elif block.language == "sh":
                for words in commands(block.source):
                    _run_command(words, model)
        except BaseException:
            traceback.print_exc()
            print(f"failed: the block at line {block.line} of {name(page)}", flush=True)
            os._exit(1)
    sys.stdout.flush()
    os._exit(0)


def _run_command(words: list[str], model: Path) -> None:
    if words[0] in NOT_RUN:
        return
    assert words[0] == "tercet", f"neither run nor listed in NOT_RUN: {words[0]}"
    from tercet.cli.app import app

    _run_comparisons_in_this_process()
    if words[1] == "compare" and "--seeds" not in words:
        words = [*words, "--seeds", "1"]  # a third of the time
    words = [word.replace("model=bundled,", f"model={model},") for word in words]
    sys.argv = [words[0], *(str(model) if word in _MODELS else word for word in words[1:])]
    print("$", shlex.join(sys.argv), flush=True)
    try:
        app()
    except SystemExit as end:
        if end.code not in (0, None):
            raise AssertionError(f"exit code {end.code}") from None


def _run_comparisons_in_this_process() -> None:
    """Call the runs of a comparison directly: a new process for each would import all libraries again."""
    for module in list(sys.modules.values()):
        if getattr(module, "__name__", "").startswith("tercet.comparison") and hasattr(module, "run_in_subprocess"):
            module.run_in_subprocess = lambda function, argument: function(argument)


def _with_tiny_model(source: str, model: Path) -> str:
    _run_comparisons_in_this_process()
    for known in _MODELS:
        source = source.replace(f'"{known}"', repr(str(model)))
    return source


_PARENTS = {"sport": "leisure/", "travel": "leisure/", "money": "", "food": "home/"}


def _write_data(folder: Path) -> None:
    rows = [(sentence, label) for label, sentences in TOPICS.items() for sentence in sentences]
    other_rows = [(sentence, label) for label, sentences in EVALUATION_TOPICS.items() for sentence in sentences]
    for file, header in (
        ("tickets.csv", ("text", "label")),
        ("tickets-test.csv", ("text", "label")),
        ("train.csv", ("text", "label")),
        ("test.csv", ("text", "label")),
        ("orders.csv", ("subject", "team")),
    ):
        _write(folder / file, header, other_rows if "test" in file else rows)
    _write(folder / "new.csv", ("id", "text"), [(f"{row:03}", text) for row, (text, _) in enumerate(other_rows)])
    for file, part in (("nested.csv", rows), ("nested-test.csv", other_rows)):
        _write(folder / file, ("text", "label"), [(text, _PARENTS[label] + label) for text, label in part])
    levels = [(text, *f"{_PARENTS[label]}{label}".split("/")) for text, label in rows]
    _write(folder / "columns.csv", ("text", "area", "intent"), [(*row, "")[:3] for row in levels])
    for file, part in (("tagged.csv", rows), ("tagged-test.csv", other_rows)):
        _write(folder / file, ("text", "label"), [*part, *_with_two_labels(part)])
    _write_vectors(folder)
    topics = list(TOPICS.values())
    triplets = [(one[0], one[1], other[0]) for one in topics for other in topics if one is not other]
    _write(folder / "triplets.csv", ("anchor", "positive", "negative"), triplets)


def _with_two_labels(rows: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return each sentence joined with one of another label, and both labels."""
    pairs = zip(rows, [*rows[5:], *rows[:5]], strict=True)
    return [(f"{one[0]} and {other[0]}", f"{one[1]};{other[1]}") for one, other in pairs]


def _write_vectors(folder: Path) -> None:
    """Write the same vectors of dimension 32, with four labels, as a table and as an array with a file of labels."""
    import numpy as np
    import pyarrow as pa
    from pyarrow import parquet

    labels = np.arange(80) % 4
    vectors = np.random.default_rng(0).normal(size=(80, 32)).astype(np.float32) / 4
    vectors[:, :4] += np.eye(4)[labels]
    names = list(TOPICS)
    table = pa.table({"embedding": pa.array(vectors.tolist()), "label": [names[label] for label in labels]})
    parquet.write_table(table, folder / "vectors.parquet")
    np.save(folder / "vectors.npy", vectors)
    (folder / "texts").mkdir()
    for topic, texts in TOPICS.items():
        parquet.write_table(pa.table({"text": texts}), folder / "texts" / f"{topic}.parquet")
    _write(folder / "labels.csv", ("label",), [(names[label],) for label in labels])


def _write(path: Path, header: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header, *rows])
