"""Training steps on a GPU, for `gpu.py`: with the trainers, and in a plain loop, which needs no `datasets`."""

import gc
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import torch
from gpu_models import SHAPES, batches_of, texts_of

MARGIN = 0.3
CUDA = torch.cuda.is_available()
DEVICE = "cuda" if CUDA else "cpu"


def synchronize() -> None:
    if CUDA:
        torch.cuda.synchronize()


def peak_mib() -> float | None:
    return torch.cuda.max_memory_allocated() / 2**20 if CUDA else None


def reset_peak() -> None:
    gc.collect()  # A model of the case before may be part of a cycle.
    if CUDA:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


class Case:
    """A model, the lengths of a data set, a batch size and a precision, with the same batches for both libraries."""

    def __init__(self, name: str, folder: str, lengths: str, size: int, dtype: str, steps: int) -> None:
        self.name, self.folder, self.size, self.dtype, self.steps = name, folder, size, dtype, steps
        texts, labels = texts_of(lengths, 4 * size * 8, SHAPES[name][4])
        self.batches = batches_of(labels, size, steps)
        self.texts, self.labels = texts, labels
        self.key = f"{name} {lengths} {size} {dtype}"


def trainer_of(library: str, case: Case, output: str, callbacks: list[Any], **changes: Any) -> Any:
    """Return the trainer of a library on the batches of a case. `changes` are arguments of the training."""
    from datasets import Dataset

    if library == "tercet":
        import tercet as package
        from tercet import losses

        sampler: dict[str, Any] = {"train_sampling_strategy": "sequential"}
    else:
        import sentence_transformers as package
        from sentence_transformers.sentence_transformer import losses
        from train import in_order

        sampler = {"batch_sampler": in_order}
    model = package.SentenceTransformer(case.folder, device=DEVICE)
    rows = [row for batch in case.batches for row in batch]
    data = Dataset.from_dict({"sentence": [case.texts[r] for r in rows], "label": [case.labels[r] for r in rows]})
    arguments = package.SentenceTransformerTrainingArguments(
        output, max_steps=case.steps, per_device_train_batch_size=case.size, learning_rate=2e-5, warmup_steps=0.1,
        report_to="none", save_strategy="no", disable_tqdm=True, logging_steps=40, bf16=case.dtype == "bf16",
        dataloader_pin_memory=CUDA, **sampler, **changes,
    )  # fmt: skip
    loss = losses.BatchSemiHardTripletLoss(model, margin=MARGIN)
    return package.SentenceTransformerTrainer(
        model=model, args=arguments, train_dataset=data, loss=loss, callbacks=callbacks
    )


def train(library: str, case: Case, warmup: int, block: int, **changes: Any) -> dict[str, Any]:
    """Train once. The device is waited for after the 10th step, and after each `block` steps after the warm-up.

    `changes` are arguments of the training.
    """
    from transformers import TrainerCallback

    marks: dict[int, float] = {}

    class Marks(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            step = state.global_step
            if step == 10 or (step >= warmup and (step - warmup) % block == 0):
                synchronize()
                marks[step] = time.perf_counter()

    reset_peak()
    with tempfile.TemporaryDirectory() as output:
        trainer = trainer_of(library, case, output, [Marks()], **changes)
        synchronize()
        start = time.perf_counter()
        trainer.train()
        synchronize()
        wall = time.perf_counter() - start
    after = [step for step in sorted(marks) if step >= warmup]
    seconds = [(marks[last] - marks[first]) / (last - first) for first, last in pairwise(after)]
    return {
        "first_10_ms": 1e3 * (marks[10] - start) / 10 if 10 in marks else None,
        "step_ms": 1e3 * statistics.median(seconds) if seconds else 1e3 * wall / case.steps,
        "wall_s": wall,
        "peak_mib": peak_mib(),
    }


def loop(library: str, case: Case, warmup: int, block: int) -> dict[str, Any]:
    """Run the model, the loss, the clipping and the optimizer in a plain loop, with the batches collated before."""
    step = plain_step(library, case)
    reset_peak()
    times = []
    for number in range(case.steps):
        if number >= warmup and (number - warmup) % block == 0:
            synchronize()
            times.append(time.perf_counter())
        step(number)
    synchronize()
    times.append(time.perf_counter())
    per_step = [(last - first) / block for first, last in pairwise(times)]
    return {"step_ms": 1e3 * statistics.median(per_step), "peak_mib": peak_mib()}


def plain_step(library: str, case: Case) -> Any:
    """Return a function that runs the training step of a number.

    Its second argument is a function that is called with the name of each section of the step, at its end.
    """
    if library == "tercet":
        import tercet as package
        from tercet import losses
        from tercet.encoder.packing import pack
    else:
        import sentence_transformers as package
        from sentence_transformers.sentence_transformer import losses
    model = package.SentenceTransformer(case.folder, device=DEVICE)
    model.train()
    loss = losses.BatchSemiHardTripletLoss(model, margin=MARGIN)
    if library == "tercet":
        loss.defer_checks = loss.collect_stats = True  # as in the trainer on a GPU
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-5, fused=CUDA)
    texts = [[case.texts[row] for row in batch] for batch in case.batches]
    padded = getattr(model, "preprocess", None) or model.tokenize  # `tokenize` is deprecated in newer versions.
    tokenized = [pack(model.token_ids(batch)) if library == "tercet" else padded(batch) for batch in texts]
    labels = [torch.tensor([case.labels[row] for row in batch]) for batch in case.batches]

    def step(number: int, mark: Callable[[str], None] = lambda section: None) -> None:
        features = {
            name: value.to(DEVICE, non_blocking=True) if isinstance(value, torch.Tensor) else value
            for name, value in tokenized[number].items()
        }
        with torch.autocast(DEVICE, torch.bfloat16, enabled=case.dtype == "bf16"):
            embeddings = model(features)["sentence_embedding"]
            mark("forward")
            of_batch = labels[number] if library == "tercet" else labels[number].to(DEVICE)
            value = loss.compute_loss_from_embeddings([embeddings], of_batch)
        mark("loss")
        value.backward()
        mark("backward")
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        mark("clipping")
        optimizer.step()
        optimizer.zero_grad()
        mark("optimizer")

    return step


def profile(library: str, case: Case, steps: int) -> dict[str, Any]:
    """Return kernels, copies and synchronizations per step, the time of both sides, and the slowest operations."""
    from torch.profiler import ProfilerActivity
    from torch.profiler import profile as profiler

    step = plain_step(library, case)
    for number in range(steps):
        step(number)
    synchronize()
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if CUDA else [])]
    with profiler(activities=activities) as profiled:
        start = time.perf_counter()
        for number in range(steps):
            step(number)
        synchronize()
        seconds = time.perf_counter() - start
    averages = profiled.key_averages()
    calls = Counter({event.key: event.count for event in averages})
    on_gpu = sum(getattr(event, "self_device_time_total", 0) for event in averages)
    named = ("cudaLaunchKernel", "cudaLaunchKernelExC", "cuLaunchKernel", "cuLaunchKernelEx", "cudaMemcpyAsync",
             "cudaMemsetAsync", "cudaStreamSynchronize", "cudaDeviceSynchronize", "aten::_local_scalar_dense",
             "aten::nonzero")  # fmt: skip
    slowest = sorted(averages, key=lambda event: -event.self_cpu_time_total)[:15]
    return {
        "per_step": {name: calls[name] / steps for name in named},
        "profiled_ms": 1e3 * seconds / steps,
        "gpu_ms": on_gpu / 1e3 / steps,
        "slowest_ms": {event.key: event.self_cpu_time_total / 1e3 / steps for event in slowest},
        "sections_ms": sections(step, steps),
    }


def sections(step: Any, steps: int) -> dict[str, dict[str, float]]:
    """Return the milliseconds of each section of a step, until it is launched and until it is computed."""
    launched: dict[str, list[float]] = {}
    computed: dict[str, list[float]] = {}
    start = 0.0

    def mark(section: str) -> None:
        nonlocal start
        launched.setdefault(section, []).append(1e3 * (time.perf_counter() - start))
        synchronize()
        computed.setdefault(section, []).append(1e3 * (time.perf_counter() - start))
        start = time.perf_counter()

    for number in range(steps):
        synchronize()
        start = time.perf_counter()
        step(number, mark)
    return {
        section: {"launched": statistics.median(times), "computed": statistics.median(computed[section])}
        for section, times in launched.items()
    }


def waits(case: Case, steps: int) -> dict[str, int]:
    """Return where a step of ours waits for the GPU, by torch's debug mode: the place, and the number in all steps."""
    import warnings

    step = plain_step("tercet", case)
    step(0)
    step(1)
    synchronize()
    if not CUDA:
        return {}
    torch.cuda.set_sync_debug_mode("warn")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for number in range(steps):
            step(number)
    torch.cuda.set_sync_debug_mode("default")
    return dict(Counter(f"{warning.filename}:{warning.lineno}" for warning in caught))
