"""A comparison on a tiny model and tiny data, for the tests of comparisons."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset

from tercet import SentenceTransformer
from tercet.comparison import Plan, baselines, budget, loop, parse_grid
from tercet.records import ComparisonRecord
from tercet.runs import RunSettings
from tests.conftest import EVALUATION_TOPICS, TOPICS

PLAN = Plan(
    variants=parse_grid(["loss=batch-all,batch-hard"]),
    seeds=(3, 4),
    settings=RunSettings(max_steps=10, batch_size=8, samples_per_label=2, learning_rate=1e-3),
)


class Load:
    """Load the model of a folder, on the CPU."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = folder

    def __call__(self) -> SentenceTransformer:
        return SentenceTransformer(str(self.folder), device="cpu")


class Damaged(Load):
    """Load a model with a weight that is NaN."""

    def __call__(self) -> SentenceTransformer:
        model = super().__call__()
        with torch.no_grad():
            next(model.parameters()).fill_(torch.nan)
        return model


def labelled_data(topics: dict[str, list[str]] = TOPICS) -> Dataset:
    rows = [(text, name) for name, topic in topics.items() for text in topic]
    return Dataset.from_dict({"sentence": [text for text, _ in rows], "label": [name for _, name in rows]})


def evaluation_data() -> Dataset:
    return labelled_data(EVALUATION_TOPICS)


def compare(bert: Path, output: Path, plan: Plan = PLAN, load: Any = Load, data: Any = None, **options: Any) -> Any:
    """Run a comparison with models of a folder. `load` is a class, an object, or a dictionary of objects."""
    load = load(bert) if isinstance(load, type) else load
    load = load if isinstance(load, dict) else {None: load}
    return loop.run_comparison(load, data or labelled_data(), evaluation_data(), output, plan, **options)


def read_record(output: Path) -> ComparisonRecord:
    return ComparisonRecord.from_dict(json.loads((output / "compare.json").read_text()))


def replace_function(monkeypatch: pytest.MonkeyPatch, name: str, value: Any) -> None:
    """Replace a function in each module of the comparison that calls it."""
    for module in (baselines, budget, loop):
        if hasattr(module, name):
            monkeypatch.setattr(module, name, value)
