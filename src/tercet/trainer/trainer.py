"""Train an embedding model with a triplet loss on `transformers.Trainer`.

`transformers` provides callbacks, checkpoints, resuming, logging, mixed precision, gradient accumulation, early
stopping and distributed training. The base classes, which the docstring of the package lists, define what differs.
"""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import TrainerCallback
from transformers.trainer_utils import IntervalStrategy, SaveStrategy, set_seed

from tercet.data.splits.trained_texts import training_text_hashes
from tercet.encoder.sentence_transformer import SentenceTransformer
from tercet.errors import DataError
from tercet.evaluation.sentence_evaluator import evaluator_list
from tercet.heads import HeadChoice
from tercet.losses.modules import BaseLoss
from tercet.trainer.arguments import SentenceTransformerTrainingArguments
from tercet.trainer.batches.collate import collate, collate_columns
from tercet.trainer.checkpoints.checkpointing import CheckpointingTrainer
from tercet.trainer.checkpoints.record import counts_by_title
from tercet.trainer.checkpoints.writing import check_replaceable
from tercet.trainer.checks import (
    check_has_trainable_weights,
    check_model,
    check_processing_class,
    check_several_sets,
    check_trainer_arguments,
    warn_of_trained_texts,
)
from tercet.trainer.data_sets.prompts import check_one_prompt_length, prompt_lengths_to_exclude
from tercet.trainer.data_sets.streaming import Stream
from tercet.trainer.evaluation.best_metric import check_best_metric
from tercet.trainer.evaluation.evaluating import Evaluator
from tercet.trainer.first_head import add_first_head, check_first_head
from tercet.trainer.logs.callbacks import LogByLength, SetEpoch
from tercet.trainer.loss.kinds import check_losses, innermost, loss_function, loss_of_set, set_losses
from tercet.trainer.loss.multi_labels import set_relation, shared_relation
from tercet.trainer.loss.parameters import ClearLossGradients, check_loss_parameters
from tercet.trainer.steps.sharding import check_not_sharded

LossLike = nn.Module | Callable[[Any], nn.Module]


class SentenceTransformerTrainer(CheckpointingTrainer):
    """A trainer of a `SentenceTransformer` with a triplet loss.

    Args:
        model: the model to train; None if `model_init` is passed.
        args: the training arguments; by default `SentenceTransformerTrainingArguments()`.
        train_dataset: a `datasets.Dataset`, a pandas, polars or Arrow table, a dictionary of columns, or a list of
            dictionaries, pairs or triplets; with a text column and a label column, or three text columns for
            `TripletLoss`. Labels may be integers, strings or a `ClassLabel`. Other columns are named in a warning. A
            dictionary of several such tables trains on all of them; each has labels of its own, and each batch has rows
            of one of them. An `IterableDataset` is read in parts of `stream_buffer_size` rows; it needs `max_steps`. A
            transform of a data set (`set_transform`) is applied each time a row is drawn, but must not change its
            label.
        eval_dataset: evaluation data with such columns, or a dictionary of several such tables. Each evaluation
            computes the loss on them. If there is no `evaluator`, it also computes the metrics of `LabelEvaluator` (or
            `TripletEvaluator`) on each data set with at least two rows.
        loss: a loss, a function from the model to a loss, or a dictionary of one for each data set of a dictionary. The
            trainer runs the model itself and passes the embeddings to `loss.compute_loss_from_embeddings`, so the model
            that the loss holds is not used. Of a loss with `forward` alone, such as a Matryoshka loss around another
            one, the trainer calls `loss(features, labels)`, after it has set the model that the loss holds.
        evaluator: a function from the model to a dictionary of metrics or to a number (the metric `evaluator`), or a
            list of such functions.
        data_collator: a function from rows of texts to a batch with the keys `features` and, except for triplets,
            `labels`. By default, the trainer tokenizes and packs the texts.
        processing_class: the tokenizer of the model, or None. Another tokenizer must be set as `model.tokenizer`.
        model_init: a function that returns a new model for each run of a hyper-parameter search. If `loss` is a
            function, it makes a loss for each of these models.
        compute_metrics: not supported, and neither is `preprocess_logits_for_metrics`; pass an `evaluator`.
        callbacks: as in `transformers.Trainer`.
        optimizers: as in `transformers.Trainer`.
        optimizer_cls_and_kwargs: as in `transformers.Trainer`.
        tokenizer: another name of `processing_class`.

    Attributes:
        head_choice: the head that the training argument `train_head` has trained, its scores and the reason; None
            before the training, and in a run that a checkpoint has resumed.

    Raises:
        DataError: `loss` is missing, a data set is empty or does not have the columns that the loss needs, a text or a
            label is invalid, no triplet can be formed from the labels, or two arguments exclude each other.

    Example:
        model = SentenceTransformer("sentence-transformers/all-mpnet-base-v2")
        train_dataset = Dataset.from_dict({"sentence": ["a goal", "a match", "a bank"], "label": [0, 0, 1]})
        loss = losses.BatchSemiHardTripletLoss(model, margin=0.3)
        SentenceTransformerTrainer(model, train_dataset=train_dataset, loss=loss).train()
    """

    def __init__(
        self,
        model: SentenceTransformer | None = None,
        args: SentenceTransformerTrainingArguments | None = None,
        train_dataset: Any = None,
        eval_dataset: Any = None,
        loss: LossLike | dict[str, LossLike] | None = None,
        evaluator: Evaluator | Sequence[Evaluator] | None = None,
        data_collator: Any = None,
        processing_class: Any = None,
        model_init: Callable[[], SentenceTransformer] | None = None,
        compute_metrics: Any = None,
        callbacks: list[TrainerCallback] | None = None,
        optimizers: tuple[Any, Any] = (None, None),
        optimizer_cls_and_kwargs: tuple[type[torch.optim.Optimizer], dict[str, Any]] | None = None,
        preprocess_logits_for_metrics: Any = None,
        tokenizer: Any = None,
    ) -> None:
        if args is not None and not isinstance(args, SentenceTransformerTrainingArguments):
            raise DataError(
                f"args must be tercet's SentenceTransformerTrainingArguments, got {type(args).__module__}."
                f"{type(args).__name__}; import the class from tercet"
            )
        if compute_metrics is not None or preprocess_logits_for_metrics is not None:
            raise DataError(
                "compute_metrics and preprocess_logits_for_metrics get logits, which an embedding model does not have; "
                "pass an evaluator, which receives the model"
            )
        check_trainer_arguments(callbacks, optimizers, optimizer_cls_and_kwargs, data_collator, model_init)
        self.evaluators = [evaluator] if callable(evaluator) else evaluator_list(evaluator or [], "evaluator")
        self._replaced_metrics: set[str] = set()
        self._forget_data_sets()
        self._arguments = args = args or SentenceTransformerTrainingArguments()
        self._first_model: Any = None
        if model is None and model_init is not None:
            self.model_init = model_init  # type: ignore[assignment]
            set_seed(args.seed)
            self._first_model = model = super().call_model_init()  # type: ignore[assignment]
        check_model(model)
        check_processing_class(processing_class if processing_class is not None else tokenizer, model)
        self._make_loss = loss_function(loss)
        self.loss = self._make_loss(model)
        train_dataset = self._prepare_all(train_dataset, "train_dataset", training=True)
        eval_dataset = self._prepare_all(eval_dataset, "eval_dataset")
        self.train_dataset = train_dataset
        if eval_dataset is None and self.evaluators and train_dataset is not None:
            eval_dataset = self._empty_evaluation_set()
        if eval_dataset is None and args.eval_strategy != IntervalStrategy.NO:
            strategy = getattr(args.eval_strategy, "value", args.eval_strategy)
            raise DataError(f"eval_strategy={strategy!r} needs data to evaluate on; pass eval_dataset or an evaluator")
        super().__init__(
            model=None if self._first_model is not None else model,
            args=args,
            train_dataset=train_dataset,
            eval_dataset=eval_dataset,
            data_collator=data_collator or self._collator(model),
            model_init=model_init,
            callbacks=callbacks,
            optimizers=optimizers,
            optimizer_cls_and_kwargs=optimizer_cls_and_kwargs,
        )
        self.loss.to(self.args.device)
        self.add_callback(ClearLossGradients(self))
        self.add_callback(SetEpoch())
        if getattr(self.args, "logs_by_length", False):
            self.add_callback(LogByLength())
        self._check_arguments(optimizers[0])
        self.head_choice: HeadChoice | None = None
        self._has_head = False
        self._start_monitoring(resumed=False)
        self._best_was_loaded = False
        # A run of `tercet.runs` sets these, for the identity in the checkpoints.
        self.run_settings: dict[str, Any] = {}
        self.run_setting_defaults: dict[str, Any] = {}
        self.run_data: dict[str, dict[str, Any]] = {}
        self.start_model: dict[str, Any] = {}
        self._data_identity: dict[str, dict[str, Any]] | None = None
        self._chunks = self._chunks_with_gradient = 0
        self._unfinished_checkpoint: str | None = None
        self.reset_memories()
        self._check_batches()
        is_stream = isinstance(train_dataset, Stream)
        self._data_facts: dict[str, Any] = (
            {"Training data": "a stream"} if is_stream else counts_by_title(train_dataset, shared_relation(self.loss))
        )
        self._text_hashes = None if is_stream else training_text_hashes(train_dataset, self.model.training_record)

    def _check_arguments(self, optimizer: torch.optim.Optimizer | None) -> None:
        """Check that the loss, the data and the training arguments fit together.

        Raises:
            DataError: they do not, or the optimizer of the user does not have the parameters of the loss.
        """
        check_loss_parameters(self.loss, optimizer)
        check_losses(
            self.loss,
            mini_batch_tokens=self.args.mini_batch_tokens,
            cross_batch_memory=self.args.cross_batch_memory,
            neighbor_labels=self.args.neighbor_labels,
        )
        if isinstance(self.train_dataset, dict):
            check_several_sets(self.args)
        if self.args.train_head:
            check_first_head(self)

    def _check_batches(self) -> None:
        """Check that there are batches, and that they can be one row of tokens if they must be.

        Raises:
            DataError: `mini_batch_tokens` needs one row of tokens, an epoch has no batch, the labels form no triplet,
                or a prompt, a task or a column is missing.
        """
        if self.args.mini_batch_tokens is not None and self.data_collator is not collate:
            raise DataError(
                "mini_batch_tokens needs one row of tokens for a batch, but "
                + ("triplets for a Router have one for each column" if self._packs else "data_collator makes others")
                + "; leave out mini_batch_tokens"
                + ("" if self._packs else " or data_collator")
            )
        self._check_samplers(default_evaluators=not self.evaluators)
        for name in self._training_sets if self.data_collator is not collate_columns else ():
            check_one_prompt_length(prompt_lengths_to_exclude(self._prompts_of(name), self._tasks_of(name), self.model))

    def call_model_init(self, trial: Any = None) -> Any:
        """Return a new model, and make the loss for it if `loss` is a function."""
        if self._first_model is not None:  # The constructor has made it, with its loss.
            model, self._first_model = self._first_model, None
            return model
        model = super().call_model_init(trial)
        self._remember_weights(model)
        self.loss = self._make_loss(model).to(self.args.device)
        for name, facts in self._training_sets.items():
            if facts.set_names is not None:
                set_relation(loss_of_set(self.loss, name), facts.set_names)
        return model

    def train(self, resume_from_checkpoint: str | bool | None = None, *args: Any, **kwargs: Any) -> Any:
        """Train as in `transformers.Trainer.train`, then store the label names and the training record in the model.

        Args:
            resume_from_checkpoint: the checkpoint to resume from. True takes the newest whole one in `output_dir`. By
                default the training argument of the same name.
            args: further arguments of `transformers.Trainer.train`.
            kwargs: further arguments of `transformers.Trainer.train`, by name.

        Raises:
            DataError: there is no `train_dataset`, a failed training has left the model sharded, no weight is
                trained, no evaluation returns `metric_for_best_model`, a weight becomes NaN or infinite, a checkpoint
                cannot be written, `output_dir` has files of the user in the place of a checkpoint, or the checkpoint to
                resume from does not fit the run.
        """
        if self.train_dataset is None:
            raise DataError("the trainer has no data to train on; pass train_dataset")
        check_not_sharded(self.model)
        if not self.args.train_head:  # The head is trainable.
            check_has_trainable_weights(self.model)
        self._ran_a_step = False
        checkpoint = self.find_checkpoint(resume_from_checkpoint or self.args.resume_from_checkpoint)
        if self.args.save_strategy != SaveStrategy.NO:
            check_replaceable(Path(str(self.args.output_dir)), checkpoint)
        check_best_metric(self)
        if self.args.train_head and not self._has_head:
            self.head_choice = add_first_head(self, resumed=checkpoint is not None)
            self._has_head = True
        self._start_monitoring(resumed=checkpoint is not None)
        if not isinstance(self.train_dataset, Stream):
            warn_of_trained_texts(self.train_dataset, self.eval_dataset)
        if self._label_means is not None:
            self._label_means.reset()
        if self.model_init is None or self._first_model is not None:  # Else `call_model_init` makes another model.
            self._remember_weights(self.model)
        try:
            result = super().train(str(checkpoint) if checkpoint else None, *args, **kwargs)
        finally:
            self._stop_trained_rows()
            for loss in map(innermost, set_losses(self.loss)):
                if isinstance(loss, BaseLoss):
                    loss.defer_checks = False
        self._read_stats()
        self._check_finite()
        if self._ran_a_step:
            self._finish_monitoring()
        self._has_new_head = False
        self._update_model_record()
        # `transformers` reports the mean loss of no step as 0.
        return result if self._ran_a_step else result._replace(training_loss=math.nan)
