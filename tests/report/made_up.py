"""A run to report of, made up: real arrays and the same structures as a run's, without training."""

import numpy as np
import torch

from tercet.report.run_report import Measured

METRICS = {
    "tercet_version": "0.0",
    "warnings": [],
    "settings": {"loss": "batch-semi-hard", "margin": 0.3, "distance": "euclidean", "data": "x.csv", "seed": None},
    "before": {"recall@1": 0.5, "map@r": 0.25},
    "after": {"recall@1": 0.75, "map@r": 0.5},
    "steps": 30,
}
LOG = [
    {"loss": 0.3, "active_fraction": 0.9, "anchors_without_triplet": 0.0, "positive_distance": 0.8,
     "negative_distance": 1.0, "epoch": 0.5, "step": 10},
    {"eval_map@r": 0.4, "eval_recall@1": 0.6, "step": 15},
    {"loss": 0.1, "active_fraction": 0.4, "anchors_without_triplet": 0.0, "positive_distance": 0.5,
     "negative_distance": 1.2, "epoch": 1.0, "step": 20},
    {"train_runtime": 3.0, "step": 30},
]  # fmt: skip


def measured(sentences, labels, dim=8, seed=0):
    """Embeddings in groups by label that training draws together."""
    generator = torch.Generator().manual_seed(seed)
    label_ids = np.unique(labels, return_inverse=True)[1]
    centres = torch.randn(label_ids.max() + 1, dim, generator=generator)[torch.from_numpy(label_ids)]
    noise = torch.randn(len(labels), dim, generator=generator)
    before, after = (torch.nn.functional.normalize(centres + s * noise, dim=1) for s in (1.0, 0.3))
    return Measured(sentences, labels, before, after)
