"""Splits of labelled data: rows to train on, and rows to evaluate on."""

import numpy as np

from tercet.data.columns import LabelledSentences


def split_held_out(data: LabelledSentences, fraction: float, seed: int) -> tuple[LabelledSentences, LabelledSentences]:
    """Hold out a fraction of each label at random; return the rows to train on and the rows held out.

    A held-out row needs a second one of its label to be found, so a label gives two rows or more, and none if fewer
    than two would stay.

    Args:
        fraction: of the rows of each label, between 0 and 1.
        seed: the same seed holds out the same rows.
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
