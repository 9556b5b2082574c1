"""Train an embedding model with a triplet loss on `transformers.Trainer`.

`transformers` provides callbacks, checkpoints, resuming, logging, mixed precision, gradient accumulation, early
stopping and distributed training. This module defines the loss of a batch, the evaluation, and the files of a
checkpoint.
"""

import logging
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import TrainerCallback
from transformers.trainer import TRAINING_ARGS_NAME
from transformers.trainer_utils import (
    EvalLoopOutput,
    IntervalStrategy,
    SaveStrategy,
    denumpify_detensorize,
    set_seed,
)

from tercet._distributed import is_first_process
from tercet._files import atomic_file, checkpoint_name
from tercet._gather import gather_rows
from tercet.data.text_hashes import training_text_hashes
from tercet.encoder.sentence_transformer import SentenceTransformer
from tercet.errors import DataError
from tercet.evaluation import LabelEvaluator, TripletEvaluator
from tercet.losses.cross_batch_memory import CrossBatchMemory
from tercet.losses.modules import BaseLoss, BatchLoss
from tercet.records import TrainingRecord
from tercet.trainer.arguments import SentenceTransformerTrainingArguments
from tercet.trainer.callbacks import LogByLength
from tercet.trainer.checkpoints import check_replaceable, load_memory, write_checkpoint
from tercet.trainer.checks import (
    check_cross_batch_memory,
    check_finite,
    check_loss_parameters,
    check_model,
    check_processing_class,
    check_several_sets,
    check_trainable,
    warn_of_trained_texts,
    warn_of_untrained_parameters,
)
from tercet.trainer.collate import collate
from tercet.trainer.distributed import DistributedEncoder
from tercet.trainer.gradient_cache import cached_step
from tercet.trainer.label_means import LabelMeans
from tercet.trainer.learning_rates import set_learning_rates
from tercet.trainer.loss_kinds import (
    call_forward,
    check_losses,
    innermost,
    loss_function,
    loss_of_set,
    reset_warnings,
    takes_embeddings,
    takes_triplets,
)
from tercet.trainer.loss_state import ClearLossGradients, add_to_optimizer, load_loss, loss_parameters, save_loss
from tercet.trainer.monitor import LogStats, TrainingMonitor
from tercet.trainer.multi_labels import labels_of, shared_relation
from tercet.trainer.prompts import prompt_length_to_exclude
from tercet.trainer.pushing import PushingTrainer
from tercet.trainer.record import data_facts, training_record
from tercet.trainer.run_identity import RunIdentity, arguments_of, check_same_run, data_identity
from tercet.trainer.unread_stats import UnreadStats
from tercet.trainer.weights import fingerprint, load_weights, relative_change, sample_weights
from tercet.trainer.whole_checkpoints import (
    check_whole,
    latest_checkpoint,
    newest_whole,
    read_identity,
    seal_checkpoint,
)

logger = logging.getLogger(__name__)

Evaluator = Callable[..., dict[str, float]]
LossLike = nn.Module | Callable[[Any], nn.Module]

# On a GPU, the statistics of this number of batches are read together. The monitor needs ten batches for a collapse.
_UNREAD_BATCHES = 10


class SentenceTransformerTrainer(PushingTrainer):
    """A trainer of a `SentenceTransformer` with a triplet loss.

    Args:
        model: the model to train; None if `model_init` is passed.
        args: the training arguments; by default `SentenceTransformerTrainingArguments()`.
        train_dataset: a `datasets.Dataset`, a pandas, polars or Arrow table, a dictionary of columns, or a list of
            dictionaries, pairs or triplets; with a text column and a label column, or three text columns for
            `TripletLoss`. Labels may be integers, strings or a `ClassLabel`. Other columns are named in a warning. A
            dictionary of several such tables trains on all of them; each has labels of its own, and each batch has rows
            of one of them. A transform of a data set (`set_transform`) is applied each time a row is drawn, but must
            not change its label.
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
        self.evaluators = [evaluator] if callable(evaluator) else list(evaluator or [])
        self._forget_data_sets()
        args = args or SentenceTransformerTrainingArguments()
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
            data_collator=data_collator or self._collator(),
            model_init=model_init,
            callbacks=callbacks,
            optimizers=optimizers,
            optimizer_cls_and_kwargs=optimizer_cls_and_kwargs,
        )
        self.loss.to(self.args.device)
        self.add_callback(ClearLossGradients(self))
        if getattr(self.args, "logs_by_length", False):
            self.add_callback(LogByLength())
        check_loss_parameters(self.loss, optimizers[0])
        check_losses(
            self.loss,
            mini_batch_tokens=self.args.mini_batch_tokens,
            cross_batch_memory=self.args.cross_batch_memory,
            neighbor_labels=self.args.neighbor_labels,
        )
        if isinstance(train_dataset, dict):
            check_several_sets(self.args)
        self._start_monitoring(resumed=False)
        self._best_was_loaded = False
        # A run of `tercet.runs` sets these, for the identity in the checkpoints.
        self.run_settings: dict[str, Any] = {}
        self.run_data: dict[str, dict[str, Any]] = {}
        self.start_model: dict[str, Any] = {}
        self._data_identity: dict[str, dict[str, Any]] | None = None
        self._chunks = self._chunks_with_gradient = 0
        self._unfinished_checkpoint: str | None = None
        self.reset_memories()
        if self.args.mini_batch_tokens is not None and self.data_collator is not collate:
            raise DataError(
                "mini_batch_tokens works only with the default data_collator, which packs the batches; leave out "
                "mini_batch_tokens or data_collator"
            )
        self._check_samplers(default_evaluators=not self.evaluators)
        for name in self._training_sets:
            prompt_length_to_exclude(self._prompts_of(name), self.model)  # Raises an error for different lengths.
        self._data_facts = data_facts(train_dataset, shared_relation(self.loss))
        self._text_hashes = training_text_hashes(train_dataset, self.model.training_record)

    def call_model_init(self, trial: Any = None) -> Any:
        """Return a new model, and make the loss for it if `loss` is a function."""
        if self._first_model is not None:  # The constructor has made it, with its loss.
            model, self._first_model = self._first_model, None
            return model
        model = super().call_model_init(trial)
        self.loss = self._make_loss(model).to(self.args.device)
        return model

    def reset_memories(self) -> None:
        """Empty the cross-batch memory and the label means.

        Call this if a module was appended to the model, because the dimension of the embeddings may have changed.
        """
        dimension, device = self.model.get_sentence_embedding_dimension(), self.args.device
        self.cross_batch_memory: CrossBatchMemory | None = None
        if self.args.cross_batch_memory:
            check_cross_batch_memory(self.loss)
            self.cross_batch_memory = CrossBatchMemory(self.args.cross_batch_memory, dimension).to(device)
        self._label_means: LabelMeans | None = None
        if self.args.neighbor_labels and self.train_dataset is not None:
            self._label_means = LabelMeans(self.train_dataset["label"][:], dimension, device)

    def set_label_means(self, means: Any) -> None:
        """Set the mean embedding of each label, for the batches of the first epoch with `neighbor_labels`.

        Without them, the labels of the batches are random in the first epoch. Later epochs use the embeddings that the
        training computes. A resumed run uses the means in its checkpoint.

        Args:
            means: `(num_labels, dim)`, in the sorted order of the labels of the training data; any dimension. None
                for random batches. In distributed training, all processes must pass the same means.

        Raises:
            DataError: the training argument `neighbor_labels` is 0, or the means have another number of rows than
                there are labels, or are not finite.
        """
        if self._label_means is None:
            raise DataError(
                "the label means have no effect, because neighbor_labels is 0; set neighbor_labels in the training "
                "arguments"
            )
        self._label_means.set_first(means)

    def train(self, resume_from_checkpoint: str | bool | None = None, *args: Any, **kwargs: Any) -> Any:
        """Train as in `transformers.Trainer.train`, then store the label names and the training record in the model.

        Args:
            resume_from_checkpoint: the checkpoint to resume from. True takes the newest whole one in `output_dir`. By
                default the training argument of the same name.
            args: further arguments of `transformers.Trainer.train`.
            kwargs: further arguments of `transformers.Trainer.train`, by name.

        Raises:
            DataError: there is no `train_dataset`, no weight is trained, a weight becomes NaN or infinite, a checkpoint
                cannot be written, `output_dir` has files of the user in the place of a checkpoint, or the checkpoint to
                resume from does not fit the run.
        """
        if self.train_dataset is None:
            raise DataError("the trainer has no data to train on; pass train_dataset")
        check_trainable(self.model)
        self._ran_a_step = False
        checkpoint = self.find_checkpoint(resume_from_checkpoint or self.args.resume_from_checkpoint)
        if self.args.save_strategy != SaveStrategy.NO:
            check_replaceable(Path(str(self.args.output_dir)), checkpoint)
        self._start_monitoring(resumed=checkpoint is not None)
        warn_of_trained_texts(self.train_dataset, self.eval_dataset)
        if self._label_means is not None:
            self._label_means.reset()
        weights, sampled = fingerprint(self.model), sample_weights(self.model)
        result = super().train(str(checkpoint) if checkpoint else None, *args, **kwargs)
        if isinstance(self.loss, BaseLoss):
            self.loss.defer_checks = False
        self._read_stats()
        self._check_finite()
        if self._ran_a_step:
            unchanged, change = (
                bool(weights) and fingerprint(self.model) == weights,
                relative_change(self.model, sampled),
            )
            for number, monitor in enumerate(self._monitors.values()):
                monitor.finish(
                    is_complete=self.state.global_step == self.state.max_steps,
                    unchanged=unchanged and number == 0,
                    relative_change=change if number == 0 else math.nan,
                    device=self.args.device,
                )
        self._update_model_record()
        # `transformers` reports the mean loss of no step as 0.
        return result if self._ran_a_step else result._replace(training_loss=math.nan)

    def find_checkpoint(self, resume_from_checkpoint: str | Path | bool | None) -> Path | None:
        """Return the checkpoint to resume from, after checking that it is whole and belongs to this run.

        Args:
            resume_from_checkpoint: the path of a checkpoint. True takes the newest whole one in `output_dir`, and warns
                of newer ones that are incomplete or damaged. None or False starts a new run.

        Raises:
            DataError: there is no whole checkpoint; or settings, data or the loss of its run differ.
        """
        if not resume_from_checkpoint:
            return None
        folder = Path(str(self.args.output_dir))
        if resume_from_checkpoint is True:
            checkpoint, skipped = newest_whole(folder)
            reasons = "; ".join(f"{path}: {reason}" for path, reason in skipped.items())
            if checkpoint is None:
                raise DataError(
                    f"cannot resume: {folder} has no whole checkpoint"
                    + (f" ({reasons})" if reasons else "")
                    + f"; remove {folder} to start a new run"
                )
            if skipped and is_first_process():
                logger.warning(f"resuming from {checkpoint}, because newer checkpoints are not whole ({reasons})")
        else:
            checkpoint = Path(resume_from_checkpoint)
            check_whole(checkpoint)
        written, now = read_identity(checkpoint), self._identity()
        check_same_run(checkpoint, written, now)
        if written.get("processes") != now.processes and is_first_process():
            logger.warning(
                f"{checkpoint} was written by {written.get('processes')} processes, now there are {now.processes}: "
                "dropout draws other random numbers than in an uninterrupted run"
            )
        return checkpoint

    def _identity(self) -> RunIdentity:
        """Return the identity of the run. Digests of the data are computed once."""
        if self._data_identity is None:
            self._data_identity = {}
            for kind, data in (("train", self.train_dataset), ("eval", self.eval_dataset)):
                # Several training sets decide the result, several evaluation sets do not.
                sets: dict[Any, Any] = data if isinstance(data, dict) and kind == "train" else {None: data}
                for name, part in sets.items():
                    if part is not None and not isinstance(part, dict) and len(part):
                        names = (
                            self._prepared_sets[part].label_names if kind == "train" else self.label_names_of_training
                        )
                        key = kind if name is None else f"{kind} {name}"
                        self._data_identity[key] = data_identity(part, names)
        return RunIdentity(
            arguments={**arguments_of(self.args, self.loss), "prompts": self.prompts},
            settings=self.run_settings,
            data={**self._data_identity, **self.run_data},
            model=self.start_model,
            processes=self.args.world_size,
        )

    def _check_finite(self) -> None:
        def remaining() -> str:
            last = latest_checkpoint(Path(self.args.output_dir or ""))
            return f"the last checkpoint is {last}" if last else "there is no checkpoint to resume from"

        check_finite(self.model, self.state.global_step, remaining)

    def _run_epoch(self, *args: Any, **options: Any) -> None:
        """Run an epoch as `transformers` does, but no step of a run that a checkpoint has resumed at its end."""
        if self.state.global_step >= self.state.max_steps:
            self.control.should_training_stop = True
            return
        if self._label_means is not None:
            self._label_means.start_epoch(options["epoch"])
            for sampler in self._train_samplers:
                sampler.set_label_means(self._label_means.current)
        super()._run_epoch(*args, **options)  # type: ignore[no-untyped-call]

    def _start_monitoring(self, *, resumed: bool) -> None:
        """Reset the statistics and the once-per-run warnings, because a trainer may run several times."""
        self._log_stats = LogStats()
        # One for each data set, or one under the name None.
        self._monitors = {
            name: TrainingMonitor.for_loss(innermost(loss_of_set(self.loss, name)), resumed=resumed)
            for name in self._training_sets or [None]
        }
        self._unread_stats = {name: UnreadStats() for name in self._monitors}
        reset_warnings(self.loss)

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

    def _defers_reading(self) -> bool:
        """Return whether statistics and checks stay on the device, because reading them would wait for it."""
        return self.args.device.type == "cuda"

    def _read_stats(self) -> None:
        for name, unread in self._unread_stats.items():
            for batch in unread.read():
                self._monitors[name].observe(batch[0], norm=self._log_stats.add(*batch))

    def _memory_is_warm(self) -> bool:
        warmup = self.args.cross_batch_memory_warmup
        return self.state.global_step >= (warmup * self.state.max_steps if warmup < 1 else warmup)

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
        step = cached_step(
            model,
            inputs["features"],
            lambda embeddings: self._loss_from_embeddings(embeddings, inputs),
            self.accelerator.backward,
            max_tokens=self.args.mini_batch_tokens,
            scale=scale,
            autocast=self.compute_loss_context_manager,
            word_embeddings=self.model.input_module.word_embeddings,
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

    def log(self, logs: dict[str, float], *args: Any, **kwargs: Any) -> None:
        """Log as in `transformers.Trainer.log`. Add the statistics of the batches since the last entry with a loss."""
        if "train_loss" in logs and not self._ran_a_step:
            del logs["train_loss"]
        if "loss" in logs:
            self._read_stats()
        if any(name in logs and not math.isfinite(logs[name]) for name in ("loss", "grad_norm")):
            self._check_finite()
        if "loss" in logs:
            logs.update(self._log_stats.compute_and_reset(self.args.device))
            if self._chunks:
                logs["chunks_skipped"] = round(1 - self._chunks_with_gradient / self._chunks, 4)
                self._chunks = self._chunks_with_gradient = 0
        super().log(logs, *args, **kwargs)

    def prediction_step(
        self, model: nn.Module, inputs: dict[str, Any], prediction_loss_only: bool, ignore_keys: list[str] | None = None
    ) -> tuple[Tensor, None, None]:
        """Return the loss of an evaluation batch, and None for logits and labels: the evaluators do not need them."""
        inputs = self._prepare_inputs(inputs)
        with torch.no_grad(), self.compute_loss_context_manager():
            loss = self.compute_loss(model, inputs)
        return loss.detach(), None, None

    def evaluate(self, eval_dataset: Any = None, *args: Any, **kwargs: Any) -> dict[str, float]:
        """Evaluate as in `transformers.Trainer.evaluate`.

        Args:
            eval_dataset: a data set, a dictionary of several, or the name of one of those of the trainer; by default
                those of the trainer. Columns and labels are found as in those of the trainer.
            args: further arguments of `transformers.Trainer.evaluate`.
            kwargs: further arguments of `transformers.Trainer.evaluate`, by name.
        """
        if eval_dataset is not None and not isinstance(eval_dataset, str):
            eval_dataset = self._prepare_all(eval_dataset, "eval_dataset")
        try:
            return super().evaluate(eval_dataset, *args, **kwargs)
        finally:  # Keep no data set alive.
            self.callback_handler.eval_dataloader = None

    def predict(self, test_dataset: Any, *args: Any, **kwargs: Any) -> Any:
        """Return the loss and the metrics of a data set as `transformers.Trainer.predict` does, without predictions.

        Args:
            test_dataset: a data set. Columns and labels are found as in those of the trainer.
            args: further arguments of `transformers.Trainer.predict`.
            kwargs: further arguments of `transformers.Trainer.predict`, by name.
        """
        try:
            return super().predict(test_dataset, *args, **kwargs)
        finally:
            self.callback_handler.eval_dataloader = None

    def evaluation_loop(
        self,
        dataloader: Any,
        description: str,
        prediction_loss_only: bool | None = None,
        ignore_keys: list[str] | None = None,
        metric_key_prefix: str = "eval",
    ) -> EvalLoopOutput:
        """Compute the loss over the batches, then run the evaluators. Prefix all metrics with `metric_key_prefix`."""
        # Restore the random state after the evaluation: its data loader draws a random seed, which would change the
        # dropout of all later training steps.
        with torch.random.fork_rng([self.args.device] if self.args.device.type == "cuda" else []):
            output = super().evaluation_loop(
                dataloader, description, prediction_loss_only, ignore_keys, metric_key_prefix
            )
            assert output.metrics is not None
            rows = dataloader.dataset
            name = getattr(rows, "name", None)
            for evaluator in self.evaluators or self._default_evaluators(getattr(rows, "prepared", rows)):
                metrics = self._run_evaluator(evaluator, name)
                output.metrics.update({f"{metric_key_prefix}_{name}": value for name, value in metrics.items()})
        return output

    def _run_evaluator(self, evaluator: Evaluator, name: str | None) -> dict[str, float]:
        metrics = evaluator(self._encoder_for(evaluator, name))
        metrics = metrics if isinstance(metrics, dict) else {"evaluator": metrics}
        values: dict[str, float] = denumpify_detensorize(metrics)
        return values

    def _encoder_for(self, evaluator: Evaluator, name: str | None) -> Any:
        """Return the model for an evaluator. The evaluators of Tercet use all processes, and the training's prompts."""
        if not isinstance(evaluator, (LabelEvaluator, TripletEvaluator)):
            return self.model
        prompts = list(self._prompts_of(name).values()) if self.args.prompts is not None else []
        if len(set(prompts)) > 1 and not isinstance(evaluator, TripletEvaluator):
            prompts = []  # The prompts of triplet columns say nothing about labelled sentences.
        return DistributedEncoder(self.model, prompts=prompts)

    def _default_evaluators(self, dataset: Any) -> list[Evaluator]:
        if len(dataset) < 2:
            return []
        plain = dataset.with_format(None)
        if "anchor" in plain.column_names:
            return [TripletEvaluator(*(plain[name][:] for name in ("anchor", "positive", "negative")))]
        loss = loss_of_set(self.loss, self._prepared_sets[dataset].name)
        return [LabelEvaluator(plain["sentence"][:], labels_of(loss, plain["label"][:]))]

    def _update_model_record(self) -> None:
        """Store the label names and the training record in the model, which saves them with its weights."""
        if self.train_dataset is not None:  # The names of an earlier training would describe other labels.
            self.model.label_names = self.label_names_of_training
        best_step = self.state.best_global_step if self._best_was_loaded else None
        self.model.training_record = training_record(
            self.args,
            self.loss,
            self._data_facts,
            self.state.log_history,
            saved_step=best_step,
            protocol=self._protocol(),
        )
        self.model.training_record.text_hashes = self._text_hashes
        self.model.remember_weights()

    def store_record_of_head(self, settings: dict[str, Any]) -> None:
        """Store the label names and a record in the model whose head was trained, but not the encoder."""
        self.model.label_names = self.label_names_of_training
        self.model.training_record = TrainingRecord(
            loss="BatchSemiHardTripletLoss",
            data=self._data_facts,
            settings={"Trained": "a linear head", **settings},
            text_hashes=self._text_hashes,
        )
        self.model.remember_weights()

    def _protocol(self) -> str:
        """Return the protocol of the evaluators, a key of `tercet.catalogue.PROTOCOLS`."""
        if not self.evaluators:
            return TripletEvaluator.protocol if self.takes_triplets else "among_themselves"
        protocols = {getattr(evaluator, "protocol", "evaluators") for evaluator in self.evaluators}
        return protocols.pop() if len(protocols) == 1 else "evaluators"

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        """Write a complete model directory, which `SentenceTransformer` can load, instead of the weights alone."""
        if not self.args.should_save:
            return
        folder = Path(output_dir if output_dir is not None else str(self.args.output_dir))
        self._update_model_record()
        self.model.save_pretrained(folder)
        with atomic_file(folder / TRAINING_ARGS_NAME) as partial:
            torch.save(self.args.without_functions(), partial)

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        """Write a checkpoint atomically, unless the training has diverged."""
        self._read_stats()
        self._check_finite()

        def write(unfinished: Path) -> None:
            self._unfinished_checkpoint = str(unfinished)
            try:
                super(SentenceTransformerTrainer, self)._save_checkpoint(model, trial)
                if self.args.should_save:
                    save_loss(self.loss, unfinished / checkpoint_name(self.state.global_step))
                if self._label_means is not None:
                    self._label_means.save(unfinished / checkpoint_name(self.state.global_step))
            finally:
                self._unfinished_checkpoint = None

        folder = Path(self._get_output_dir(trial))
        identity = self._identity()
        write_checkpoint(
            folder, self.state, write, self.cross_batch_memory, self.args.save_total_limit,
            seal=lambda unfinished: seal_checkpoint(unfinished, identity),
        )  # fmt: skip
        if self.args.push_to_hub:
            self._push_checkpoint(folder / checkpoint_name(self.state.global_step))

    def _get_output_dir(self, trial: Any) -> str:
        return self._unfinished_checkpoint or super()._get_output_dir(trial)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        load_weights(model or self.model, resume_from_checkpoint)
        with _naming(resume_from_checkpoint, "the cross-batch memory"):
            load_memory(self.cross_batch_memory, Path(resume_from_checkpoint))
        load_loss(self.loss, Path(resume_from_checkpoint))
        if self._label_means is not None:
            with _naming(resume_from_checkpoint, "the label means"):
                self._label_means.load(Path(resume_from_checkpoint))

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        with _naming(checkpoint, "the optimizer and the schedule"):
            super()._load_optimizer_and_scheduler(checkpoint)

    def _load_rng_state(self, checkpoint: str | None) -> None:
        with _naming(checkpoint, "the state of the random number generators"):
            super()._load_rng_state(checkpoint)

    def _load_scaler(self, checkpoint: str | None) -> None:
        with _naming(checkpoint, "the gradient scaler"):
            super()._load_scaler(checkpoint)

    def _load_best_model(self) -> None:
        logger.info(
            f"loading the best checkpoint, {self.state.best_model_checkpoint} "
            f"({self.args.metric_for_best_model} {self.state.best_metric})"
        )
        load_weights(self.model, str(self.state.best_model_checkpoint))
        load_loss(self.loss, Path(str(self.state.best_model_checkpoint)))
        self._best_was_loaded = True


@contextmanager
def _naming(checkpoint: str | None, what: str) -> Iterator[None]:
    """Name the checkpoint in errors of the `with` block, which loads `what` from it."""
    try:
        yield
    except Exception as error:  # torch raises many types for a file that does not fit
        reason = str(error).strip().split("\n")[0] or type(error).__name__
        raise DataError(f"cannot load {what} from {checkpoint}: {reason}; resume from another checkpoint") from error
