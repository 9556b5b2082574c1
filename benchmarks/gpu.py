"""Measure everything that a GPU changes, in at most 8 minutes on one GPU, and print one table.

    python benchmarks/gpu.py [--output gpu.json] [--parts tests,steps,…] [--seconds 420] [--smoke]

Nothing is fetched: the models have the real shapes and random weights, the texts the lengths of BANKING77 and CLINC150.
The libraries take turns. `--smoke` runs every part on a CPU with tiny sizes in a minute; its times mean nothing. The
part `steps` is a plain loop, the part `trainer` runs the trainers, which need the package `datasets` in both libraries.
"""

import argparse
import importlib.util
import json
import math
import platform
import statistics
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from gpu_ahead import encoding, training
from gpu_graphs import graphs
from gpu_models import SHAPES, build, texts_of
from gpu_steps import CUDA, DEVICE, Case, loop, peak_mib, profile, reset_peak, synchronize, train, waits
from gpu_tables import LIBRARIES, tables

ROOT = Path(__file__).parents[1]
# (model, lengths, batch size, precision). The first ones matter most, if the time runs out.
CASES = [
    ("minilm", "banking77", 256, "bf16"), ("minilm", "banking77", 64, "bf16"), ("mpnet", "banking77", 256, "bf16"),
    ("mpnet", "banking77", 64, "bf16"), ("minilm", "clinc150", 256, "bf16"), ("minilm", "banking77", 256, "float32"),
]  # fmt: skip
SMOKE_CASES = [("tiny", "banking77", 16, "float32")]
# The packages that both trainers need, and that a machine with torch and transformers may lack.
TRAINER_NEEDS = ("datasets", "pyarrow", "dill", "multiprocess", "xxhash", "pandas", "accelerate")


class Plan:
    """The sizes of a run."""

    def __init__(self, *, smoke: bool, rounds: int = 1, seconds: float = 420) -> None:
        self.smoke = smoke
        self.cases = SMOKE_CASES if smoke else CASES
        self.steps, self.warmup, self.block, self.rounds = (14, 10, 2, 1) if smoke else (80, 40, 10, rounds)
        self.profiled = 2 if smoke else 6
        self.sentences, self.encoder = (300, "tiny") if smoke else (50_000, "minilm")
        self.peer_batches = (32, 64) if smoke else (32, 128, 512, 2048)
        self.loss_sizes = (64, 256) if smoke else (256, 1024, 4096, 16_384, 65_536)
        self.peer_loss_size = 64 if smoke else 1024
        # After this time no case begins.
        self.end = math.inf if smoke else time.perf_counter() + seconds

    def is_over(self) -> bool:
        """Return whether no further case may begin."""
        return time.perf_counter() > self.end

    def made_cases(self, folders: dict[str, str]) -> Iterator[Case]:
        """Yield the cases while there is time."""
        for name, *rest in self.cases:
            if self.is_over():
                print(f"left out, because the time is over: {name} {rest}", flush=True)
            else:
                yield Case(name, folders[name], *rest, self.steps)


def environment() -> dict[str, Any]:
    names = ("transformers", "sentence_transformers", "datasets", "accelerate", "tokenizers")
    versions = {name: importlib.import_module(name).__version__ for name in names if importlib.util.find_spec(name)}
    return {
        "device": torch.cuda.get_device_name() if CUDA else platform.processor() or "cpu",
        "python": platform.python_version(), "torch": torch.__version__, **versions,
    }  # fmt: skip


def missing_for_trainers() -> str | None:
    """Return which packages the trainers need and this machine does not have, or None."""
    missing = [name for name in TRAINER_NEEDS if importlib.util.find_spec(name) is None]
    if not missing:
        return None
    return f"the trainers need {', '.join(missing)}: carry their wheels, and put them on PYTHONPATH"


def tests(plan: Plan) -> dict[str, Any]:
    """Run the tests that need a GPU; without one they are skipped."""
    command = [
        sys.executable, "-m", "pytest", "-q", "-rf", "--tb=short", "-m", "gpu", "-p", "no:cacheprovider",
        "-o", "filterwarnings=default", "tests/encoder/packing/test_varlen.py",
        "tests/losses/test_double_product_source.py", "tests/encoder/test_row_writer.py",
        *([] if missing_for_trainers() else ["tests/trainer/batches/test_collating_ahead.py"]),
    ]  # fmt: skip
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=150)
    if done.returncode not in (0, 5):
        raise RuntimeError(f"tests failed:\n{done.stdout[-6000:]}{done.stderr[-2000:]}")
    return {"result": done.stdout.strip().splitlines()[-1]}


def by_turns(run: Callable[[str], dict[str, Any]], rounds: int) -> dict[str, Any]:
    """Run each library `rounds` times, alternating, and return the medians of their numbers and the ratio of steps.

    A library that cannot be imported is left out: that of the peer needs packages that Tercet does not.
    """
    results: dict[str, list[dict[str, Any]]] = {}
    medians: dict[str, Any] = {}
    for _ in range(rounds):
        for library in LIBRARIES:
            try:
                results.setdefault(library, []).append(run(library))
            except ImportError as error:
                if library == "tercet":
                    raise
                medians["left_out"] = f"{library}: {error}"
    for library, runs in results.items():
        names = [name for name in (runs[0] if runs else {}) if runs[0][name] is not None]
        medians[library] = {name: statistics.median(found[name] for found in runs) for name in names}
    if medians[LIBRARIES[0]]:
        medians["times_as_fast"] = medians[LIBRARIES[0]]["step_ms"] / medians["tercet"]["step_ms"]
    return medians


def steps(plan: Plan, folders: dict[str, str]) -> dict[str, Any]:
    """Steps in a plain loop."""
    return {
        case.key: by_turns(lambda library, case=case: loop(library, case, plan.warmup, plan.block), plan.rounds)
        for case in plan.made_cases(folders)
    }


def trainer(plan: Plan, folders: dict[str, str]) -> dict[str, Any]:
    """Steps, the first ten steps and the wall time of `trainer.train()`."""
    if missing := missing_for_trainers():
        return {"left_out": missing}
    return {
        case.key: by_turns(lambda library, case=case: train(library, case, plan.warmup, plan.block), 1)
        for case in plan.made_cases(folders)
    }


def encode(plan: Plan, folders: dict[str, str]) -> dict[str, Any]:
    """Sentences per second: ours in float32 and bfloat16, theirs with the default and with other batch sizes."""
    import sentence_transformers

    import tercet

    texts, _ = texts_of("banking77", plan.sentences, SHAPES[plan.encoder][4])
    ours = tercet.SentenceTransformer(folders[plan.encoder], device=DEVICE)
    peer = sentence_transformers.SentenceTransformer(folders[plan.encoder], device=DEVICE)
    result: dict[str, Any] = {}

    def measure(name: str, run: Callable[[list[str]], Any]) -> None:
        run(texts[: len(texts) // 10])
        reset_peak()
        synchronize()
        start = time.perf_counter()
        run(texts)
        result[name] = {"per_second": len(texts) / (time.perf_counter() - start), "peak_mib": peak_mib()}

    measure("tercet float32", ours.encode)
    few = texts[: len(texts) // 5]
    for size in plan.peer_batches:
        some = texts if size == 32 else few

        peer.encode(some[: 2 * size], batch_size=size, show_progress_bar=False)
        start = time.perf_counter()
        peer.encode(some, batch_size=size, show_progress_bar=False)
        result[f"sentence-transformers float32, batches of {size}"] = {
            "per_second": len(some) / (time.perf_counter() - start)
        }
    start = time.perf_counter()
    ours.token_ids(texts)
    result["tercet, tokenization alone"] = {"per_second": len(texts) / (time.perf_counter() - start)}
    measure("tercet bfloat16", ours.to(torch.bfloat16).encode)
    return result


def ahead(plan: Plan, folders: dict[str, str]) -> dict[str, Any]:
    """Measure the first case and `encode`, each with and without work that runs while the GPU computes."""
    import tercet

    texts, _ = texts_of("banking77", plan.sentences, SHAPES[plan.encoder][4])
    found = encoding(tercet.SentenceTransformer(folders[plan.encoder], device=DEVICE), texts)
    if missing := missing_for_trainers():
        return {**found, "left_out": missing}
    name, *rest = plan.cases[0]
    return {**found, **training(Case(name, folders[name], *rest, plan.steps), plan.warmup, plan.block)}


def graphs_of_layers(plan: Plan, folders: dict[str, str]) -> dict[str, Any]:
    """Measure the layers of the first two cases with rounded numbers of tokens, and in CUDA graphs."""
    return {case.key: graphs(case) for case in islice(plan.made_cases(folders), 2)}


def losses(plan: Plan, folders: dict[str, str]) -> dict[str, Any]:
    """Milliseconds of a forward and a backward pass of the losses, K = 4, dim = 384, and their peak memory."""
    from losses import ours, sentence_transformers

    result: dict[str, Any] = {}
    for variant in ("semi-hard", "all", "hard"):
        for size in plan.loss_sizes:
            x = torch.nn.functional.normalize(torch.randn(size, 384, device=DEVICE), dim=1).requires_grad_()
            labels = torch.arange(size) // 4
            runs = {"tercet": (ours(variant), labels)}
            if size <= plan.peer_loss_size:
                runs["sentence-transformers"] = (sentence_transformers(variant), labels.to(DEVICE))
            found: dict[str, Any] = {}
            for library, (step, on_device) in runs.items():
                times = []
                reset_peak()
                for _ in range(12 if size <= 4096 else 3):
                    x.grad = None
                    synchronize()
                    start = time.perf_counter()
                    step(x, on_device).backward()
                    synchronize()
                    times.append(time.perf_counter() - start)
                found[library] = {"ms": 1e3 * statistics.median(times[1:]), "peak_mib": peak_mib()}
            result[f"{variant} {size}"] = found
    return result


def profiles(plan: Plan, folders: dict[str, str]) -> dict[str, Any]:
    """Kernels and waits of a step, and the slowest operations."""
    name, *rest = plan.cases[0]
    case = Case(name, folders[name], *rest, max(plan.profiled, 8))
    result: dict[str, Any] = {library: profile(library, case, plan.profiled) for library in LIBRARIES}
    result["tercet"]["waits"] = waits(case, plan.profiled)
    return result


PARTS: dict[str, Callable[..., dict[str, Any]]] = {
    "steps": steps, "losses": losses, "encode": encode, "profile": profiles, "ahead": ahead, "trainer": trainer,
    "graphs": graphs_of_layers,
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=Path("gpu.json"))
    parser.add_argument("--parts", default=",".join(["tests", *PARTS]), help="the parts to run, in this order")
    parser.add_argument("--rounds", type=int, default=1, help="how often each library runs the part steps")
    parser.add_argument("--seconds", type=float, default=420, help="after this time no further case begins")
    parser.add_argument("--smoke", action="store_true", help="tiny sizes, also without a GPU")
    arguments = parser.parse_args()
    if not CUDA and not arguments.smoke:
        sys.exit("there is no CUDA GPU here; --smoke runs the script on a CPU with tiny sizes")
    plan, failed = Plan(smoke=arguments.smoke, rounds=arguments.rounds, seconds=arguments.seconds), []
    report: dict[str, Any] = {"environment": environment(), "seconds": {}}
    print(report["environment"], flush=True)
    with tempfile.TemporaryDirectory() as folder:
        names = {name for name, *_ in plan.cases} | {plan.encoder}
        folders = {name: build(name, Path(folder)) for name in sorted(names)}
        for part in arguments.parts.split(","):
            begin = time.perf_counter()
            if plan.is_over():
                report[part] = {"left_out": "the time was over"}
                continue
            try:
                report[part] = tests(plan) if part == "tests" else PARTS[part](plan, folders)
            except Exception as error:  # The other parts are worth measuring.
                failed.append(part)
                report[part] = {"failed": f"{type(error).__name__}: {error}", "traceback": traceback.format_exc()}
                print(report[part]["traceback"], file=sys.stderr, flush=True)
            report["seconds"][part] = round(time.perf_counter() - begin, 1)
            print(part, report["seconds"][part], "s", flush=True)
            arguments.output.write_text(json.dumps(report, indent=1), "utf-8")
    tables(report)
    if failed:
        sys.exit(f"failed: {', '.join(failed)}; see {arguments.output}")


if __name__ == "__main__":
    main()
