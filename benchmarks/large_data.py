"""Memory and time until the first batch of labelled sentences from a large Parquet file, next to sentence-transformers.

    python benchmarks/large_data.py [--rows 10000000] [--output FILE.json]

Generates the file, and reads it in a separate process for each library, because the peak memory of a process is
measured. The first batch has 64 sentences, 4 of each label; it is drawn, not encoded, because the encoder is the same.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from itertools import islice
from pathlib import Path

LABELS = 1000
BATCH_SIZE = 64
SAMPLES_PER_LABEL = 4
_ROWS_AT_ONCE = 100_000
_WORDS = [f"word{number}" for number in range(5000)]


def generate(path: Path, rows: int) -> None:
    import numpy as np
    import pyarrow as pa
    from pyarrow import parquet

    rng = np.random.default_rng(0)
    words = np.array(_WORDS)
    schema = pa.schema({"text": pa.string(), "label": pa.string()})
    with parquet.ParquetWriter(path, schema) as writer:
        for start in range(0, rows, _ROWS_AT_ONCE):
            count = min(_ROWS_AT_ONCE, rows - start)
            texts = [" ".join(row) for row in words[rng.integers(0, len(words), (count, 10))]]
            labels = [f"label {number}" for number in rng.integers(0, LABELS, count)]
            writer.write_table(pa.table({"text": texts, "label": labels}, schema=schema))


def first_batch(path: str, library: str) -> list[str]:
    import numpy as np

    if library == "tercet":
        from tercet.data import GroupByLabelSampler, ReadOptions, load_training_data

        train = load_training_data(path, None, 0.0, ReadOptions(), triplets=False, seed=0).train
        labels = train.with_format("numpy")["label"][:]
        sampler = GroupByLabelSampler(np.asarray(labels), batch_size=BATCH_SIZE, samples_per_label=SAMPLES_PER_LABEL)
        return train[list(islice(sampler, BATCH_SIZE))]["sentence"]
    from datasets import load_dataset
    from sentence_transformers.base.sampler import GroupByLabelBatchSampler

    train = load_dataset("parquet", data_files=path, split="train", cache_dir=f"{path}.cache")
    train = train.class_encode_column("label")
    batches = GroupByLabelBatchSampler(train, BATCH_SIZE, drop_last=True, valid_label_columns=["label"])
    return train[next(iter(batches))]["text"]


def measure(path: str, library: str) -> dict[str, float | str]:
    import torch  # noqa: F401  # both need it, so that its import is not measured

    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
    texts = first_batch(path, library)
    assert len(texts) == BATCH_SIZE
    return {
        "library": library,
        "seconds": round(time.perf_counter() - start, 1),
        "extra_megabytes": round((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--output", type=Path)
    parser.add_argument("--measure", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        print(json.dumps(measure(*arguments.measure)))
        return
    results: list[dict[str, float | str]] = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "data.parquet"
        generate(path, arguments.rows)
        for library in ("tercet", "sentence-transformers"):
            command = [sys.executable, __file__, "--measure", str(path), library]
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode:
                print(done.stderr[-2000:], file=sys.stderr)
                continue
            results.append({"rows": arguments.rows, **json.loads(done.stdout.splitlines()[-1])})
            print(json.dumps(results[-1]), flush=True)
    if arguments.output:
        arguments.output.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
