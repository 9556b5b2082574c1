"""Train on a stream, a `datasets.IterableDataset`: only a buffer of its rows is in memory.

The stream is read in parts of `stream_buffer_size` rows, in its order. The batches of a part are those of a data set
with these rows: P×K batches of `GroupByLabelSampler`, or random ones. So every row of the stream is used, every P×K
batch has a triplet, and the order depends on the stream and the seed alone. Rows of different parts do not meet in a
batch.

Every process reads the whole stream, and takes its part of each batch.
"""

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

from datasets import Dataset, Features
from datasets import IterableDataset as DatasetsStream
from torch.utils.data import IterableDataset

from tercet.data.reading.in_memory import to_dataset
from tercet.data.tables.dataset_columns import integers_of
from tercet.errors import DataError, short_repr
from tercet.losses.modules import NestedTripletLoss
from tercet.trainer.arguments import BatchSamplers
from tercet.trainer.data_sets.stream_labels import StreamLabels
from tercet.trainer.loss.kinds import innermost
from tercet.trainer.loss.multi_labels import has_lists


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
                "train_dataset is a part of a stream (split_dataset_by_node); pass the whole stream in every process, "
                "because the trainer divides each batch"
            )
        self.source, self.buffer_size = source, buffer_size
        self.prepared: Any = None
        self.labels: StreamLabels | None = None
        start = iter(source)
        rows = list(islice(start, buffer_size))
        if rows and iter(source) is start:
            raise DataError(
                "train_dataset is a stream that cannot start again, such as a generator; pass an IterableDataset that "
                "makes a new iterator each time, such as IterableDataset.from_generator(function)"
            )
        if not rows:
            raise DataError("train_dataset is a stream without rows; check how it was loaded")
        _check_row(rows[0])
        features: Any = getattr(source, "features", None)
        columns = list(rows[0]) if features is None else list(features)
        table = {name: [row.get(name) for row in rows] for name in columns}
        self.first = (
            to_dataset(table, "train_dataset")
            if features is None
            else Dataset.from_dict(table, features=Features(features))
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
        raise DataError("train_dataset is a stream, whose number of rows is unknown; pass max_steps")
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
            f"batch_sampler={getattr(args.batch_sampler, 'value', args.batch_sampler)!r} needs all rows, but "
            "train_dataset is a stream; pass 'group_by_label' or 'batch_sampler'"
        )
    if args.neighbor_labels:
        raise DataError("neighbor_labels needs all labels, but train_dataset is a stream; leave out neighbor_labels")
    if args.train_head:
        raise DataError("train_head needs all rows, but train_dataset is a stream; leave out train_head")
    if label is not None and (has_lists(first.features[label]) or isinstance(innermost(loss), NestedTripletLoss)):
        raise DataError(
            "several or nested labels of a row must be known before the training, but train_dataset is a stream; pass "
            "a datasets.Dataset, such as Dataset.from_generator, which keeps its rows on disk"
        )


def _check_row(row: Any) -> None:
    if not isinstance(row, Mapping):
        raise DataError(
            f"train_dataset is a stream whose first row is {short_repr(row)}; rows must be dictionaries, such as "
            "{'text': 'a goal', 'label': 'sport'}"
        )
