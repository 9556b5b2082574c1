"""The trainer: `transformers.Trainer` with a model that embeds and a loss that mines.

From `transformers` come arguments, callbacks, checkpoints, resuming, logging, mixed precision, gradient
accumulation, early stopping and several processes. Ours says how a batch is drawn, what a step
computes, how a model is saved, and that an evaluator takes part in evaluation.
"""

import logging
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import TrainerCallback
from transformers.trainer import TRAINING_ARGS_NAME
from transformers.trainer_utils import EvalLoopOutput, denumpify_detensorize

from tercet._gather import gather_rows
from tercet.encoder.sentence_transformer import SentenceTransformer
from tercet.errors import DataError
from tercet.evaluation import LabelEvaluator, TripletEvaluator
from tercet.losses.cross_batch_memory import CrossBatchMemory
from tercet.losses.modules import BatchLoss, TripletLoss
from tercet.trainer import checkpoints
from tercet.trainer.arguments import SentenceTransformerTrainingArguments
from tercet.trainer.collate import collate
from tercet.trainer.dataloading import LoadingTrainer
from tercet.trainer.distributed import DistributedEncoder
from tercet.trainer.gradient_cache import cached_step
from tercet.trainer.monitor import BatchStats, TrainingMonitor
from tercet.trainer.record import data_facts, training_record

logger = logging.getLogger(__name__)

Evaluator = Callable[..., dict[str, float]]
_OURS = (LabelEvaluator, TripletEvaluator)


class SentenceTransformerTrainer(LoadingTrainer):
    """Train a `SentenceTransformer` with a triplet loss.

    Args:
        model: the model, or None with `model_init`.
        train_dataset: a `datasets.Dataset` with one text and one label column, or, for `TripletLoss`, with three
            text columns. Labels may be integers, strings or a `ClassLabel`.
        eval_dataset: the same for evaluation, or several by name. Without an `evaluator`, the retrieval metrics
            of `LabelEvaluator` (or the accuracy of triplets) are measured on it beside the loss.
        loss: a loss, or a function that makes one from a model. The trainer runs the model itself and hands
            embeddings to `loss.compute_loss_from_embeddings`; the loss's own model is not used.
        evaluator: one or several evaluators: functions of the model that return a dictionary of numbers.
        model_init: makes a fresh model for each run of a hyper-parameter search.

    Raises:
        DataError: the data do not fit the loss; says which columns were found and wanted.
    """

    def __init__(
        self,
        model: SentenceTransformer | None = None,
        args: SentenceTransformerTrainingArguments | None = None,
        train_dataset: Any = None,
        eval_dataset: Any = None,
        loss: nn.Module | Callable[[Any], nn.Module] | None = None,
        evaluator: Evaluator | Sequence[Evaluator] | None = None,
        data_collator: Any = None,
        model_init: Callable[[], SentenceTransformer] | None = None,
        callbacks: list[TrainerCallback] | None = None,
        optimizers: tuple[Any, Any] = (None, None),
    ) -> None:
        if loss is None:
            raise DataError(
                "the trainer needs a loss, such as tercet.losses.BatchSemiHardTripletLoss(model, margin=0.3)"
            )
        args = args or SentenceTransformerTrainingArguments()
        self.evaluators = [evaluator] if callable(evaluator) else list(evaluator or [])
        self.loss = loss if isinstance(loss, nn.Module) else loss(model)
        self.label_names_of_training: list[str] | None = None
        train_dataset = self._prepare(train_dataset, "train_dataset", keep_names=True)
        if isinstance(eval_dataset, dict):
            eval_dataset = {name: self._prepare(part, f"eval_dataset {name!r}") for name, part in eval_dataset.items()}
        else:
            eval_dataset = self._prepare(eval_dataset, "eval_dataset")
        if eval_dataset is None and self.evaluators and train_dataset is not None:
            eval_dataset = train_dataset.select(range(0))  # nothing for the loss, and the evaluators run
        super().__init__(
            model=model,
            args=args,
            train_dataset=train_dataset,
            eval_dataset=eval_dataset,
            data_collator=data_collator or collate,
            model_init=model_init,
            callbacks=callbacks,
            optimizers=optimizers,
        )
        self.loss.to(self.args.device)
        self.loss.collect_stats = True  # type: ignore[assignment]
        self._watch_anew()
        self._best_was_loaded = False
        self._parts = self._parts_with_gradient = 0
        self._unfinished: str | None = None
        self.memory: CrossBatchMemory | None = None
        if self.args.cross_batch_memory and self.takes_triplets:
            raise DataError(
                "cross_batch_memory needs a loss that mines labelled sentences, and TripletLoss takes given triplets"
            )
        if self.args.cross_batch_memory:
            dimension = self.model.get_sentence_embedding_dimension()
            self.memory = CrossBatchMemory(self.args.cross_batch_memory, dimension).to(self.args.device)
        if self.args.mini_batch_tokens is not None and self.data_collator is not collate:
            raise DataError("mini_batch_tokens cuts the batches that the trainer packs itself; leave out data_collator")
        self._data_facts = data_facts(train_dataset)
        self._check_samplers()

    def train(self, *args: Any, **kwargs: Any) -> Any:
        """Train, as `transformers.Trainer.train`; the model then remembers its labels and how it was trained."""
        if self.train_dataset is None:
            raise DataError("the trainer has no train_dataset to train on")
        self._watch_anew(resumed=bool(args[0] if args else kwargs.get("resume_from_checkpoint")))
        result = super().train(*args, **kwargs)
        if self.state.global_step == self.state.max_steps:
            self._watch.finish()
        self._remember()
        return result

    def _watch_anew(self, *, resumed: bool = False) -> None:
        """Each run is told of what goes wrong in it, also the later ones of a search for settings."""
        self._figures, self._watch = BatchStats(), TrainingMonitor.of(self.loss, resumed=resumed)
        if isinstance(self.loss, (BatchLoss, TripletLoss)):
            self.loss.reset_warnings()

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Any:
        """Run the (wrapped) model once on all sentences of the batch and hand the embeddings to the loss."""
        loss = self._loss_of(model(inputs["features"])["sentence_embedding"], inputs)
        return (loss, {}) if return_outputs else loss

    def _loss_of(self, embeddings: Tensor, inputs: dict[str, Any]) -> Tensor:
        parts = embeddings.chunk(3) if self.takes_triplets else [embeddings]
        labels = inputs.get("labels")
        loss_of: Any = self.loss.compute_loss_from_embeddings
        if not self.model.training:
            return loss_of(parts, labels)
        if self.memory is None:
            loss = loss_of(parts, labels)
        else:
            warm_up = self.args.cross_batch_memory_warmup
            warm_up = warm_up * self.state.max_steps if warm_up < 1 else warm_up
            loss = loss_of(parts, labels, self.memory if self.state.global_step >= warm_up else None)
            self.memory.add(*gather_rows(embeddings.detach(), labels)[:2])  # type: ignore[arg-type]
        stats = getattr(self.loss, "stats", None)  # a loss of the user's own need not have any
        if stats is not None:
            self._watch.see(stats, self._figures.add(stats, parts[0]))
        return loss

    def training_step(
        self, model: nn.Module, inputs: dict[str, Any], num_items_in_batch: Tensor | int | None = None
    ) -> Tensor:
        """One batch forward and backward: at once, or in parts of `mini_batch_tokens`."""
        if self.args.mini_batch_tokens is None:
            return super().training_step(model, inputs, num_items_in_batch)
        model.train()
        inputs = self._prepare_inputs(inputs)
        share = 1 / self.current_gradient_accumulation_steps
        step = cached_step(
            model,
            inputs["features"],
            lambda embeddings: self._loss_of(embeddings, inputs),
            self.accelerator.backward,
            tokens=self.args.mini_batch_tokens,
            scale=share,
            autocast=self.compute_loss_context_manager,
            words=self.model.transformer.auto_model.get_input_embeddings(),
        )
        self._parts += step.parts
        self._parts_with_gradient += step.parts_with_gradient
        return step.loss * share

    def log(self, logs: dict[str, float], *args: Any, **kwargs: Any) -> None:
        """As `transformers.Trainer.log`, with what the batches held since the last time (docs/diagnostics.md)."""
        if "loss" in logs:
            logs.update(self._figures.take(self.args.device))
        if self._parts and "loss" in logs:
            logs["parts_skipped"] = round(1 - self._parts_with_gradient / self._parts, 4)
            self._parts = self._parts_with_gradient = 0
        super().log(logs, *args, **kwargs)

    def prediction_step(
        self, model: nn.Module, inputs: dict[str, Any], prediction_loss_only: bool, ignore_keys: list[str] | None = None
    ) -> tuple[Tensor, None, None]:
        """The loss of an evaluation batch; embeddings of different batches have nothing to be collected for."""
        inputs = self._prepare_inputs(inputs)
        with torch.no_grad(), self.compute_loss_context_manager():
            loss = self.compute_loss(model, inputs)
        return loss.detach(), None, None

    def evaluation_loop(self, dataloader: Any, *args: Any, metric_key_prefix: str = "eval", **kwargs: Any) -> Any:
        """The loss over the batches, then the evaluators; their metrics get the same prefix."""
        # A data loader draws a seed, and with another one the dropout of all later steps would be another.
        with torch.random.fork_rng([self.args.device] if self.args.device.type == "cuda" else []):
            output: EvalLoopOutput = super().evaluation_loop(
                dataloader, *args, metric_key_prefix=metric_key_prefix, **kwargs
            )
            metrics = output.metrics
            assert metrics is not None
            for evaluator in self.evaluators or self._default_evaluators(dataloader.dataset):
                measured = evaluator(DistributedEncoder(self.model) if isinstance(evaluator, _OURS) else self.model)
                measured = denumpify_detensorize(measured if isinstance(measured, dict) else {"evaluator": measured})
                metrics.update({f"{metric_key_prefix}_{name}": value for name, value in measured.items()})
        return output

    def _default_evaluators(self, dataset: Any) -> list[Evaluator]:
        if len(dataset) < 2:
            return []
        plain = dataset.with_format(None)
        if self.takes_triplets:
            return [TripletEvaluator(*(plain[name][:] for name in ("anchor", "positive", "negative")))]
        return [LabelEvaluator(plain["sentence"][:], plain["label"][:])]

    def _remember(self) -> None:
        self.model.label_names = self.label_names_of_training or self.model.label_names
        self.model.training_record = training_record(
            self.args,
            self.loss,
            self._data_facts,
            self.state.log_history,
            measured_at=self.state.best_global_step if self._best_was_loaded else None,
        )

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        """Write a model directory, in place of the bare weights."""
        if not self.args.should_save:
            return
        folder = Path(output_dir if output_dir is not None else str(self.args.output_dir))
        self._remember()
        self.model.save_pretrained(folder)
        torch.save(self.args, os.path.join(folder, TRAINING_ARGS_NAME))

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        """As in `transformers`, but whole or absent."""
        folder = Path(self._get_output_dir(trial))

        def write(unfinished: Path) -> None:
            self._unfinished = str(unfinished)
            try:
                super(SentenceTransformerTrainer, self)._save_checkpoint(model, trial)
            finally:
                self._unfinished = None

        checkpoints.write_checkpoint(folder, self.state, write, self.memory, self.args.save_total_limit)

    def _get_output_dir(self, trial: Any) -> str:
        return self._unfinished or super()._get_output_dir(trial)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        self._load_weights(resume_from_checkpoint, model)
        checkpoints.load_memory(self.memory, Path(resume_from_checkpoint))

    def _load_weights(self, folder: str, model: Any = None) -> None:
        trusted = self.model.trust_remote_code
        saved = SentenceTransformer(folder, device="cpu", trust_remote_code=trusted)
        (model or self.model).load_state_dict(saved.state_dict())

    def _load_best_model(self) -> None:
        logger.info(f"Loading the best model, {self.state.best_model_checkpoint} ({self.state.best_metric})")
        self._load_weights(str(self.state.best_model_checkpoint))
        self._best_was_loaded = True
