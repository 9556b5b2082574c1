"""Labelled embeddings of known distributions, for the tests of decisions."""

import numpy as np
import torch
from hypothesis import HealthCheck, settings

from tercet.decisions.candidates import Rows
from tercet.decisions.spaces import spaces

# For properties whose examples fit classifiers.
FEW_EXAMPLES = settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def blobs(rows=120, *, labels=3, dim=8, noise=0.35, seed=0, means_seed=0):
    """Return embeddings `(rows, dim)` around a random mean per label, and their label ids."""
    means = np.random.default_rng(means_seed).normal(size=(labels, dim))
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    rng = np.random.default_rng(seed)
    ids = np.arange(rows) % labels
    return (means[ids] + noise * rng.normal(size=(rows, dim))).astype(np.float32), ids


def names_of(ids, names=("alpha", "beta", "gamma", "delta")):
    """Return a string label for each label id."""
    return [names[label_id] if label_id < len(names) else f"label {label_id}" for label_id in ids]


def rows_of(x, ids, num_labels=None):
    """Return training rows as the package has them."""
    ids = torch.as_tensor(np.asarray(ids)).long()
    return Rows(spaces=spaces(torch.as_tensor(x)), label_ids=ids, num_labels=num_labels or int(ids.max()) + 1)
