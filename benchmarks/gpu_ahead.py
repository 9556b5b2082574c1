"""Measure training and `encode` with and without work that runs while a GPU computes, for `gpu.py`."""

import statistics
import time
from collections.abc import Callable
from typing import Any
from unittest.mock import patch

from gpu_steps import Case, train

_ROUNDS = 3


def training(case: Case, warmup: int, block: int) -> dict[str, Any]:
    """Steps of the trainer: batches collated in a thread or not, tokenized once or each time, copied with waiting."""
    from tercet.trainer.batches import tokenizing
    from tercet.trainer.batches.collating_ahead import CollatingAheadTrainer

    def measure(*, thread: bool, rows_tokenized_once: int = 200_000, **arguments: Any) -> dict[str, Any]:
        with (
            patch.object(CollatingAheadTrainer, "_collates_ahead", lambda self: thread),
            patch.object(tokenizing, "ROWS_TOKENIZED_ONCE", rows_tokenized_once),
        ):
            return train("tercet", case, warmup, block, **arguments)

    return {
        "collated in a thread": measure(thread=True),
        "collated between the steps": measure(thread=False),
        "tokenized and collated in a thread": measure(thread=True, rows_tokenized_once=0),
        "tokenized and collated between the steps": measure(thread=False, rows_tokenized_once=0),
        "collated between the steps, waiting for copies": measure(
            thread=False, accelerator_config={"non_blocking": False}
        ),
    }


def encoding(model: Any, texts: list[str]) -> dict[str, Any]:
    """Sentences per second of `encode`: tokenized in a thread or not, copied batch by batch or at the end."""
    from tercet.encoder import encode

    def tokenize_between() -> None:
        with patch.object(encode, "_WINDOWS_AHEAD", 0):
            model.encode(texts)

    runs: dict[str, Callable[[], Any]] = {
        "tokenized in a thread, copied batch by batch": lambda: model.encode(texts),
        "tokenized between the batches": tokenize_between,
        "copied at the end": lambda: model.encode(texts, convert_to_tensor=True).cpu().numpy(),
    }
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    model.encode(texts[: len(texts) // 10])
    for _ in range(_ROUNDS):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - start)
    return {name: {"per_second": len(texts) / statistics.median(found)} for name, found in seconds.items()}
