"""Embed, train for one epoch, evaluate. Not in common.py: its imports would count in the memory benchmarks."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from common import Rows, model_folder
from datasets import Dataset
from transformers import set_seed

from tercet import SentenceTransformer
from tercet.evaluation import LabelEvaluator
from tercet.runs import RunSettings
from tercet.runs.build import build_trainer


def embed(name: str, texts: Sequence[str], cache: Path | None = None, model: str = "bundled") -> torch.Tensor:
    """Return embeddings of length 1 `(n, dim)`; with `cache`, store them in that folder as `name`, and read them."""
    kept = cache / f"{name}.npy" if cache else None
    if kept is not None and kept.exists():
        return torch.from_numpy(np.load(kept))
    embeddings = SentenceTransformer(model_folder(model), device="cpu").encode(list(texts), normalize_embeddings=True)
    if kept is not None:
        kept.parent.mkdir(parents=True, exist_ok=True)
        np.save(kept, embeddings)
    return torch.from_numpy(embeddings)


def map_at_r(train: Rows, test: Rows, settings: RunSettings) -> float:
    """Return the MAP@R on `test` of the packaged encoder after training on `train`; both are texts and label ids."""
    set_seed(settings.seed)
    model = SentenceTransformer(model_folder("bundled"), device="cpu")
    data = Dataset.from_dict({"sentence": train[0], "label": train[1]})
    with tempfile.TemporaryDirectory() as folder:
        build_trainer(model, data, settings, Path(folder), [], save_strategy="no").train()
    return LabelEvaluator(*test)(model)["map@r"]
