"""Compute the loss of a batch and its gradient."""

from typing import Any

import torch
from torch import Tensor, nn

from tercet._gather import gather_rows
from tercet.losses.modules import BaseLoss, BatchLoss
from tercet.trainer.loss.kinds import call_forward, loss_of_set, takes_embeddings, takes_triplets
from tercet.trainer.loss.parameters import add_to_optimizer, loss_parameters, warn_of_untrained_parameters
from tercet.trainer.steps.gradient_cache import cached_step
from tercet.trainer.steps.learning_rates import set_learning_rates
from tercet.trainer.steps.memories import MemoryTrainer

# On a GPU, the statistics of this number of batches are read together. The monitor needs ten batches for a collapse.
_UNREAD_BATCHES = 10


class StepTrainer(MemoryTrainer):
    """The part of `SentenceTransformerTrainer` that runs training steps."""

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Any:
        """Run the model once on all sentences of a batch, and return the loss of the embeddings, a scalar.

        With `return_outputs`, return the loss and `{}`, because no caller needs the outputs.
        """
        loss_of_batch = loss_of_set(self.loss, inputs.get("dataset_name"))
        if takes_embeddings(loss_of_batch):
            loss = self._loss_from_embeddings(self._embed(model, inputs["features"]), inputs)
        else:
            loss = call_forward(loss_of_batch, model, inputs["features"], inputs.get("labels"))
        return (loss, {}) if return_outputs else loss

    @staticmethod
    def _embed(model: nn.Module, features: Any) -> Tensor:
        """Return the embeddings of a batch, or of the batches of several columns, one after the other."""
        batches = features if isinstance(features, list) else [features]
        embeddings = [model(batch)["sentence_embedding"] for batch in batches]
        return embeddings[0] if len(embeddings) == 1 else torch.cat(embeddings)

    def collect_features(self, inputs: dict[str, Any]) -> tuple[list[Any], Tensor | None]:
        """Return the features of each text column of a batch, and the labels, for a subclass that computes the loss.

        The features of all columns of triplets are one packed batch, unless the loss has `forward` alone.
        """
        features = inputs["features"]
        return features if isinstance(features, list) else [features], inputs.get("labels")

    def _loss_from_embeddings(self, embeddings: Tensor, inputs: dict[str, Any]) -> Tensor:
        labels, name = inputs.get("labels"), inputs.get("dataset_name")
        loss_of_batch: Any = loss_of_set(self.loss, name)
        columns = embeddings.chunk(3) if takes_triplets(loss_of_batch, default=labels is None) else [embeddings]
        compute_loss: Any = loss_of_batch.compute_loss_from_embeddings
        takes_cpu_labels = isinstance(loss_of_batch, BatchLoss) and loss_of_batch.takes_cpu_labels
        readable = torch.from_numpy(inputs["cpu_labels"]) if takes_cpu_labels and "cpu_labels" in inputs else labels
        defers = self.model.training and self._defers_reading()
        if isinstance(loss_of_batch, BaseLoss):
            loss_of_batch.defer_checks = defers
        loss_of_batch.collect_stats = self.model.training
        if not self.model.training:
            evaluation_loss: Tensor = compute_loss(columns, readable)
            return evaluation_loss
        if self.cross_batch_memory is None:
            loss: Tensor = compute_loss(columns, readable)
        else:
            loss = compute_loss(columns, readable, self.cross_batch_memory if self._memory_is_warm() else None)
            self.cross_batch_memory.add(*gather_rows(embeddings.detach(), labels)[:2])  # type: ignore[arg-type]
        if self._label_means is not None:
            self._label_means.add(embeddings, labels)  # type: ignore[arg-type]
        pending = getattr(loss_of_batch, "pending_stats", None)
        if pending is not None:
            self._unread_stats[name].add(pending, columns[0])
            if not defers or len(self._unread_stats[name]) >= _UNREAD_BATCHES:
                self._read_stats()
        elif (stats := getattr(loss_of_batch, "stats", None)) is not None:  # A custom loss need not have stats.
            self._monitors[name].observe(stats, norm=self._log_stats.update(stats, columns[0]))
        return loss

    def training_step(
        self, model: nn.Module, inputs: dict[str, Any], num_items_in_batch: Tensor | int | None = None
    ) -> Tensor:
        """Run the forward and the backward pass of a batch, in chunks if `mini_batch_tokens` is set."""
        loss = self._training_step(model, inputs, num_items_in_batch)
        if not self._ran_a_step:
            self._ran_a_step = True
            warn_of_untrained_parameters(self.loss)
        return loss

    def _training_step(
        self, model: nn.Module, inputs: dict[str, Any], num_items_in_batch: Tensor | int | None = None
    ) -> Tensor:
        if self.args.mini_batch_tokens is None:
            return super().training_step(model, inputs, num_items_in_batch)
        model.train()
        inputs = self._prepare_inputs(inputs)
        scale = 1 / self.current_gradient_accumulation_steps
        encoder = self.model.input_module.for_task(inputs["features"].get("task"))
        step = cached_step(
            model,
            inputs["features"],
            lambda embeddings: self._loss_from_embeddings(embeddings, inputs),
            self.accelerator.backward,
            max_tokens=self.args.mini_batch_tokens,
            scale=scale,
            autocast=self.compute_loss_context_manager,
            word_embeddings=None if self.args.fsdp else encoder.word_embeddings,
            loss_parameters=list(loss_parameters(self.loss).values()),
        )
        self._chunks += step.chunks
        self._chunks_with_gradient += step.chunks_with_gradient
        return step.loss * scale

    def create_optimizer(self, model: Any = None) -> torch.optim.Optimizer:
        """Create the optimizer as `transformers` does, and add the parameters of the loss."""
        optimizer = super().create_optimizer(model)
        add_to_optimizer(self.loss, optimizer, self.args.weight_decay)
        if isinstance(self.args.learning_rate_mapping, dict):  # A JSON text was read into one.
            named = {**dict(self.model.named_parameters()), **loss_parameters(self.loss)}
            set_learning_rates(optimizer, named, self.args.learning_rate_mapping)
        return optimizer

    def _clip_grad_norm(self, model: nn.Module) -> Any:
        own = list(loss_parameters(self.loss).values())
        if not own:
            return super()._clip_grad_norm(model)  # type: ignore[no-untyped-call]
        return self.accelerator.clip_grad_norm_([*model.parameters(), *own], self.args.max_grad_norm)

    def _track_num_input_tokens(self, inputs: dict[str, Any]) -> None:
        how = self.args.include_num_input_tokens_seen
        for features in self.collect_features(inputs)[0]:
            # A packed batch has no padding, so "all" and "non_padding" are the same number.
            packed = how == "non_padding" and "packing" in features
            mask = {"attention_mask": torch.ones_like(features["input_ids"])} if packed else {}
            super()._track_num_input_tokens({**features, **mask})  # type: ignore[no-untyped-call]
