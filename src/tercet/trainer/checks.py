"""Check a trainer before its first step: what would fail later, or would silently not be done, raises an error here."""

import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from transformers import TrainerCallback

from tercet._distributed import world_size
from tercet._events import WarningKind, emit_warning
from tercet.data.splits.evaluation_rows import select_labelled, select_triplets, warn_of_overlap
from tercet.data.tables.dataset_columns import label_ids_of
from tercet.distances import FunctionDistance, get_distance
from tercet.encoder.pretrained.weights import is_finite
from tercet.encoder.sentence_transformer import SentenceTransformer
from tercet.errors import DataError, EmbeddingError, counted, is_or_are, listed, short_repr
from tercet.losses.modules import BatchLoss
from tercet.trainer.loss_kinds import innermost, takes_triplets
from tercet.trainer.loss_state import loss_parameters
from tercet.trainer.multi_labels import check_triplets


def check_has_trainable_weights(model: nn.Module) -> None:
    """Raise `DataError` if the model has no trainable weight."""
    if not any(value.requires_grad for value in model.parameters()):
        raise DataError(
            "all weights of the model are frozen, so there is nothing to train; call requires_grad_(True) on the "
            "weights to train. Adapters are frozen after loading; the names of their weights contain 'lora'"
        )


def check_model(model: Any) -> None:
    """Raise `DataError` unless the model is a `SentenceTransformer` of Tercet."""
    if not isinstance(model, SentenceTransformer):
        what = "no model" if model is None else f"a {type(model).__module__}.{type(model).__name__}"
        raise DataError(f"the trainer needs a tercet.SentenceTransformer as model, or model_init; got {what}")


def check_trainer_arguments(
    callbacks: Any, optimizers: Any, optimizer_cls_and_kwargs: Any, data_collator: Any, model_init: Any
) -> None:
    """Raise `DataError` if an argument of the trainer that `transformers` uses is of another type than it needs."""
    kinds = (TrainerCallback, type)
    if callbacks is not None and not (isinstance(callbacks, list) and all(isinstance(one, kinds) for one in callbacks)):
        raise DataError(f"callbacks must be a list of TrainerCallback objects, got {short_repr(callbacks)}")
    pair = isinstance(optimizers, (tuple, list)) and len(optimizers) == 2
    if not pair or not all(one is None or hasattr(one, "step") for one in optimizers):
        raise DataError(
            "optimizers must be a pair of an optimizer and a learning rate scheduler, each of which may be None; got "
            f"{short_repr(optimizers)}"
        )
    chosen = optimizer_cls_and_kwargs
    if chosen is not None and not (isinstance(chosen, (tuple, list)) and len(chosen) == 2 and callable(chosen[0])):
        raise DataError(
            "optimizer_cls_and_kwargs must be a pair of a class and a dictionary of its arguments, got "
            f"{short_repr(chosen)}"
        )
    for name, function in (("data_collator", data_collator), ("model_init", model_init)):
        if function is not None and not callable(function):
            raise DataError(f"{name} must be a function, got {short_repr(function)}")


def check_set_name(name: str, eval_dataset: Any) -> None:
    """Raise `DataError` if a trainer has no evaluation set with this name."""
    if isinstance(eval_dataset, dict) and name in eval_dataset:
        return
    what = "its evaluation data have no names"
    if isinstance(eval_dataset, dict):
        what = f"its evaluation sets are {listed(eval_dataset)}"
    raise DataError(f"the trainer has no evaluation set {name!r}: {what}; pass a data set, or a name of a dictionary")


def check_processing_class(tokenizer: Any, model: Any) -> None:
    """Raise `DataError` if a tokenizer is passed that is not that of the model, because it would not be used."""
    own = model.tokenizer
    if tokenizer is None or tokenizer is own:
        return
    if type(tokenizer) is not type(own) or tokenizer.get_vocab() != own.get_vocab():
        raise DataError(
            "processing_class is another tokenizer than that of the model, which tokenizes the texts; set it as "
            "model.tokenizer, or leave out processing_class"
        )


def check_several_sets(args: Any) -> None:
    """Raise `DataError` if an argument compares labels of several data sets, whose labels are not related."""
    for name in ("cross_batch_memory", "neighbor_labels", "train_head"):
        if getattr(args, name):
            raise DataError(
                f"{name}={getattr(args, name)} needs one data set, because the labels of several data sets are not "
                f"related; leave out {name}, or concatenate the data sets"
            )


def check_loss_parameters(loss: nn.Module, optimizer: torch.optim.Optimizer | None) -> None:
    """Check that the parameters of the loss itself can be trained.

    Raises:
        DataError: several processes train, or the user's optimizer does not have the parameters.
    """
    own = loss_parameters(loss)
    if own and world_size() > 1:
        raise DataError(
            f"the loss has parameters of its own ({listed(own)}), which cannot be trained by several processes; train "
            "in one process, or freeze them with requires_grad_(False)"
        )
    if optimizer is None:
        return
    known = {id(value) for group in optimizer.param_groups for value in group["params"]}
    missing = [name for name, value in own.items() if id(value) not in known]
    if missing:
        raise DataError(
            f"the optimizer does not have the parameters {listed(missing)} of the loss; create it with "
            "[*model.parameters(), *loss.parameters()], or freeze them with requires_grad_(False)"
        )


def warn_of_untrained_parameters(loss: nn.Module) -> None:
    """Warn if the first step gave a parameter of the loss no gradient."""
    untrained = [name for name, value in loss_parameters(loss).items() if value.grad is None]
    if untrained:
        emit_warning(
            WarningKind.UNTRAINED_PARAMETERS,
            f"the parameters {listed(untrained)} of the loss got no gradient in the first step, so they are not "
            "trained. A miner computes without autograd: use parameters outside of the miner, or freeze them with "
            "requires_grad_(False)",
        )


def check_finite(model: nn.Module, step: int, remaining: Callable[[], str]) -> None:
    """Check that training has not made a weight NaN or infinite. Call it before the weights are saved.

    Args:
        model: the model.
        step: the number of steps so far.
        remaining: returns a clause about the checkpoints that are left, for the message.

    Raises:
        DataError: a weight is NaN or infinite.
    """
    broken = [name for name, value in model.named_parameters() if not is_finite(value.detach())]
    if broken:
        raise DataError(
            f"the training diverged: by step {step}, {counted(len(broken), 'weight')} of the model "
            f"{is_or_are(len(broken))} NaN or infinite, such as {broken[0]}; these weights are not saved, and "
            f"{remaining()}; use a lower learning_rate, a longer warm-up "
            "or max_grad_norm=1"
        )


def check_cross_batch_memory(loss: nn.Module) -> None:
    """Check that the loss can use a cross-batch memory.

    Raises:
        DataError: the loss takes triplets, `compute_loss_from_embeddings` has no argument for the memory, or the
            distance is a function, which computes one square matrix.
    """
    remedy = "set cross_batch_memory=0, or use labelled sentences and a batch loss"
    if takes_triplets(loss):
        raise DataError(
            "cross_batch_memory needs a loss that mines labelled sentences, but the loss takes given triplets; "
            f"{remedy}"
        )
    compute: Any = loss.compute_loss_from_embeddings
    try:
        inspect.signature(compute).bind(None, None, None)
    except TypeError:
        raise DataError(
            f"cross_batch_memory needs a loss whose compute_loss_from_embeddings takes (embeddings, labels, memory), "
            f"but that of {type(loss).__name__} does not; {remedy}"
        ) from None
    try:
        distance = get_distance(getattr(loss, "distance_metric", "euclidean"))
    except EmbeddingError:
        return
    if isinstance(distance, FunctionDistance):
        raise DataError(
            "cross_batch_memory cannot use a distance function, which computes the distances within one batch; pass "
            "the name of a distance, such as 'euclidean', or a tercet.distances.Distance, or set cross_batch_memory=0"
        )


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


def warn_of_trained_texts(train_dataset: Any, eval_dataset: Any) -> None:
    """Warn if evaluation data of the trainer have texts of its training data. The trainer measures all their rows.

    Args:
        train_dataset: the prepared training data.
        eval_dataset: the prepared evaluation data, a dictionary of several, or None.
    """
    references = list(train_dataset.values()) if isinstance(train_dataset, dict) else [train_dataset]
    parts = eval_dataset if isinstance(eval_dataset, dict) else {None: eval_dataset}
    for key, part in parts.items():
        if part is None or len(part) == 0:
            continue
        for reference in references:
            if reference.column_names != part.column_names:
                continue
            select = select_triplets if "anchor" in part.column_names else select_labelled
            warn_of_overlap(
                select(part, reference),
                "eval_dataset" if key is None else f"eval_dataset {key!r}",
                "train_dataset",
                "the metrics count them although the model was trained on them; remove these rows from one of the two",
            )
