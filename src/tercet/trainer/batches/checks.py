"""Check before the first step that a training set has a batch, and that an evaluation set can be measured."""

from typing import Any

from torch import nn

from tercet._distributed import world_size
from tercet.data.tables.dataset_columns import label_ids_of
from tercet.errors import DataError, counted
from tercet.losses.modules import BatchLoss
from tercet.trainer.loss.kinds import innermost
from tercet.trainer.loss.multi_labels import check_triplets


def check_number_of_batches(rows: int, batch_size: int, *, drop_last: bool, name: str = "train_dataset") -> None:
    """Raise `DataError` if an epoch has no batch.

    Args:
        rows: the number of rows of an epoch.
        batch_size: the number of rows of a batch, over all processes.
        drop_last: whether a last batch with fewer rows is dropped.
        name: the name of the data set in messages.
    """
    if drop_last and rows < batch_size:
        raise DataError(
            f"there is no batch to train on: {name} has {counted(rows, 'row')}, a batch has {batch_size}, and "
            "dataloader_drop_last=True drops a smaller batch; use a smaller per_device_train_batch_size, or leave out "
            "dataloader_drop_last"
        )
    if rows < world_size():
        raise DataError(
            f"there is no batch to train on: {name} has {counted(rows, 'row')} for {world_size()} processes; use fewer "
            "processes"
        )


def check_evaluation_set(dataset: Any, name: str, loss: nn.Module, *, default_evaluator: bool) -> None:
    """Check that the loss and the metrics of an evaluation set have a value.

    Args:
        dataset: the prepared data set.
        name: its name in messages.
        loss: the loss of the trainer.
        default_evaluator: whether the trainer computes the metrics of `LabelEvaluator` on the data set.

    Raises:
        DataError: the labels form no triplet.
    """
    if "label" in dataset.column_names and (isinstance(innermost(loss), BatchLoss) or default_evaluator):
        check_triplets(loss, label_ids_of(dataset), None, name)
