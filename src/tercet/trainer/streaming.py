"""Train on a stream, a `datasets.IterableDataset`: only a buffer of its rows is in memory.

The stream is read in parts of `stream_buffer_size` rows, in its order. The batches of a part are those of a data set
with these rows: P×K batches of `GroupByLabelSampler`, or random ones. So every row of the stream is used, every P×K
batch has a triplet, and the order depends on the stream and the seed alone. Rows of different parts do not meet in a
batch.

Every process reads the whole stream, and takes its part of each batch.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import count, islice
from typing import Any

import numpy as np
from datasets import ClassLabel, Dataset, Features
from datasets import IterableDataset as DatasetsStream
from torch.utils.data import IterableDataset

from tercet._labels import plain_labels
from tercet._texts import validate_texts
from tercet.data.cleaning.label_forms import trim_labels
from tercet.data.cleaning.resolving import match_labels
from tercet.data.reading.in_memory import to_dataset
from tercet.data.reading.options import DEFAULT_OPTIONS
from tercet.data.sampling.sampler import GroupByLabelSampler
from tercet.data.tables.cells import plain_values
from tercet.data.tables.dataset_columns import integers_of
from tercet.errors import DataError, listed, short_repr
from tercet.losses.modules import NestedTripletLoss
from tercet.trainer.arguments import BatchSamplers
from tercet.trainer.loss_kinds import innermost
from tercet.trainer.multi_labels import has_lists

_NAME = "train_dataset"


def is_stream(data: Any) -> bool:
    """Return whether data are a stream: an `IterableDataset` of `datasets` or of torch, without a number of rows."""
    return isinstance(data, (DatasetsStream, IterableDataset)) and not hasattr(data, "__len__")


class Stream:
    """The training data of a trainer that are a stream.

    Args:
        source: the `IterableDataset` of the user, whose rows are dictionaries.
        buffer_size: the number of rows of a part.

    Attributes:
        first: a `datasets.Dataset` with the rows of the first part, as the user has them.
        prepared: the same rows, with the columns `sentence` and `label`, or those of triplets. The trainer sets it.
        labels: the numbers of the labels; None for triplets. The trainer sets them.

    Raises:
        DataError: the stream has no rows, or is one of several parts of a stream.
    """

    def __init__(self, source: Any, buffer_size: int) -> None:
        if getattr(source, "_distributed", None) is not None:
            raise DataError(
                f"{_NAME} is a part of a stream (split_dataset_by_node); pass the whole stream in every process, "
                "because the trainer divides each batch"
            )
        self.source, self.buffer_size = source, buffer_size
        self.prepared: Any = None
        self.labels: StreamLabels | None = None
        start = iter(source)
        rows = list(islice(start, buffer_size))
        if rows and iter(source) is start:
            raise DataError(
                f"{_NAME} is a stream that cannot start again, such as a generator; pass an IterableDataset that makes "
                "a new iterator each time, such as IterableDataset.from_generator(function)"
            )
        if not rows:
            raise DataError(f"{_NAME} is a stream without rows; check how it was loaded")
        _check_row(rows[0])
        features: Any = getattr(source, "features", None)
        columns = list(rows[0]) if features is None else list(features)
        table = {name: [row.get(name) for row in rows] for name in columns}
        self.first = (
            to_dataset(table, _NAME) if features is None else Dataset.from_dict(table, features=Features(features))
        )

    def parts(self, epoch: int) -> Iterator[tuple[int, list[Mapping[str, Any]]]]:
        """Yield the number of the first row and the rows of each part, in one pass over the stream.

        A last part with less than half of the rows is joined to the one before.
        """
        if hasattr(self.source, "set_epoch"):
            self.source.set_epoch(epoch)
        rows, start = iter(self.source), 0
        part = list(islice(rows, self.buffer_size))
        while part:
            following = list(islice(rows, self.buffer_size))
            if len(following) < self.buffer_size / 2:
                part, following = part + following, []
            yield start, part
            start, part = start + len(part), following


class StreamLabels:
    """The numbers of the labels of a stream. New labels get the next numbers, in the order of the stream.

    Args:
        column: the name of the label column.
        names: the names of the labels of the first part, by number; None if the labels are integers.
        fixed: whether the numbers are those of a `ClassLabel`.
    """

    def __init__(self, column: str, names: list[str] | None, *, fixed: bool) -> None:
        self.column, self.names, self._fixed = column, names, fixed
        self._ids = {name: number for number, name in enumerate(names or [])}

    def numbers(self, values: Iterable[Any], source: str) -> np.ndarray:
        """Return the numbers of labels, int64 `(n,)`.

        Raises:
            DataError: a label is missing or has another type than those of the first part, or differs from an earlier
                one only in form.
        """
        if self._fixed:
            values = [None if value is None or value < 0 else value for value in values]
        plain = plain_labels(trim_labels(plain_values(values))[0], source, error=DataError)
        if self.names is None or self._fixed:
            if not all(type(value) is int for value in plain):
                wrong = next(value for value in plain if type(value) is not int)
                raise DataError(f"{source}: a label is {short_repr(wrong)}, but earlier ones are integers")
            return np.array(plain, dtype=np.int64)
        if any(type(value) is int for value in plain):
            wrong = next(value for value in plain if type(value) is int)
            raise DataError(f"{source}: a label is {short_repr(wrong)}, but earlier ones are strings")
        found = list(map(str, plain))
        if new := [name for name in found if name not in self._ids]:
            match_labels(new, self.names, source, DEFAULT_OPTIONS, "earlier rows", fixed=True)
            for name in dict.fromkeys(new):
                self._ids[name] = len(self.names)
                self.names.append(name)
        return np.array([self._ids[name] for name in found], dtype=np.int64)


class StreamBatches(IterableDataset[list[dict[str, Any]]]):
    """The batches of one process, without an end: after the last part of the stream comes the first again.

    Args:
        stream: the stream.
        columns: the prepared column of each text column.
        batch_size: the number of rows of a batch of all processes together.
        samples_per_label: K of P×K batches; None for random batches.
        convert: a function from a prepared column and its texts to the key and the values of a batch.
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
        convert: Callable[[str, list[str]], tuple[str, list[Any]]],
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
                source = f"{_NAME}, from row {start} of the stream on"
                texts, label_ids = self._read(part, source)
                for batch in self._batches(label_ids, len(part), number, source):
                    if rows := self._own_part(batch):
                        drawn = True
                        yield self._rows(texts, label_ids, rows)
                number += 1
            if not drawn:
                raise DataError(f"{_NAME} is a stream without a batch of {self._batch_size} rows; use a smaller batch")

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
        return [dict(zip(batch, values, strict=True)) for values in zip(*batch.values(), strict=True)]


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


def labels_of_stream(first: Dataset, column: str, names: list[str] | None) -> StreamLabels:
    """Return the numbers of the labels of a stream, given those of its first part."""
    fixed = isinstance(first.features[column], ClassLabel)
    return StreamLabels(column, None if names is None else list(names), fixed=fixed)


def _column(part: list[Mapping[str, Any]], name: str, source: str) -> list[Any]:
    """Return the values of a column in rows of a stream."""
    try:
        return [row[name] for row in part]
    except KeyError:
        row = next(row for row in part if name not in row)
        raise DataError(f"{source}: a row has no {short_repr(name)}, only {listed(row)}") from None


def check_stream(args: Any, loss: Any, first: Dataset, label: str | None) -> None:
    """Check that a trainer can train on a stream.

    Args:
        args: the training arguments.
        loss: the loss.
        first: the rows of the first part.
        label: the name of the label column; None for triplets.

    Raises:
        DataError: an argument needs all rows, or the loss needs to know all labels before.
    """
    if args.max_steps < 1:
        raise DataError(f"{_NAME} is a stream, whose number of rows is unknown; pass max_steps")
    if args.dataloader_num_workers > 1:
        raise DataError(
            f"dataloader_num_workers={args.dataloader_num_workers}: a stream is read by one worker at most, in its "
            "order; pass 0 or 1"
        )
    if args.dataloader_num_workers and label is not None and integers_of(first, label) is None:
        raise DataError(
            "dataloader_num_workers=1 needs labels that are integers or a ClassLabel in a stream, because names are "
            "numbered while they are read; pass 0"
        )
    if args.batch_sampler not in (BatchSamplers.BATCH_SAMPLER, BatchSamplers.GROUP_BY_LABEL):
        raise DataError(
            f"batch_sampler={getattr(args.batch_sampler, 'value', args.batch_sampler)!r} needs all rows, but {_NAME} "
            "is a stream; pass 'group_by_label' or 'batch_sampler'"
        )
    if args.neighbor_labels:
        raise DataError(f"neighbor_labels needs all labels, but {_NAME} is a stream; leave out neighbor_labels")
    if label is not None and (has_lists(first.features[label]) or isinstance(innermost(loss), NestedTripletLoss)):
        raise DataError(
            f"several or nested labels of a row must be known before the training, but {_NAME} is a stream; pass a "
            "datasets.Dataset, such as Dataset.from_generator, which keeps its rows on disk"
        )


def _check_row(row: Any) -> None:
    if not isinstance(row, Mapping):
        raise DataError(
            f"{_NAME} is a stream whose first row is {short_repr(row)}; rows must be dictionaries, such as "
            "{'text': 'a goal', 'label': 'sport'}"
        )
