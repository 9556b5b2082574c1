"""Memory and time until the first training step on a large Parquet file, next to sentence-transformers.

    python benchmarks/large_data.py [--rows 10000000] [--output FILE.json]

Generates the file of labelled sentences of ten words, and trains the bundled encoder for one step in a separate process
for each library. A batch has 64 sentences, 4 of each label. Memory is that of the process alone, above what it has with
torch imported; pages of files that are mapped into memory are not counted, because the system can drop them.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

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


def train_one_step(path: str, library: str, folder: str, after_step: Any) -> None:
    from common import model_folder

    encoder = model_folder("bundled")
    options: dict[str, Any] = {
        "output_dir": folder, "per_device_train_batch_size": BATCH_SIZE, "batch_sampler": "group_by_label",
        "max_steps": 1, "use_cpu": True, "report_to": "none", "save_strategy": "no",
    }  # fmt: skip
    if library == "tercet":
        import tercet
        from tercet.data import ReadOptions, load_training_data

        train = load_training_data(path, None, 0.0, ReadOptions(), triplets=False, seed=0).train
        args = tercet.SentenceTransformerTrainingArguments(**options, samples_per_label=SAMPLES_PER_LABEL)
        model: Any = tercet.SentenceTransformer(encoder, device="cpu")
        trainer: Any = tercet.SentenceTransformerTrainer(
            model, args, train, loss=tercet.losses.BatchSemiHardTripletLoss(model, margin=0.3), callbacks=[after_step]
        )
    else:
        import sentence_transformers as peer
        from datasets import load_dataset
        from sentence_transformers.losses import BatchSemiHardTripletLoss

        train = load_dataset("parquet", data_files=path, split="train", cache_dir=f"{path}.cache")
        train = train.class_encode_column("label")
        model = peer.SentenceTransformer(encoder, device="cpu")
        trainer = peer.SentenceTransformerTrainer(
            model, peer.SentenceTransformerTrainingArguments(**options), train, loss=BatchSemiHardTripletLoss(model),
            callbacks=[after_step],
        )  # fmt: skip
    trainer.train()


def measure(path: str, library: str) -> dict[str, float | str]:
    import torch  # noqa: F401  # both need it, so that its import is not measured
    from transformers import TrainerCallback

    before, start, peak = _private_megabytes(), time.perf_counter(), [0.0]
    found: dict[str, float | str] = {"library": library}

    class AfterStep(TrainerCallback):
        def on_step_end(self, *_: Any, **__: Any) -> None:
            found["seconds"] = round(time.perf_counter() - start, 1)
            found["megabytes"] = round(peak[0] - before)

    def watch() -> None:
        while True:
            peak[0] = max(peak[0], _private_megabytes())
            time.sleep(0.05)

    threading.Thread(target=watch, daemon=True).start()
    with tempfile.TemporaryDirectory() as folder:
        train_one_step(path, library, folder, AfterStep())
    return found


def _private_megabytes() -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--libraries", nargs="+", default=["tercet", "sentence-transformers"])
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
        for library in arguments.libraries:
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
