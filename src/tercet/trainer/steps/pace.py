"""Measure the seconds of a training step before the training."""

import statistics
import time
from itertools import islice

import torch

from tercet._distributed import world_size
from tercet._events import WarningKind, without_warnings
from tercet._gather import all_reduce_sum, number_of_first
from tercet.trainer.steps.trained_rows_training import TrainedRowsTrainer

# PyTorch allocates memory and selects kernels in the first steps.
_WARMUP_STEPS, _TIMED_STEPS = 2, 3
MEASURED_STEPS = _WARMUP_STEPS + _TIMED_STEPS
# No further step starts after this number of seconds. Slow steps vary less, so fewer of them are enough.
_MAX_SECONDS = 30.0

# The training gives these warnings again. Others, such as that packing is off, are given once in a process.
_REPEATED = {
    WarningKind.SMALL_MARGIN, WarningKind.UNREACHABLE_MARGIN, WarningKind.NO_TRIPLET, WarningKind.INACTIVE_TRIPLETS,
    WarningKind.LABELS_NOT_SEPARATED, WarningKind.COLLAPSE,
}  # fmt: skip


def seconds_per_step(trainer: TrainedRowsTrainer, max_seconds: float = _MAX_SECONDS) -> float:
    """Run the first batches of a training, and return the median seconds per step, the mean over all processes.

    The weights and the state of the random numbers do not change: the optimizer updates copies of the weights. The
    training warns of what is wrong with these batches, so they give no warnings here.

    Args:
        trainer: the trainer, before the training.
        max_seconds: no further step starts after this time, except for the second one: the first step is slower.
    """
    with trainer.only_trained_rows(), without_warnings(_REPEATED):
        return _seconds_per_step(trainer, min(max_seconds, _MAX_SECONDS))


def _seconds_per_step(trainer: TrainedRowsTrainer, max_seconds: float) -> float:
    model, device = trainer.model, trainer.args.device
    dataset = trainer._rows(trainer.train_dataset)
    size = trainer.args.train_batch_size
    rows = iter(trainer._get_train_sampler() or range(len(dataset)))
    trained = [value for value in model.parameters() if value.requires_grad]
    copies = [torch.zeros_like(value, requires_grad=True) for value in trained]
    optimizer = torch.optim.AdamW(copies)
    memory, trainer.cross_batch_memory = trainer.cross_batch_memory, None
    trainer.current_gradient_accumulation_steps = 1
    seconds: list[float] = []
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        for _ in range(MEASURED_STEPS):
            batch = list(islice(rows, size))
            if seconds and len(batch) < size:
                break
            if len(seconds) > 1 and number_of_first(sum(seconds) >= max_seconds, device):
                break
            start = time.perf_counter()
            inputs = trainer.data_collator(dataset.__getitems__(list(map(int, batch))))
            with trainer.accelerator.autocast():  # The training gets it when its model is prepared.
                trainer._training_step(model, inputs)
            for value, copy in zip(trained, copies, strict=True):
                copy.grad, value.grad = value.grad, None
            optimizer.step()
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            seconds.append(time.perf_counter() - start)
    trainer.cross_batch_memory = memory
    trainer.loss.zero_grad()
    median = statistics.median(seconds[min(_WARMUP_STEPS, len(seconds) - 1) :])
    return float(all_reduce_sum(torch.tensor(median, device=device))) / world_size()
