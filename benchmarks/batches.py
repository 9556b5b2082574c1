"""Time and memory of drawing P×K batches, random and with neighbouring labels, for growing numbers of rows and labels.

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

SIZES = [(100_000, 1_000), (1_000_000, 1_000), (1_000_000, 100_000), (10_000_000, 1_000_000)]
# With neighbouring labels, sizes up to this number of labels: the means of a million labels alone take 1.5 GB.
MAX_NEIGHBOR_LABELS = 100_000
DIMENSION = 384


def measure(rows: int, labels: int, neighbor_labels: float) -> dict[str, float]:
    import numpy as np

    from tercet.data.sampling.sampler import GroupByLabelSampler

    rng = np.random.default_rng(0)
    data = np.unique(rng.integers(0, labels, rows), return_inverse=True)[1]
    means = rng.normal(size=(data.max() + 1, DIMENSION)).astype(np.float32) if neighbor_labels else None
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.perf_counter()
    sampler = GroupByLabelSampler(data, batch_size=64, samples_per_label=4, neighbor_labels=neighbor_labels)
    sampler.set_label_means(means)
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
        "neighbor_labels": neighbor_labels,
        "batches": len(batches),
        "construct_seconds": constructed - start,
        "epoch_seconds": sorted(epochs)[1],
        "extra_megabytes": (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path)
    parser.add_argument("--size", type=int, nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--neighbor-labels", type=float, default=0.0, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.size:
        print(json.dumps(measure(*arguments.size, arguments.neighbor_labels)))
        return
    print(
        "| rows | labels | near | batches | construct, s | epoch, s | extra memory, MB |\n|---|---|---|---|---|---|---|"
    )
    results = []
    runs = [(size, near) for size in SIZES for near in (0.0, 0.5) if near == 0 or size[1] <= MAX_NEIGHBOR_LABELS]
    for size, near in runs:
        command = [sys.executable, __file__, "--size", *map(str, size), "--neighbor-labels", str(near)]
        result = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        results.append(result)
        print(
            f"| {result['rows']:,} | {result['labels']:,} | {near:.0%} | {result['batches']:,} "
            f"| {result['construct_seconds']:.2f} | {result['epoch_seconds']:.2f} | {result['extra_megabytes']:.0f} |"
        )
    if arguments.output:
        arguments.output.write_text(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
