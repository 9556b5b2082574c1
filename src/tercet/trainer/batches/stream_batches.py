"""Draw the batches of a stream, part by part.

The batches of a part are those of a data set with these rows. Rows of different parts do not meet in a batch.
"""

from collections.abc import Iterator, Mapping
from itertools import count
from typing import Any

import numpy as np
from torch.utils.data import IterableDataset

from tercet._texts import validate_texts
from tercet.data.sampling.sampler import GroupByLabelSampler
from tercet.errors import DataError, listed, short_repr
from tercet.trainer.batches.rows import Convert, rows_of
from tercet.trainer.data_sets.streaming import Stream


class StreamBatches(IterableDataset[list[dict[str, Any]]]):
    """The batches of one process, without an end: after the last part of the stream comes the first again.

    Args:
        stream: the stream.
        columns: the prepared column of each text column.
        batch_size: the number of rows of a batch of all processes together.
        samples_per_label: K of P×K batches; None for random batches.
        convert: see `Convert`.
        seed: the seed of the random order.
        process: the number of this process and of all processes.
        drop_last: whether a last random batch with fewer rows is left out.
    """

    def __init__(
        self,
        stream: Stream,
        columns: Mapping[str, str],
        *,
        batch_size: int,
        samples_per_label: int | None,
        convert: Convert,
        seed: int,
        process: tuple[int, int] = (0, 1),
        drop_last: bool = False,
    ) -> None:
        self._stream, self._columns, self._labels = stream, columns, stream.labels
        self._batch_size, self._samples_per_label = batch_size, samples_per_label
        self._convert, self._seed, self._process, self._drop_last = convert, seed, process, drop_last

    def __iter__(self) -> Iterator[list[dict[str, Any]]]:
        number = 0
        for epoch in count():
            drawn = False
            for start, part in self._stream.parts(epoch):
                source = f"train_dataset, from row {start} of the stream on"
                texts, label_ids = self._read(part, source)
                for batch in self._batches(label_ids, len(part), number, source):
                    if rows := self._own_part(batch):
                        drawn = True
                        yield self._rows(texts, label_ids, rows)
                number += 1
            if not drawn:
                raise DataError(
                    f"train_dataset is a stream without a batch of {self._batch_size} rows; use a smaller batch"
                )

    def _read(self, part: list[Mapping[str, Any]], source: str) -> tuple[dict[str, list[str]], np.ndarray | None]:
        """Return the texts by prepared column, and the labels."""
        texts = {role: _column(part, name, source) for name, role in self._columns.items()}
        for name, role in self._columns.items():
            validate_texts(texts[role], f"{source}, {name}" if len(texts) > 1 else source)
        if self._labels is None:
            return texts, None
        return texts, self._labels.numbers(_column(part, self._labels.column, source), source)

    def _batches(self, label_ids: np.ndarray | None, size: int, number: int, source: str) -> Iterator[list[int]]:
        """Yield the rows of each batch of all processes, of part number `number`."""
        if self._samples_per_label is None or label_ids is None:
            rows = np.random.default_rng([self._seed, number]).permutation(size).tolist()
            for start in range(0, size, self._batch_size):
                batch = rows[start : start + self._batch_size]
                if len(batch) == self._batch_size or not self._drop_last:
                    yield batch
            return
        sampler = sampler_of_part(label_ids, self._batch_size, self._samples_per_label, self._seed, source)
        sampler.set_epoch(number)
        yield from (batch.tolist() for batch in sampler.batches())

    def _own_part(self, batch: list[int]) -> list[int]:
        rank, processes = self._process
        if len(batch) < processes:  # In every process.
            return []
        return batch[len(batch) * rank // processes : len(batch) * (rank + 1) // processes]

    def _rows(
        self, texts: Mapping[str, list[str]], label_ids: np.ndarray | None, rows: list[int]
    ) -> list[dict[str, Any]]:
        batch: dict[str, list[Any]] = dict(
            self._convert(role, [values[row] for row in rows]) for role, values in texts.items()
        )
        if label_ids is not None:
            batch["label"] = label_ids[rows].tolist()
        return rows_of(batch)


def sampler_of_part(label_ids: np.ndarray, batch_size: int, k: int, seed: int, source: str) -> GroupByLabelSampler:
    """Return the sampler of the P×K batches of a part.

    Raises:
        DataError: no batch can hold a triplet. The message says how to mix the labels.
    """
    try:
        return GroupByLabelSampler(label_ids, batch_size, k, seed)
    except DataError as error:
        raise DataError(
            f"{source}, {len(label_ids)} rows: {error}; mix the labels with dataset.shuffle(seed=0, buffer_size=…) "
            "before, or pass a larger stream_buffer_size"
        ) from None


def _column(part: list[Mapping[str, Any]], name: str, source: str) -> list[Any]:
    """Return the values of a column in rows of a stream."""
    try:
        return [row[name] for row in part]
    except KeyError:
        row = next(row for row in part if name not in row)
        raise DataError(f"{source}: a row has no {short_repr(name)}, only {listed(row)}") from None
