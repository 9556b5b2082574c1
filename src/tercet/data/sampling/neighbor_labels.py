"""Put labels that are near each other into the same batch.

`nearest_labels` finds the neighbours of each label. `move_neighbours_together` exchanges groups between the batches of
an epoch, so that a part of each batch has neighbouring labels.
"""

import random

import numpy as np

# The neighbours of a label are searched in a random block of this number of labels, which is all of them if there are
# fewer. So the time grows with the number of labels and not with its square.
BLOCK = 2048
# For each place that a neighbour can take, this number of neighbours is listed, because the nearest may be used up.
_CANDIDATES_PER_PLACE = 8
# The number of random cells of a label that are tried for an exchange.
_TRIES = 4
# Directions are rounded to 15 bits. Products of such integers are exact in float64, whatever the order of the sum, so
# every process and every machine finds the same neighbours.
_SCALE = 2.0**15


def nearest_labels(means: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Return the labels whose means have the nearest directions (by the cosine), the nearest one first.

    Args:
        means: `(num_labels, dim)`. A label whose mean is zero has no neighbours, and is no neighbour of others.
        count: the number of neighbours per label.
        rng: the random number generator that forms the blocks of `BLOCK` labels.

    Returns:
        The label ids `(num_labels, count)`, with -1 at the end of a row if there are fewer neighbours.
    """
    found = np.full((len(means), count), -1, dtype=np.int64)
    known = rng.permutation(np.flatnonzero(means.any(axis=1)))
    for block in np.array_split(known, max(1, -(-len(known) // BLOCK))):
        size, kept = len(block), min(count, len(block) - 1)
        if kept < 1:
            continue
        rows = means[block].astype(np.float64)
        directions = np.rint(rows / np.linalg.norm(rows, axis=1, keepdims=True) * _SCALE)
        # Among equal products, the first label of the block is nearer, so no sort decides the order.
        key = directions @ directions.T * size - np.arange(size)
        np.fill_diagonal(key, -np.inf)
        nearest = np.argpartition(key, size - kept, axis=1)[:, size - kept :]
        by_key = np.argsort(-np.take_along_axis(key, nearest, axis=1), axis=1)
        found[block, :kept] = block[np.take_along_axis(nearest, by_key, axis=1)]
    return found


def move_neighbours_together(
    labels: np.ndarray, means: np.ndarray, num_near: int, rng: np.random.Generator
) -> np.ndarray:
    """Exchange cells of a table of batches, so that `num_near` cells of each row have neighbouring labels.

    For each row, a random cell is the seed. The nearest labels that other rows can give are moved into the row, until
    `num_near` of its cells are near (the seed is one of them). These cells stay; the others are random and may still be
    exchanged. An exchange never puts a label twice into a row, so a table without repeated labels stays one.

    Args:
        labels: `(num_batches, num_places)`, the label of the group in each cell; -1 for a cell that must stay.
        means: `(num_labels, dim)`, the mean embedding of each label.
        num_near: the number of near cells per row.
        rng: the random number generator.

    Returns:
        `(num_batches, num_places)`: for each cell, the number of the cell in the flattened table whose group it gets.
    """
    rows, places = labels.shape
    # Only labels that can be moved are worth finding.
    movable = np.bincount(labels[labels >= 0], minlength=len(means)) > 0
    neighbours = nearest_labels(np.where(movable[:, None], means, 0), _CANDIDATES_PER_PLACE * num_near, rng)
    # The seeds are drawn for all rows at once: the cell with the highest random number. A row without a cell that can
    # be exchanged has the seed -1.
    drawn = np.where(labels >= 0, rng.random(labels.shape), -1.0)
    seeds = np.where(drawn.max(axis=1) < 0, -1, drawn.argmax(axis=1) + np.arange(rows) * places).tolist()
    table = _Table(labels, random.Random(int(rng.integers(2**63))))
    neighbours_of: dict[int, list[int]] = {}
    for row, seed in enumerate(seeds):
        if seed < 0:
            continue
        label = table.labels[seed]
        if label not in neighbours_of:
            neighbours_of[label] = [other for other in neighbours[label].tolist() if other >= 0]
        table.gather(row, seed, neighbours_of[label], num_near)
    return np.array(table.source).reshape(rows, places)


class _Table:
    """The cells of the batches, and where each label can be taken from.

    Attributes:
        labels: the label of each cell, row after row.
        source: the number of the cell that the group of each cell came from.
    """

    def __init__(self, labels: np.ndarray, rng: random.Random) -> None:
        self.places: int = labels.shape[1]
        flat = labels.ravel()
        self.labels: list[int] = flat.tolist()
        self.source = list(range(flat.size))
        self._random = rng.random
        # The cells of each label that may be exchanged, and the position of each cell in its list; -1 if it must stay.
        self._cells: list[list[int]] = [[] for _ in range(int(flat.max()) + 1)]
        self._position = [-1] * flat.size
        for cell, label in enumerate(self.labels):
            if label >= 0:
                self._position[cell] = len(self._cells[label])
                self._cells[label].append(cell)

    def gather(self, row: int, seed: int, neighbours: list[int], num_near: int) -> None:
        """Move neighbours of the label of the cell `seed` into its row, and fix them, until `num_near` are near."""
        start = row * self.places
        self._fix(seed)
        near = 1
        own = self.labels[start : start + self.places]
        for label in neighbours:
            if near == num_near:
                return
            if label in own:
                cell = start + own.index(label)
                if self._position[cell] < 0:
                    continue
            else:
                cell = self._fetch(start, label)
                if cell < 0:
                    continue
                own[cell - start] = label
            self._fix(cell)
            near += 1

    def _fetch(self, start: int, label: int) -> int:
        """Exchange a cell of the row at `start` for one with `label`. Return the cell of the row, or -1 if none fits.

        The other row must not have the label that it gets.
        """
        cells = self._cells[label]
        for _ in range(min(_TRIES, len(cells))):
            other = cells[int(self._random() * len(cells))]
            other_start = other - other % self.places
            there = self.labels[other_start : other_start + self.places]
            first = int(self._random() * self.places)
            for offset in range(self.places):
                own = start + (first + offset) % self.places
                if self._position[own] >= 0 and self.labels[own] not in there:
                    self._exchange(own, other)
                    return own
        return -1

    def _exchange(self, one: int, other: int) -> None:
        for values in (self.labels, self.source, self._position):
            values[one], values[other] = values[other], values[one]
        for cell in (one, other):
            self._cells[self.labels[cell]][self._position[cell]] = cell

    def _fix(self, cell: int) -> None:
        """Remove a cell from those that may be exchanged."""
        cells, position = self._cells[self.labels[cell]], self._position[cell]
        last = cells.pop()
        if last != cell:
            cells[position] = last
            self._position[last] = position
        self._position[cell] = -1
