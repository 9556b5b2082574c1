"""Assign groups to batches, and fill their empty positions: steps 3 and 5 of `sampler.py`."""

import numpy as np

from tercet.data.sampling.groups import EMPTY


def deal_groups(labels: np.ndarray, batches: int, rng: np.random.Generator) -> np.ndarray:
    """Assign groups to batches.

    Args:
        labels: `(num_groups,)`, the label of each group. Groups with a positive pair and the same label are
            consecutive.
        batches: the number of batches. The number of groups must be a multiple of it.
        rng: the random number generator.

    Returns:
        `(num_batches, num_places)`, the index in `labels` of the group at each place.
    """
    places = len(labels) // batches
    table = np.empty((batches, places), dtype=np.int64)
    # The label of the last group at the previous place, and the batches that contain this label.
    continued, its_batches = -1, np.empty(0, dtype=np.int64)
    for place in range(places):
        start, end = place * batches, (place + 1) * batches
        order = rng.permutation(batches)
        if labels[start] == continued:
            head = _run_length(labels[start:end])
            free = order[~np.isin(order, its_batches)]
            order = np.concatenate([free[:head], rng.permutation(np.concatenate([free[head:], its_batches]))])
        table[order, place] = np.arange(start, end)
        last = labels[end - 1]
        if last != continued:
            tail = _run_length(labels[start:end][::-1])
            continued, its_batches = last, order[batches - tail :]
    return table


def _run_length(labels: np.ndarray) -> int:
    """Return the number of labels at the start that are equal to the first label."""
    other = labels != labels[0]
    return int(other.argmax()) if other.any() else len(labels)


def replace_empty_and_repeated(drawn: np.ndarray, rows: int, rng: np.random.Generator) -> None:
    """Modify `drawn` in place: replace empty positions and repeated rows of a batch by random rows not yet in it."""
    pending = np.arange(len(drawn))
    while len(pending):
        batches = drawn[pending]
        order = np.argsort(batches, axis=1, kind="stable")
        ranked = np.take_along_axis(batches, order, axis=1)
        replaced = np.zeros(batches.shape, dtype=bool)
        np.put_along_axis(replaced, order[:, 1:], ranked[:, 1:] == ranked[:, :-1], axis=1)
        replaced |= batches == EMPTY
        batches[replaced] = rng.integers(0, rows, int(replaced.sum()))
        drawn[pending] = batches
        pending = pending[replaced.any(axis=1)]
