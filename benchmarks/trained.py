"""Train for one epoch and evaluate. Not in common.py, because its imports would count in the memory benchmarks."""

import tempfile
from pathlib import Path

from common import model_folder
from datasets import Dataset
from transformers import set_seed

from tercet import SentenceTransformer
from tercet.evaluation import LabelEvaluator
from tercet.runs import RunSettings
from tercet.runs.build import build_trainer


def map_at_r(train: tuple[list[str], list[int]], test: tuple[list[str], list[int]], settings: RunSettings) -> float:
    """Return the MAP@R on `test` of the packaged encoder after training on `train`; both are texts and label ids."""
    set_seed(settings.seed)
    model = SentenceTransformer(model_folder("bundled"), device="cpu")
    data = Dataset.from_dict({"sentence": train[0], "label": train[1]})
    with tempfile.TemporaryDirectory() as folder:
        build_trainer(model, data, settings, Path(folder), [], save_strategy="no").train()
    return LabelEvaluator(*test)(model)["map@r"]
