"""Measure time and memory of a training step for growing batches: at once, with cached gradients, on two processes.

    python benchmarks/scaling.py --data DIR [--largest 8192] [--tokens 1024] [--output FILE.json]

All-MiniLM-L6-v2, BANKING77, BatchSemiHard, P×K with P = 64 labels for batches of at least 256, two threads. Each case
runs in a separate process. Larger batches are skipped if they would need more memory than the machine has, or more than
`--limit` seconds per step. The runs on one and two processes (strong scaling) use one thread per process and the same
global batch.
"""

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from common import alone, labelled, model_folder, peak_mib, step_starts

SIZES = [64, 256, 1024, 2048, 8192]


def one(options: dict[str, Any]) -> dict[str, Any]:
    """Train a few steps. Return the median seconds of a step, the peak memory, and the fraction of skipped chunks.

    The median leaves out the first step.
    """
    from datasets import Dataset

    if options["library"] == "tercet":
        import tercet as library
        from tercet import losses
    else:
        import sentence_transformers as library
        from sentence_transformers.sentence_transformer import losses
    from tercet.data.sampling.sampler import GroupByLabelSampler

    torch.set_num_threads(options["threads"])
    texts, labels = labelled(Path(options["data"]), "banking77")
    size, steps = options["batch_size"], options["steps"]
    rows = GroupByLabelSampler(labels, size, samples_per_label=max(4, size // 64)).batches().flatten()
    rows = [int(row) for _ in range(1 + size * steps // len(rows)) for row in rows][: size * steps]
    data = Dataset.from_dict({"sentence": [texts[row] for row in rows], "label": [labels[row] for row in rows]})
    model = library.SentenceTransformer(options["model"], device="cpu")
    tercet_only = {"mini_batch_tokens": options["tokens"], "train_sampling_strategy": "sequential"}
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    with tempfile.TemporaryDirectory() as output:
        arguments = library.SentenceTransformerTrainingArguments(
            output, max_steps=steps, per_device_train_batch_size=size // processes, report_to="none",
            save_strategy="no", disable_tqdm=True, logging_steps=steps, use_cpu=True, dataloader_pin_memory=False,
            **(tercet_only if options["library"] == "tercet" else {}),
        )  # fmt: skip
        trainer = library.SentenceTransformerTrainer(
            model, arguments, data, loss=losses.BatchSemiHardTripletLoss(model, margin=0.3)
        )
        starts = step_starts(trainer)
        trainer.train()
    seconds = [after - before for before, after in pairwise(starts)]
    skipped = [entry["chunks_skipped"] for entry in trainer.state.log_history if "chunks_skipped" in entry]
    return {"seconds": statistics.median(seconds[1:]), "peak_mib": peak_mib(), "chunks_skipped": skipped[-1:]}


def run_on_processes(processes: int, options: dict[str, Any]) -> dict[str, Any]:
    """Run `one` in several processes under torchrun. Return the result of the first process."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    command += [__file__, "--one", json.dumps(options)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=environment)
    return json.loads(next(line for line in done.stdout.splitlines() if line.startswith('{"seconds"')))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("data"))
    parser.add_argument("--largest", type=int, default=8192)
    parser.add_argument("--tokens", type=int, default=1024, help="mini_batch_tokens of the cached runs")
    parser.add_argument("--limit", type=float, default=150, help="maximum seconds per step; larger batches are skipped")
    parser.add_argument("--output", type=Path)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        result = one(json.loads(arguments.one))
        if os.environ.get("RANK", "0") == "0":
            print(json.dumps(result), flush=True)
        return
    shared = {"data": str(arguments.data), "model": model_folder("bundled"), "threads": 2, "tokens": None}
    variants = {
        "at once": {"library": "tercet"},
        "cached": {"library": "tercet", "tokens": arguments.tokens},
        "sentence-transformers": {"library": "peer"},
    }
    rows: list[dict[str, Any]] = []
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**20
    for name, variant in variants.items():
        for size, larger in pairwise([*(size for size in SIZES if size <= arguments.largest), math.inf]):
            row = alone(
                __file__,
                shared | variant | {"batch_size": size, "steps": 5 if size <= 256 else 3},
            )
            rows.append({"kind": name, "batch_size": size, **row})
            print(
                f"{name:22s} batch {size:5d}  {row['seconds']:8.2f} s"
                f"  {1e3 * row['seconds'] / size:6.1f} ms per sentence"
                f"  {row['peak_mib']:7.0f} MiB  chunks skipped {row['chunks_skipped']}",
                flush=True,
            )
            growth = larger / size
            if larger < math.inf and row["seconds"] * growth > arguments.limit:
                print(f"{name:22s} batch {larger:5d}  skipped: more than {arguments.limit} s per step")
                break
            # About 600 MiB of the peak do not depend on the batch size.
            if larger < math.inf and (row["peak_mib"] - 600) * growth > 0.8 * memory and name != "cached":
                print(f"{name:22s} batch {larger:5d}  skipped: more memory than the machine has", flush=True)
                break
    for processes in (1, 2):
        options = shared | {"library": "tercet", "batch_size": 256, "steps": 5, "threads": 1}
        row = run_on_processes(processes, options)
        rows.append({"kind": f"{processes} process(es)", "batch_size": 256, **row})
        print(f"{processes} process(es), one thread each, batch 256: {row['seconds']:.2f} s per step", flush=True)
    if arguments.output:
        arguments.output.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
