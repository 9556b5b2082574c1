"""Time and memory of drawing P×K batches, for growing numbers of rows and labels.

    python benchmarks/batches.py [--output FILE.json]

Each size runs in a separate process, because the peak memory of a process is measured.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path

SIZES = [(100_000, 1_000), (1_000_000, 100_000), (10_000_000, 1_000_000)]


def measure(rows: int, labels: int) -> dict[str, float]:
    import numpy as np

    from tercet.data.sampler import GroupByLabelSampler

    data = np.random.default_rng(0).integers(0, labels, rows)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.perf_counter()
    sampler = GroupByLabelSampler(data, batch_size=64, samples_per_label=4)
    constructed = time.perf_counter()
    epochs = []
    for epoch in range(3):
        sampler.set_epoch(epoch)
        started = time.perf_counter()
        batches = sampler.batches()
        epochs.append(time.perf_counter() - started)
    return {
        "rows": rows,
        "labels": labels,
        "batches": len(batches),
        "construct_seconds": constructed - start,
        "epoch_seconds": sorted(epochs)[1],
        "extra_megabytes": (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path)
    parser.add_argument("--size", type=int, nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.size:
        print(json.dumps(measure(*arguments.size)))
        return
    print("| rows | labels | batches | construct, s | epoch, s | extra memory, MB |\n|---|---|---|---|---|---|")
    results = []
    for size in SIZES:
        command = [sys.executable, __file__, "--size", *map(str, size)]
        result = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        results.append(result)
        print(
            f"| {result['rows']:,} | {result['labels']:,} | {result['batches']:,} | {result['construct_seconds']:.2f} "
            f"| {result['epoch_seconds']:.2f} | {result['extra_megabytes']:.0f} |"
        )
    if arguments.output:
        arguments.output.write_text(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
