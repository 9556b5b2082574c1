"""Compare training steps with those of sentence-transformers: time, peak memory, losses, and the parts of a step.

    python benchmarks/train.py --data DIR [--mpnet FOLDER] [--sets clinc150] [--steps 12] [--output FILE.json]

Both libraries use the same model, data, batches (P×K, K = 4), loss (SemiHard, margin 0.3), optimizer and precision.
Each run is a separate process, and the libraries alternate. Times are medians over the steps after the first three.
DIR contains one folder per data set with a train.csv (columns text, label). A GPU runs bfloat16 and batches of 256.
On a processor, `--bf16` measures both libraries in bfloat16, too.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections import defaultdict
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from common import alone, labelled, model_folder, peak_mib, step_starts
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook

WARMUP = 3
CASES = [("banking77", "bundled", 64), ("clinc150", "bundled", 64), ("banking77", "mpnet", 32)]


def make_trainer(options: dict[str, Any], output: str) -> Any:
    """Return the trainer of one library on the first batches of our sampler, in order, and the starts of its steps."""
    from datasets import Dataset

    from tercet.data.sampling.sampler import GroupByLabelSampler

    is_tercet = options["library"] == "tercet"
    if is_tercet:
        import tercet as library
        from tercet import losses
    else:
        import sentence_transformers as library
        from sentence_transformers.sentence_transformer import losses
    model = library.SentenceTransformer(options["model"])
    if not options["dropout"]:
        for module in model.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0
    texts, labels = labelled(Path(options["data"]), options["set"])
    size, steps = options["batch_size"], options["steps"]
    rows = GroupByLabelSampler(labels, size, samples_per_label=4).batches()[:steps].flatten()
    data = Dataset.from_dict({"sentence": [texts[row] for row in rows], "label": [labels[row] for row in rows]})
    sampler = {"train_sampling_strategy": "sequential"} if is_tercet else {"batch_sampler": in_order}
    arguments = library.SentenceTransformerTrainingArguments(
        output, max_steps=steps, per_device_train_batch_size=size, learning_rate=5e-5, warmup_steps=0.1,
        report_to="none", save_strategy="no", disable_tqdm=True, logging_steps=1, bf16=options["bf16"],
        dataloader_pin_memory=torch.cuda.is_available(), use_cpu=not torch.cuda.is_available(), **sampler,
    )  # fmt: skip

    loss = losses.BatchSemiHardTripletLoss(model, margin=0.3)
    trainer = library.SentenceTransformerTrainer(model=model, args=arguments, train_dataset=data, loss=loss)
    return trainer, step_starts(trainer)


def in_order(dataset: Any, batch_size: int, drop_last: bool, **_: Any) -> Any:
    from sentence_transformers.base.sampler import DefaultBatchSampler
    from torch.utils.data import SequentialSampler

    return DefaultBatchSampler(SequentialSampler(dataset), batch_size, drop_last)


def one(options: dict[str, Any]) -> dict[str, Any]:
    """Train a few steps. Return the seconds and the loss of each step, and the peak memory of this process."""
    torch.set_num_threads(options["threads"])
    with tempfile.TemporaryDirectory() as output:
        trainer, starts = make_trainer(options, output)
        spent, shapes = _profile(trainer) if options["profile"] else ({}, [])
        trainer.train()
    seconds = [after - before for before, after in pairwise(starts)]
    result: dict[str, Any] = {
        "seconds": seconds[WARMUP:],
        "losses": [entry["loss"] for entry in trainer.state.log_history if "loss" in entry],
        "peak_mib": peak_mib(),
        "gpu_peak_mib": torch.cuda.max_memory_allocated() / 2**20 if torch.cuda.is_available() else None,
    }
    if options["profile"]:
        step = statistics.median(result["seconds"])
        parts = {name: statistics.median(times[WARMUP:]) for name, times in spent.items()}
        parts["rest"] = step - sum(parts.values())
        result |= {"step": step, "parts": parts, "bare_products": _bare_products(shapes)}
    return result


def _profile(trainer: Any) -> tuple[dict[str, list[float]], list[list[tuple[int, int, int]]]]:
    """Measure the parts of each step. Return their seconds, and the shapes (rows, in, out) of the linear layers."""
    from tercet.encoder.packing import architectures
    from tercet.trainer.batches import collate

    spent: dict[str, list[float]] = defaultdict(list)
    shapes: list[list[tuple[int, int, int]]] = []

    def timed(name: str, function: Any) -> Any:
        def run(*args: Any, **kwargs: Any) -> Any:
            start = time.perf_counter()
            result = function(*args, **kwargs)
            spent[name].append(time.perf_counter() - start)
            return result

        return run

    collate.pack = timed("collate", collate.pack)  # type: ignore[attr-defined]
    trainer.model.forward = timed("encode", trainer.model.forward)
    trainer.loss.compute_loss_from_embeddings = timed("loss", trainer.loss.compute_loss_from_embeddings)
    trainer.accelerator.backward = timed("backward", trainer.accelerator.backward)
    trainer.accelerator.clip_grad_norm_ = timed("clip gradients", trainer.accelerator.clip_grad_norm_)
    started: list[float] = []
    register_optimizer_step_pre_hook(lambda *_: started.append(time.perf_counter()))
    register_optimizer_step_post_hook(lambda *_: spent["optimizer"].append(time.perf_counter() - started.pop()))
    # Hooks on the linear layers would make other code run. Each layer of the encoder gets all tokens of a batch.
    linears = [module for module in trainer.model.transformer.auto_model.encoder.modules()
               if isinstance(module, torch.nn.Linear)]  # fmt: skip
    run_layers = architectures.run_layers  # type: ignore[attr-defined]

    def counted(layers: Any, x: torch.Tensor, attention: Any) -> torch.Tensor:
        shapes.append([(len(x), linear.in_features, linear.out_features) for linear in linears])
        return run_layers(layers, x, attention)

    architectures.run_layers = counted  # type: ignore[attr-defined]
    return spent, shapes


def _bare_products(shapes: list[list[tuple[int, int, int]]]) -> float:
    """Return the seconds of only the matrix products of the linear layers in a step, forward and backward."""
    seconds = []
    for step in shapes[-5:]:
        total = 0.0
        for rows, size_in, size_out in step:
            x, w, g = torch.randn(rows, size_in), torch.randn(size_out, size_in), torch.randn(rows, size_out)
            start = time.perf_counter()
            for left, right in ((x, w.T), (g, w), (g.T, x)):
                torch.mm(left, right)
            total += time.perf_counter() - start
        seconds.append(total)
    return statistics.median(seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("data"))
    parser.add_argument("--mpnet", help="a folder with all-mpnet-base-v2; without it, this case is skipped")
    parser.add_argument("--sets", nargs="+", default=["banking77", "clinc150"])
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument(
        "--loss-steps", type=int, default=50, help="steps without dropout, to compare losses; 0 for none"
    )
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--bf16", action="store_true", help="on a processor, measure both libraries in bfloat16, too")
    parser.add_argument("--output", type=Path)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.bf16 and torch.cuda.is_available():
        parser.error("--bf16 is for a processor; a GPU always runs bfloat16")
    if arguments.one:
        print(json.dumps(one(json.loads(arguments.one))))
        return
    report: dict[str, Any] = {"torch": torch.__version__, "threads": arguments.threads, "cases": []}
    for name, model, size in (case for case in CASES if case[0] in arguments.sets):
        if model == "mpnet" and not arguments.mpnet:
            print(f"{name}, all-mpnet-base-v2: skipped, because --mpnet is not set")
            continue
        options = {
            "data": str(arguments.data), "set": name, "dropout": True, "profile": False, "threads": arguments.threads,
            "model": model_folder(arguments.mpnet if model == "mpnet" else model),
            "steps": arguments.steps + WARMUP + 1,
            "batch_size": 256 if torch.cuda.is_available() else size, "bf16": torch.cuda.is_available(),
        }  # fmt: skip
        report["cases"].append(_case(options, arguments.rounds, arguments.bf16))
    if arguments.loss_steps:
        options |= {"set": "banking77", "model": model_folder("bundled"), "batch_size": 64, "dropout": False}
        options |= {"steps": arguments.loss_steps}
        tercet, peer = (alone(__file__, options | {"library": name})["losses"] for name in ("tercet", "peer"))
        report["largest_difference_of_losses"] = max(abs(a - b) for a, b in zip(tercet, peer, strict=True))
        print(f"losses of {len(tercet)} steps without dropout differ by {report['largest_difference_of_losses']:.1e}")
    if arguments.output:
        arguments.output.write_text(json.dumps(report, indent=1))


def _case(options: dict[str, Any], rounds: int, bf16: bool) -> dict[str, Any]:
    kinds = {"tercet": {}, "peer": {}}
    if bf16:
        kinds |= {f"{library}, bf16": {"bf16": True} for library in ("tercet", "peer")}
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in kinds}
    for _ in range(rounds):
        for name, changes in kinds.items():
            runs[name].append(alone(__file__, options | {"library": name.split(",")[0]} | changes))
    seconds = {name: statistics.median([s for run in group for s in run["seconds"]]) for name, group in runs.items()}
    peaks = {name: statistics.median(run["peak_mib"] for run in group) for name, group in runs.items()}
    profile = alone(__file__, options | {"library": "tercet", "profile": True})
    fraction = profile["bare_products"] / seconds["tercet"]
    case = {
        "set": options["set"], "model": Path(options["model"]).name, "batch_size": options["batch_size"],
        "seconds": seconds, "peak_mib": peaks, "parts": profile["parts"],
        "fraction_of_bare_products": fraction, "runs": runs,
    }  # fmt: skip
    print(f"{case['set']}, {case['model']}, batch {case['batch_size']}")
    for ours in (name for name in runs if name.startswith("tercet")):
        peer = ours.replace("tercet", "peer")
        ratio, of_peak = seconds[peer] / seconds[ours], peaks[ours] / peaks[peer]
        print(f"  {ours}: per step {seconds[ours]:.3f} s against {seconds[peer]:.3f} s: × {ratio:.2f}")
        print(f"    peak {peaks[ours]:.0f} MiB against {peaks[peer]:.0f}: × {of_peak:.2f}")
    for part, time_of_part in profile["parts"].items():
        print(f"  {part:16s} {time_of_part * 1e3:8.1f} ms  {time_of_part / profile['step']:6.1%}")
    print(f"  bare products of the linear layers: {fraction:.0%} of a step", flush=True)
    return case


if __name__ == "__main__":
    main()
