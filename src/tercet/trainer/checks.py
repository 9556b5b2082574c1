"""Check what is passed to a trainer: what would fail later, or would silently not be done, raises an error here."""

from typing import Any

from torch import nn
from transformers import TrainerCallback

from tercet.data.splits.evaluation_rows import select_labelled, select_triplets, warn_of_overlap
from tercet.encoder.sentence_transformer import SentenceTransformer
from tercet.errors import DataError, short_repr


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
