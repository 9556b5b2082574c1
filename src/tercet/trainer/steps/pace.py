"""Measure the seconds of a training step before the training."""

import statistics
import time
from itertools import islice

import torch

from tercet._distributed import world_size
from tercet._events import no_warnings
from tercet._gather import all_reduce_sum, broadcast_from_first
from tercet.trainer.steps.trained_rows_training import TrainedRowsTrainer

# PyTorch allocates memory and selects kernels in the first steps.
_WARMUP_STEPS, _TIMED_STEPS = 2, 3
# Slow steps are measured for about this time. Their first ones are not much slower than later ones.
_MOST_SECONDS = 30.0


def seconds_per_step(trainer: TrainedRowsTrainer, most_seconds: float = _MOST_SECONDS) -> float:
    """Run the first batches of a training, and return the median seconds per step, the mean over all processes.

    The weights and the state of the random numbers do not change: the optimizer updates copies of the weights. The
    training warns of what is wrong with these batches, so they give no warnings here.

    Args:
        trainer: the trainer, before the training.
        most_seconds: no further step begins after this time. At least one is measured.
    """
    with trainer.only_trained_rows(), no_warnings():
        return _seconds_per_step(trainer, min(most_seconds, _MOST_SECONDS))


def _seconds_per_step(trainer: TrainedRowsTrainer, most_seconds: float) -> float:
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
        for _ in range(_WARMUP_STEPS + _TIMED_STEPS):
            batch = list(islice(rows, size))
            if seconds and (len(batch) < size or _is_over(sum(seconds) >= most_seconds, device)):
                break
            start = time.perf_counter()
            trainer._training_step(model, trainer.data_collator(dataset.__getitems__(list(map(int, batch)))))
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


def _is_over(is_over: bool, device: torch.device) -> bool:
    """Return what holds in the first process, because all processes must run the same steps."""
    return bool(broadcast_from_first(torch.tensor(is_over, device=device)))
