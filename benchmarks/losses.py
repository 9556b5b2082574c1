"""The batch losses against sentence-transformers and pytorch-metric-learning, on the same tensors.

    python benchmarks/losses.py [--quick] [--output losses.json] [--threads 2]

Forward and backward of the loss alone: embeddings (B, 384), float32, unit length, Euclidean, margin 0.3.
Libraries take turns, so that what else the machine does falls on all of them; times are medians, and
`cpu` is the processor time of all threads, which other work on the machine disturbs less.
Memory is the peak resident set of a process of its own, beyond what it held before the first loss.
"""

import argparse
import json
import math
import resource
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable

import torch
from torch import Tensor

DIM, MARGIN = 384, 0.3
VARIANTS = ("all", "semi-hard", "hard", "soft margin")
Step = Callable[[Tensor, Tensor], Tensor]


def ours(variant: str) -> Step:
    from tercet.losses import functional as f

    if variant == "soft margin":
        return f.batch_hard_soft_margin_triplet_loss
    loss = {
        "all": f.batch_all_triplet_loss,
        "semi-hard": f.batch_semi_hard_triplet_loss,
        "hard": f.batch_hard_triplet_loss,
    }[variant]
    return lambda x, y: loss(x, y, margin=MARGIN)


def sentence_transformers(variant: str) -> Step:
    from sentence_transformers.sentence_transformer import losses

    model = torch.nn.Module()
    loss = {
        "all": lambda: losses.BatchAllTripletLoss(model, margin=MARGIN).batch_all_triplet_loss,
        "semi-hard": lambda: losses.BatchSemiHardTripletLoss(model, margin=MARGIN).batch_semi_hard_triplet_loss,
        "hard": lambda: losses.BatchHardTripletLoss(model, margin=MARGIN).batch_hard_triplet_loss,
        "soft margin": lambda: losses.BatchHardSoftMarginTripletLoss(model).batch_hard_triplet_soft_margin_loss,
    }[variant]()
    return lambda x, y: loss(y, x)


def pytorch_metric_learning(variant: str) -> Step | None:
    """Its loss and miner nearest to the variant; its semi-hard miner keeps all semi-hard triplets, so none there."""
    from pytorch_metric_learning import distances, losses, miners, reducers

    distance = distances.LpDistance(normalize_embeddings=False)
    if variant == "all":
        return losses.TripletMarginLoss(MARGIN, distance=distance, reducer=reducers.AvgNonZeroReducer())
    if variant == "hard":
        miner = miners.BatchHardMiner(distance=distance)
        loss = losses.TripletMarginLoss(MARGIN, distance=distance, reducer=reducers.MeanReducer())
        return lambda x, y: loss(x, y, miner(x, y))
    return None


LIBRARIES = {
    "tercet": ours,
    "sentence-transformers": sentence_transformers,
    "pytorch-metric-learning": pytorch_metric_learning,
}


def batch(size: int, per_label: int) -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(size + per_label)
    x = torch.nn.functional.normalize(torch.randn(size, DIM, generator=random), dim=1)
    return x.requires_grad_(), torch.arange(size) // per_label


def compare_levels(variant: str, size: int, per_label: int, siblings: int, seconds: float) -> dict[str, object]:
    """Median processor milliseconds of two nested levels in one loss, and of each level alone, taken in turns."""
    from tercet.losses import functional as f
    from tercet.losses import miners

    make = {"all": miners.all_triplets, "semi-hard": miners.semi_hard, "hard": miners.hard}[variant]
    x, fine = batch(size, per_label)
    coarse = fine // siblings
    paths = torch.stack([coarse, fine], 1)
    steps: dict[str, Step] = {
        "two levels": lambda x, y: f.nested_triplet_loss(x, y, [make(MARGIN), make(MARGIN / 2)]),
        "coarse": lambda x, y: f.loss_with_miner(x, y[:, 0], make(MARGIN))[0],
        "fine": lambda x, y: f.loss_with_miner(x, y[:, 1], make(MARGIN / 2))[0],
    }
    times: dict[str, list[float]] = {name: [] for name in steps}
    start = time.perf_counter()
    while len(times["fine"]) < 3 or time.perf_counter() - start < seconds:
        for name, step in steps.items():
            times[name].append(run(step, x, paths)[1])
    medians = {name: 1e3 * statistics.median(values) for name, values in times.items()}
    return {"variant": variant, "B": size, "K": per_label, "siblings": siblings, "cpu_ms": medians}


def feasible(library: str, variant: str, size: int, per_label: int) -> bool:
    """pytorch-metric-learning lists every triplet in int64."""
    return library != "pytorch-metric-learning" or variant == "hard" or size * size * per_label < 2**24


def run(step: Step, x: Tensor, y: Tensor) -> tuple[float, float]:
    x.grad = None
    wall, cpu = time.perf_counter(), time.process_time()
    step(x, y).backward()
    return time.perf_counter() - wall, time.process_time() - cpu


def product(x: Tensor, _: Tensor) -> tuple[float, float]:
    """One bare B × B × D matrix product."""
    wall, cpu = time.perf_counter(), time.process_time()
    torch.mm(x.detach(), x.detach().T)
    return time.perf_counter() - wall, time.process_time() - cpu


def compare(variant: str, size: int, per_label: int, seconds: float) -> dict[str, object]:
    """Median milliseconds (wall, cpu) of each library and of the bare product, taken in turns."""
    x, y = batch(size, per_label)
    steps = {name: make(variant) for name, make in LIBRARIES.items() if feasible(name, variant, size, per_label)}
    steps = {name: step for name, step in steps.items() if step is not None}
    runs: dict[str, list[tuple[float, float]]] = {name: [] for name in (*steps, "product")}
    for step in steps.values():
        run(step, x, y)
    start = time.perf_counter()
    while len(runs["product"]) < 3 or (time.perf_counter() - start < seconds and len(runs["product"]) < 200):
        for name, step in steps.items():
            runs[name].append(run(step, x, y))
        runs["product"].append(product(x, y))
    result: dict[str, object] = {"variant": variant, "B": size, "K": per_label, "rounds": len(runs["product"])}
    for name, times in runs.items():
        result[name] = {
            "wall_ms": 1e3 * statistics.median(wall for wall, _ in times),
            "cpu_ms": 1e3 * statistics.median(cpu for _, cpu in times),
        }
    return result


def extra_memory(library: str, variant: str, size: int, per_label: int, threads: int) -> tuple[float, float, float]:
    """(MiB beyond the start, wall seconds, loss) of one step in a process of its own."""
    command = [
        sys.executable,
        __file__,
        "--one",
        library,
        variant,
        str(size),
        str(per_label),
        "--threads",
        str(threads),
    ]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    memory, seconds, loss = output.split()[-3:]
    return float(memory), float(seconds), float(loss)


def peak_mib() -> float:
    """The peak resident set of this process alone; `ru_maxrss` also remembers the process that started it."""
    try:
        with open("/proc/self/status", encoding="ascii") as status:
            return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) / 1024
    except FileNotFoundError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 1024)


def one(library: str, variant: str, size: int, per_label: int) -> None:
    step = LIBRARIES[library](variant)
    run(step, *batch(16, 4))
    x, y = batch(size, per_label)
    before = peak_mib()
    start = time.perf_counter()
    loss = step(x, y)
    loss.backward()
    seconds = time.perf_counter() - start
    print(peak_mib() - before, seconds, loss.item())


def exponent(points: list[tuple[float, float]]) -> float:
    """The slope of a line through the logarithms."""
    xs, ys = ([math.log(max(value, 1e-9)) for value in column] for column in zip(*points, strict=True))
    return statistics.linear_regression(xs, ys).slope


def print_comparison(row: dict) -> None:
    mine, bare = row["tercet"], row["product"]
    products = 3 if row["variant"] == "all" else 1
    print(f"{row['variant']:12s} B={row['B']:<6d} K={row['K']:<3d} tercet {mine['wall_ms']:9.2f} ms", end="")
    print(f" = {mine['wall_ms'] / (products * bare['wall_ms']):5.1f} × {products} product(s)", end="")
    for name in ("sentence-transformers", "pytorch-metric-learning"):
        if name in row:
            wall, cpu = row[name]["wall_ms"] / mine["wall_ms"], row[name]["cpu_ms"] / mine["cpu_ms"]
            print(f"   {name} {row[name]['wall_ms']:9.2f} ms: × {wall:.2f} (cpu × {cpu:.2f})", end="")
    print(flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="smaller batches, a minute or two")
    parser.add_argument("--output", help="where to write the figures as JSON")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--one", nargs=4, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(arguments.threads)
    if arguments.one:
        library, variant, size, per_label = arguments.one
        one(library, variant, int(size), int(per_label))
        return
    quick, threads = arguments.quick, arguments.threads
    report: dict = {"threads": threads, "torch": torch.__version__, "times": [], "memory": [], "growth": {}}
    cases = [(64, 4), (256, 4), (256, 32)] + ([(1024, 4), (1024, 32)] if quick else [(2048, 4), (2048, 32)])
    for size, per_label in cases:
        for variant in VARIANTS:
            report["times"].append(compare(variant, size, per_label, 1.0 if quick else 4.0))
            print_comparison(report["times"][-1])
    print("\ntwo nested levels in one loss, against one level")
    report["levels"] = []
    for variant in ("all", "semi-hard", "hard"):
        row = compare_levels(variant, 1024 if quick else 2048, 4, 4, 1.0 if quick else 4.0)
        report["levels"].append(row)
        both, coarse, fine = (row["cpu_ms"][name] for name in ("two levels", "coarse", "fine"))
        ratios = f"{both / coarse:.2f} × coarse = {both / (coarse + fine):.2f} × the sum of both"
        print(f"{variant:12s} {both:8.1f} ms = {ratios}")
    large, largest = (1024, 4096) if quick else (2048, 16384)
    print("\nextra memory of one step, MiB")
    for library in ("tercet", "sentence-transformers"):
        for variant in VARIANTS:
            for per_label in (4, 32):
                memory, seconds, loss = extra_memory(library, variant, large, per_label, threads)
                print(
                    f"{library:22s} {variant:12s} B={large} K={per_label:<3d} {memory:8.0f}  loss {loss:.6f}",
                    flush=True,
                )
                case = {"library": library, "variant": variant, "B": large, "K": per_label}
                report["memory"].append({**case, "mib": memory, "s": seconds, "loss": loss})
    print("\ngrowth with B, K = 32")
    for variant in VARIANTS:
        points = []
        size = 512
        while size <= largest:
            memory, seconds, _ = extra_memory("tercet", variant, size, 32, threads)
            points.append((size, seconds, memory))
            print(f"{variant:12s} B={size:<6d} {seconds:9.3f} s {memory:8.0f} MiB", flush=True)
            size *= 2
        slopes = {"time": exponent([p[:2] for p in points]), "memory": exponent([p[::2] for p in points])}
        report["growth"][variant] = {"points": points, "exponents": slopes}
        print(f"{variant:12s} time ~ B^{slopes['time']:.2f}, memory ~ B^{slopes['memory']:.2f}")
    if arguments.output:
        with open(arguments.output, "w", encoding="utf-8") as file:
            json.dump(report, file, indent=1)


if __name__ == "__main__":
    main()
