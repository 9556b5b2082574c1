"""Train only the word embeddings of the tokens that the training data have (see `trained_rows.py`)."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import nn
from transformers import Trainer

from tercet.encoder.modules import StaticEmbedding, Transformer
from tercet.encoder.packing.self_check import PROBE_SENTENCES
from tercet.trainer.batches.rows import Rows, distinct_tokens
from tercet.trainer.data_sets.prepared_sets import parts_of
from tercet.trainer.data_sets.streaming import Stream
from tercet.trainer.loss.kinds import losses_within, set_losses
from tercet.trainer.steps.trained_rows import TrainedRows, can_train_rows
from tercet.trainer.steps.training_step import StepTrainer

# These change no row whose gradients were all 0, if there is no weight decay.
_OPTIMIZERS = ("adamw_torch", "adamw_torch_fused")
# With more rows than this part of all, little would be saved.
_MOST_ROWS = 0.5
# Their code reads the weight by a forward pass of the layer alone. A callback of the user may average all weights.
_KNOWN_PACKAGES = {"tercet", "sentence_transformers", "transformers"}


class TrainedRowsTrainer(StepTrainer):
    """The part of `SentenceTransformerTrainer` that leaves word embeddings out which no training token needs.

    It does so on a CPU in one process, without weight decay, with AdamW, if all tokens are known before the first step.
    The result is that of a training of all rows; on a GPU and in several processes it was not tried.
    """

    _trained_rows: TrainedRows | None = None

    def _prepare_for_training(self, *args: Any, **kwargs: Any) -> Any:
        """Leave out the rows before the optimizer is created. A repetition with smaller batches keeps both."""
        if self.optimizer is None:
            self._stop_trained_rows()
            self._trained_rows = self._start_trained_rows()
        return super()._prepare_for_training(*args, **kwargs)  # type: ignore[no-untyped-call]

    def create_optimizer(self, model: Any = None) -> torch.optim.Optimizer:
        """Create the optimizer, whose saved state is that of all rows."""
        is_new = self.optimizer is None
        optimizer = super().create_optimizer(model)
        if is_new and self._trained_rows is not None and self._trained_rows.is_active:
            self._trained_rows.follow(optimizer)
        return optimizer

    def _finalize_training(self, *args: Any, **kwargs: Any) -> Any:
        """Give the model all rows back before the best one is loaded and callbacks of the end run."""
        self._stop_trained_rows()
        return super()._finalize_training(*args, **kwargs)

    def _stop_trained_rows(self) -> None:
        if self._trained_rows is not None:
            self._trained_rows.stop()
            self._trained_rows = None

    @contextmanager
    def only_trained_rows(self) -> Iterator[None]:
        """Leave out in the `with` block the rows that a training would leave out, so that its steps can be timed."""
        rows = self._start_trained_rows() if self.optimizer is None else None
        try:
            yield
        finally:
            if rows is not None:
                rows.stop()

    def _start_trained_rows(self) -> TrainedRows | None:
        """Leave out the rows of the word embeddings that are not trained, if the result is the same."""
        args, encoder = self.args, self.model.input_module
        if not self._optimizer_keeps_rows() or args.world_size > 1 or args.fsdp or args.torch_compile:
            return None
        if not isinstance(encoder, (Transformer, StaticEmbedding)) or not self._runs_known_code():
            return None
        if any(module._compiled_call_impl is not None for module in self.model.modules()):
            return None  # `embed` would break the graph.
        layer: Any = encoder.word_embeddings
        if not can_train_rows(layer) or _number_of_places(self.model, layer.weight) > 1:
            return None
        tokens = self._training_tokens()
        if tokens is None or len(tokens) > _MOST_ROWS * len(layer.weight):
            return None
        return TrainedRows(layer, torch.from_numpy(tokens))

    def _optimizer_keeps_rows(self) -> bool:
        """Return whether the optimizer does not change rows without a gradient. That of a subclass is not known."""
        args = self.args
        return (
            args.weight_decay == 0
            and args.optim in _OPTIMIZERS
            and not args.optim_args
            and self.optimizer_cls_and_kwargs is None
            and getattr(self.create_optimizer, "__func__", None) is TrainedRowsTrainer.create_optimizer
            and self.get_optimizer_cls_and_kwargs is Trainer.get_optimizer_cls_and_kwargs
        )

    def _runs_known_code(self) -> bool:
        """Return whether trainer, callbacks, encoder and losses are of known packages."""
        encoder = self.model.input_module
        losses = [part for loss in set_losses(self.loss) for part in losses_within(loss)]
        model = encoder.auto_model if isinstance(encoder, Transformer) else encoder
        found: list[Any] = [self, *self.callback_handler.callbacks, *losses, model]
        return all(type(one).__module__.split(".")[0] in _KNOWN_PACKAGES for one in found)

    def _training_tokens(self) -> np.ndarray | None:
        """Return the ids of all tokens of a training `(num_tokens,)`, ascending; None if they are not all known.

        Special tokens and those of the self-check of packing are among them.
        """
        if isinstance(self.train_dataset, Stream):
            return None
        encoder = self.model.input_module
        found = [np.asarray(list(encoder.special_ids)), *map(np.asarray, encoder.token_ids(PROBE_SENTENCES))]
        for part in parts_of(self.train_dataset).values():
            rows = self._rows(part)
            if not self._packs or type(rows) is not Rows:
                return None
            found.append(distinct_tokens(rows.rows))
        return np.unique(np.concatenate(found).astype(np.int64))


def _number_of_places(model: nn.Module, weight: nn.Parameter) -> int:
    """Return in how many places a model has a weight: more than one if it is tied."""
    return sum(value is weight for module in model.modules() for value in module._parameters.values())
