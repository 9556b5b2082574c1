"""Split labelled data into rows to train on and rows to evaluate on."""

import numpy as np

from tercet.data.labels import LabelledSentences


def split_held_out(data: LabelledSentences, fraction: float, seed: int) -> tuple[LabelledSentences, LabelledSentences]:
    """Hold out a fraction of each label at random; return the rows to train on and the held-out rows.

    A held-out sentence is found only if a second sentence of its label is held out too. So a label gives at least two
    rows, or none if fewer than two would remain to train on.

    Args:
        data: the rows to split.
        fraction: the fraction of each label's rows to hold out, between 0 and 1.
        seed: the same seed holds out the same rows.

    Returns:
        Both parts, their rows in the order of `data`, with its label ids and names.
    """
    order = np.random.default_rng(seed).permutation(len(data))
    order = order[np.argsort(data.label_ids[order], kind="stable")]
    _, starts, counts = np.unique(data.label_ids[order], return_index=True, return_counts=True)
    quota = np.round(counts * fraction).astype(int)
    quota[quota == 1] = 2
    quota[quota > counts - 2] = 0
    held_out = np.zeros(len(data), dtype=bool)
    held_out[order] = np.arange(len(data)) - np.repeat(starts, counts) < np.repeat(quota, counts)
    return data.take(np.flatnonzero(~held_out)), data.take(np.flatnonzero(held_out))
