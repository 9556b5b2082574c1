"""Encode and classify a folder of Parquet files: kill the workers twice, check every row, compare with one large file.

    python benchmarks/many_files.py [--files 1000] [--rows 1000] [--workers 2] [--model static] [--output FILE.json]

Each command runs on the folder with several workers, which are killed when a third and two thirds of the files are
written, and started again. Then every row must be in the output once, with the values that the large file gives, and
no unfinished file may be left. One worker on the folder is timed by turns with one process on the large file, from the
start of the process to its end; both load the encoder once.

The encoder is a static one: the mean of the token embeddings of the bundled all-MiniLM-L6-v2. It encodes a row 50 times
as fast as a transformer, so the work for each file counts more in the throughput than it does for most users.
`--model bundled` encodes with the transformer, which takes hours for a million rows.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from common import model_folder, print_table
from pyarrow import parquet

from tercet import SentenceTransformer
from tercet.encoder.modules import Normalize, StaticEmbedding

_LABELS = 20
_WORDS = 8


def static_encoder(folder: Path) -> str:
    """Save the token embeddings of the bundled encoder as a static encoder, and return its folder."""
    bundled = SentenceTransformer(model_folder("bundled"), device="cpu")
    weights = bundled[0].auto_model.get_input_embeddings().weight.detach()
    SentenceTransformer(modules=[StaticEmbedding(bundled.tokenizer, weights), Normalize()]).save(str(folder))
    return str(folder)


def generate(folder: Path, files: int, rows: int) -> pa.Table:
    """Write the files into `folder`, and return all their rows."""
    rng = np.random.default_rng(0)
    folder.mkdir()
    tables = []
    for number in range(files):
        words = rng.integers(0, 2000, (rows, _WORDS))
        labels = rng.integers(0, _LABELS, rows)
        texts = [
            f"topic{label} " + " ".join(f"word{word}" for word in row) for label, row in zip(labels, words, strict=True)
        ]
        ids = range(number * rows, (number + 1) * rows)
        tables.append(pa.table({"id": ids, "text": texts, "label": [f"topic {label}" for label in labels]}))
        parquet.write_table(tables[-1], folder / f"part-{number:05}.parquet")
    return pa.concat_tables(tables)


def start(command: list[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", "tercet", *command], stdout=subprocess.DEVNULL)


def seconds(command: list[str]) -> float:
    before = time.perf_counter()
    process = start(command)
    if process.wait():
        sys.exit(f"failed: tercet {' '.join(command)}")
    return time.perf_counter() - before


def run_and_kill(command: list[str], output: Path, files: int, workers: int) -> int:
    """Run the command with several workers, kill them twice, and return the number of files at the kills."""
    killed_at = 0
    for wanted in (files // 3, 2 * files // 3, files):
        processes = [start(command) for _ in range(workers)]
        while wanted < files and len(list(output.glob("*.parquet"))) < wanted:
            time.sleep(0.01)
            if all(process.poll() is not None for process in processes):
                break
        for process in processes:
            if wanted < files:
                process.kill()
            if process.wait() and wanted == files:
                sys.exit(f"failed: tercet {' '.join(command)}")
        killed_at += len(list(output.glob("*.parquet"))) if wanted < files else 0
    return killed_at


def check(output: Path, expected: pa.Table, files: int) -> None:
    """Check that every row is there once, with the values of the large file, and that nothing else is there."""
    found = sorted(output.glob("*.parquet"))
    assert len(found) == files, f"{len(found)} of {files} files"
    others = [path.name for path in output.iterdir() if path not in found and "settings" not in path.name]
    assert not others, f"left behind: {others[:5]}"
    start, different = 0, dict.fromkeys(expected.column_names, 0)
    for path in found:  # one at a time: a million embeddings as Python numbers do not fit into memory
        table = parquet.read_table(path)
        assert table.column_names == expected.column_names
        for name in expected.column_names:
            different[name] += _different(table.column(name), expected.column(name).slice(start, len(table)))
        start += len(table)
    assert start == len(expected), f"{start} of {len(expected)} rows"
    assert different["id"] == 0, f"{different['id']} rows are at another place"
    assert all(count <= len(expected) / 10_000 for count in different.values()), different


def _different(values: pa.ChunkedArray, expected: pa.ChunkedArray) -> int:
    """Return how many values differ; numbers that differ by more than rounding raise an `AssertionError`."""
    found, wanted = values.combine_chunks(), expected.combine_chunks()
    while pa.types.is_list(found.type) or pa.types.is_fixed_size_list(found.type):
        found, wanted = found.flatten(), wanted.flatten()
    if pa.types.is_floating(found.type):
        np.testing.assert_allclose(found.to_numpy(), wanted.to_numpy(), atol=1e-4)
        return 0
    return sum(one != two for one, two in zip(found.to_pylist(), wanted.to_pylist(), strict=True))


def measure(command: list[str], options: list[str], folder: Path, whole: Path, arguments: Any) -> dict[str, Any]:
    """Return the result of one command, whose arguments are `command`, the data, `options` and the output."""

    def full(data: Path, output: Path) -> list[str]:
        return [*command, str(data), *options, "--quiet", "--output", str(output)]

    one, many = folder.parent / f"{command[0]}.parquet", folder.parent / f"{command[0]}-killed"
    whole_seconds, folder_seconds = [], []
    for turn in range(arguments.turns):
        once = folder.parent / f"{command[0]}-{turn}"
        one.unlink(missing_ok=True)
        whole_seconds.append(seconds(full(whole, one)))
        folder_seconds.append(seconds(full(folder, once)))
    expected = parquet.read_table(one)
    check(once, expected, arguments.files)
    killed_at = run_and_kill(full(folder, many), many, arguments.files, arguments.workers)
    check(many, expected, arguments.files)
    return {
        "command": command[0], "files": arguments.files, "rows": arguments.files * arguments.rows,
        "seconds_one_file": round(min(whole_seconds), 1), "seconds_folder": round(min(folder_seconds), 1),
        "throughput": round(min(whole_seconds) / min(folder_seconds), 3), "files_at_kills": killed_at,
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=1000)
    parser.add_argument("--rows", type=int, default=1000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--turns", type=int, default=2)
    parser.add_argument("--model", default="static", help="static, bundled, or a folder")
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder, whole, model = Path(temporary) / "in", Path(temporary) / "whole.parquet", Path(temporary) / "model"
        table = generate(folder, arguments.files, arguments.rows)
        parquet.write_table(table, whole)
        parquet.write_table(table.slice(0, 1000), Path(temporary) / "train.parquet")
        is_static = arguments.model == "static"
        encoder = static_encoder(Path(temporary) / "static") if is_static else model_folder(arguments.model)
        train = str(Path(temporary) / "train.parquet")
        seconds(["fit-classifier", encoder, train, "--output", str(model), "--unseen-rows", "--quiet"])
        results = [
            measure(["encode", encoder], ["--text-column", "text"], folder, whole, arguments),
            measure(["classify", str(model)], ["--text-column", "text"], folder, whole, arguments),
        ]
    print_table(list(results[0]), [list(result.values()) for result in results])
    if arguments.output:
        arguments.output.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
