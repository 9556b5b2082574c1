"""The arguments of a training run: those of `transformers`, and those of batches and cross-batch memory."""

import os
from collections.abc import Callable
from copy import copy
from dataclasses import MISSING, dataclass, field, fields
from enum import Enum
from numbers import Real
from typing import Any

import torch
from transformers import TrainingArguments
from transformers.integrations.integration_utils import get_reporting_integration_callbacks

from tercet._distributed import check_launcher, launched_world_size, report_wait
from tercet._events import WarningKind, emit_warning
from tercet.encoder.devices import cpu_has_bfloat16
from tercet.errors import DataError, listed
from tercet.trainer.argument_checks.dictionaries import read_learning_rates, read_prompts, read_router_mapping
from tercet.trainer.argument_checks.fsdp import reads_fsdp
from tercet.trainer.argument_checks.rules import check_supported


class BatchSamplers(str, Enum):
    """The ways to draw the batches of a data set. The values are the same as in sentence-transformers.

    Attributes:
        BATCH_SAMPLER: rows at random.
        NO_DUPLICATES: rows at random, no text twice in a batch.
        NO_DUPLICATES_HASHED: the same batches as `NO_DUPLICATES`.
        GROUP_BY_LABEL: P labels with K sentences each (P×K), see `tercet.data.sampling.sampler`.
    """

    BATCH_SAMPLER = "batch_sampler"
    NO_DUPLICATES = "no_duplicates"
    NO_DUPLICATES_HASHED = "no_duplicates_hashed"
    GROUP_BY_LABEL = "group_by_label"


class MultiDatasetBatchSamplers(str, Enum):
    """The order in which the batches of several data sets are drawn. The values are those of sentence-transformers.

    Attributes:
        ROUND_ROBIN: the data sets in turn, until one has no more batches.
        PROPORTIONAL: all batches of all data sets in random order.
    """

    ROUND_ROBIN = "round_robin"
    PROPORTIONAL = "proportional"


@dataclass
class SentenceTransformerTrainingArguments(TrainingArguments):
    """`transformers.TrainingArguments` with arguments for batches and cross-batch memory.

    By default a run has 3 epochs (`num_train_epochs`), batches of 8 rows per process (`per_device_train_batch_size`),
    drawn at random (`batch_sampler`), and a learning rate of 5e-5 that decays linearly. It writes checkpoints to the
    folder `tmp_trainer` (`output_dir`), every 500 steps and after the last step. It logs the loss 20 times, at least
    every 500 steps, unless `logging_steps` is given. The defaults of `tercet train` are different, see
    `tercet.runs.RunSettings`. On a GPU, batches are collated in a thread and copied while it computes, and
    `logging_nan_inf_filter` is off by default, except with `fp16`, because it waits for the GPU in each step.

    `fsdp=True`, or `"full_shard"`, shards weights, gradients and the state of the optimizer over the processes of
    `torchrun`, on GPUs or CPUs. Models and checkpoints are the ordinary folders.

    Args:
        batch_sampler: `"batch_sampler"` (random, the default), `"group_by_label"` (P×K), `"no_duplicates"` (no text
            twice in a batch), or a subclass of `tercet.data.batch_samplers.DefaultBatchSampler` or a function, which is
            called with the data set, `batch_size`, `drop_last`, `valid_label_columns`, `generator` and `seed`, and
            returns the batches of row numbers.
        multi_dataset_batch_sampler: the order of the batches of several data sets: `"proportional"` (all of them at
            random, the default), `"round_robin"` (in turn, until one data set has no more), or a subclass of
            `tercet.data.batch_samplers.MultiDatasetDefaultBatchSampler` or a function, which is called with the
            concatenated data sets, `batch_samplers`, `generator` and `seed`.
        samples_per_label: K, the number of sentences of each label in a P×K batch. P is the batch size of all
            processes together, divided by K. Not used by other batch samplers; a warning is then emitted.
        neighbor_labels: the fraction of the labels of a P×K batch that are near each other, by the mean embedding of
            each label in the epoch before. 0 draws all labels at random. In the first epoch they are random too,
            unless `SentenceTransformerTrainer.set_label_means` was called.
        train_head: train a linear head on the embeddings of the training data before the first step, with settings that
            cross-validation chooses (`tercet.heads.choose_head`), and append it to the model. The steps then train the
            encoder and the head together. It needs labelled sentences.
        mini_batch_tokens: maximum number of tokens per forward pass in training, for batches that do not fit into
            memory (see `tercet.trainer.steps.gradient_cache`). A longer sentence has its own pass. The loss still mines
            the whole batch. None uses one forward pass.
        cross_batch_memory: number of embeddings of past batches that are additional candidates for mining (XBM, see
            `tercet.losses.cross_batch_memory`). 0 turns the memory off.
        cross_batch_memory_warmup: number of steps at the start in which the memory is filled but not used. A value
            below 1 is a fraction of all steps.
        stream_buffer_size: number of rows of an `IterableDataset` that are in memory, of which the batches are drawn;
            at least two batches. Other data sets do not use it.
        prompts: the string before each text, in training and in the evaluations of the trainer. A dictionary gives the
            prompt by column of the training data, or by the name of the data set if there are several (a string or a
            dictionary by column for each); other columns have none. None uses the default prompt of the model, as
            `encode` does; an empty string means no prompt. The text of a JSON object is read as a dictionary.
        learning_rate_mapping: learning rates by regular expression. A weight whose name in `model.named_parameters()`
            an expression finds gets its rate instead of `learning_rate`; the last expression decides.
        warmup_ratio: another name of `warmup_steps` as a fraction of all steps, below 1. It sets `warmup_steps`, with a
            warning.
        router_mapping: for a model with a `Router`, the task of each text column, such as `{"question": "query",
            "answer": "document"}`, or such a dictionary for each data set. A column without a task takes the default
            route. The evaluators of the trainer encode with these tasks, too.

    Raises:
        DataError: an argument has an invalid value, also by the checks of `transformers`; an argument of `transformers`
            is not supported (see `tercet.trainer.argument_checks.rules`); `fsdp` is set in a single process, or the
            environment asks accelerate for FSDP; `accelerator_config` sets `dispatch_batches` or `split_batches`; the
            environment has only some of the variables of a launcher such as `torchrun`; or the
            process group does not contain exactly the processes that were launched.

    Example:
        >>> arguments = SentenceTransformerTrainingArguments(
        ...     "runs/first", batch_sampler="group_by_label", samples_per_label=4, per_device_train_batch_size=64
        ... )
        >>> arguments.num_train_epochs, arguments.cross_batch_memory
        (3.0, 0)
    """

    output_dir: str | None = "tmp_trainer"
    # None is replaced in `__post_init__`, because `transformers` needs a number.
    logging_steps: float | None = None  # type: ignore[assignment]
    logging_nan_inf_filter: bool | None = None  # type: ignore[assignment]
    batch_sampler: BatchSamplers | str | Callable[..., Any] = field(
        default=BatchSamplers.BATCH_SAMPLER, metadata={"help": "The way to draw batches."}
    )
    multi_dataset_batch_sampler: MultiDatasetBatchSamplers | str | Callable[..., Any] = field(
        default=MultiDatasetBatchSamplers.PROPORTIONAL, metadata={"help": "The order of the batches of several sets."}
    )
    samples_per_label: int = field(
        default=4, metadata={"help": "The number of sentences of each label in a P×K batch."}
    )
    neighbor_labels: float = field(
        default=0.0, metadata={"help": "The fraction of the labels of a P×K batch that are near each other."}
    )
    train_head: bool = field(
        default=False, metadata={"help": "Train a linear head on the embeddings of the data before the first step."}
    )
    mini_batch_tokens: int | None = field(
        default=None, metadata={"help": "The maximum number of tokens per forward pass."}
    )
    cross_batch_memory: int = field(
        default=0, metadata={"help": "The number of embeddings of past batches to mine as well (0: none)."}
    )
    cross_batch_memory_warmup: float = field(
        default=0.1, metadata={"help": "The number of steps that only fill the memory; below 1, a fraction."}
    )
    stream_buffer_size: int = field(
        default=10_000, metadata={"help": "The number of rows of an IterableDataset of which batches are drawn."}
    )
    # `HfArgumentParser` reads these three from a command line, and needs None in the second place for that.
    prompts: str | None | dict[str, str] | dict[str, dict[str, str]] = field(  # noqa: RUF036
        default=None, metadata={"help": "The prompt before each text, or the prompt by column or data set."}
    )
    learning_rate_mapping: str | None | dict[str, float] = field(  # noqa: RUF036
        default=None, metadata={"help": "Learning rates by regular expression of the names of weights."}
    )
    warmup_ratio: float | None = field(
        default=None, metadata={"help": "Another name of warmup_steps as a fraction of all steps."}
    )
    router_mapping: str | None | dict[str, Any] = field(  # noqa: RUF036
        default=None, metadata={"help": "The task of each text column, for a model with a Router."}
    )

    def __post_init__(self) -> None:
        check_launcher()
        self._replace_warmup_ratio()
        values = {item.name: getattr(self, item.name) for item in fields(self)}
        check_supported(values, default_values(type(self)))
        launched = launched_world_size()
        shards = reads_fsdp(values, launched)
        self.fsdp = None  # Otherwise `transformers` lets accelerate shard the model.
        if launched > 1 and not torch.accelerator.is_available():
            self.use_cpu = True  # Otherwise each process of torchrun would silently train alone.
        if self.bf16 and not torch.accelerator.is_available() and cpu_has_bfloat16():
            self.use_cpu = True  # Otherwise `transformers` refuses bfloat16 without a GPU.
        self.logs_by_length = self.logging_steps is None
        if self.logging_steps is None:
            self.logging_steps = 500.0
        if self.accelerator_config is None and self.dataloader_pin_memory and torch.cuda.is_available():
            self.accelerator_config = {"non_blocking": True}
        with report_wait():
            try:
                super().__post_init__()
                get_reporting_integration_callbacks(self.report_to)  # raises for an unknown name
            except ValueError as error:
                raise DataError(f"invalid training argument: {' '.join(str(error).split())}") from error
            processes = self.world_size  # Creates the process group, if nothing has done so before.
        if processes != launched:
            raise DataError(
                f"the environment variable WORLD_SIZE is {os.environ.get('WORLD_SIZE', 'not set')}, but the process "
                f"group has {processes} process(es); start the training with `torchrun` (it sets WORLD_SIZE), or "
                "unset WORLD_SIZE to train in one process"
            )
        if self.n_gpu > 1:
            emit_warning(
                WarningKind.UNUSED_GPUS,
                f"this run uses only one of {self.n_gpu} GPUs; to use all of them, start it with "
                f"`torchrun --nproc-per-node {self.n_gpu} train.py`",
            )
            self._n_gpu = 1
        if shards:
            self.fsdp, self.fsdp_config = True, {}  # type: ignore[assignment]
        # `transformers` would remove the columns that `forward` of the model does not name. The trainer selects the
        # columns itself.
        self.remove_unused_columns = False
        if not torch.accelerator.is_available():
            self.dataloader_pin_memory = False  # pinning needs an accelerator; without one, torch warns in each epoch
        self.label_names = ["labels"]
        if self.logging_nan_inf_filter is None:
            self.logging_nan_inf_filter = self.device.type != "cuda" or self.fp16
        self._check()

    def _check(self) -> None:
        config: Any = self.accelerator_config  # `transformers` has made it an `AcceleratorConfig`.
        if config.dispatch_batches or config.split_batches:
            raise DataError(
                "accelerator_config: leave out dispatch_batches and split_batches, because a packed batch is a single "
                "row of tokens, which cannot be split"
            )
        self.prompts = read_prompts(self.prompts)  # type: ignore[assignment]
        self.router_mapping = read_router_mapping(self.router_mapping)
        self.learning_rate_mapping = read_learning_rates(self.learning_rate_mapping)
        self.batch_sampler = _member(BatchSamplers, self.batch_sampler, "batch_sampler")
        usual = default_values(type(self))["samples_per_label"]
        sampler: Any = self.batch_sampler
        is_other = isinstance(sampler, BatchSamplers) and sampler != BatchSamplers.GROUP_BY_LABEL
        if self.samples_per_label != usual and is_other:
            emit_warning(
                WarningKind.UNUSED_ARGUMENT,
                f"samples_per_label={self.samples_per_label} has no effect with "
                f"batch_sampler={sampler.value!r}; to use it, set batch_sampler='group_by_label'",
            )
        self.multi_dataset_batch_sampler = _member(
            MultiDatasetBatchSamplers, self.multi_dataset_batch_sampler, "multi_dataset_batch_sampler"
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the arguments as JSON values; a class or a function as its name."""
        values: dict[str, Any] = super().to_dict()
        return {name: getattr(value, "__qualname__", value) for name, value in values.items()}

    def without_functions(self) -> "SentenceTransformerTrainingArguments":
        """Return a copy that can be pickled: with the name of each class or function of the user instead of it."""
        plain = copy(self)
        for name in ("batch_sampler", "multi_dataset_batch_sampler"):
            value = getattr(self, name)
            setattr(plain, name, getattr(value, "__qualname__", value))
        return plain

    def _replace_warmup_ratio(self) -> None:
        ratio, self.warmup_ratio = self.warmup_ratio, None
        if ratio is None:
            return
        if not isinstance(ratio, Real) or not 0 <= ratio < 1:
            raise DataError(f"warmup_ratio must be a number of at least 0 and below 1, got {ratio!r}")
        if ratio and self.warmup_steps:
            raise DataError(
                f"warmup_ratio={ratio} and warmup_steps={self.warmup_steps} exclude each other; leave out warmup_ratio"
            )
        if ratio:
            self.warmup_steps = float(ratio)
            emit_warning(
                WarningKind.RENAMED_ARGUMENT,
                f"warmup_ratio={ratio} is used as warmup_steps={ratio}; pass warmup_steps, where a number below 1 is a "
                "fraction of all steps",
            )


def _member(choices: type[Enum], value: Any, name: str) -> Any:
    """Return the member of an enum, or the class or function of the user.

    Raises:
        DataError: the value is neither.
    """
    if callable(value) and not isinstance(value, str):
        return value
    try:
        return choices(getattr(value, "value", value))
    except ValueError:
        known = listed(choice.value for choice in choices)
        raise DataError(f"unknown {name} {value!r}; choose one of {known}, or pass a class or a function") from None


def default_values(arguments: type) -> dict[str, Any]:
    """Return the default value of each field of a dataclass."""
    made = {item.name: item.default_factory() for item in fields(arguments) if item.default_factory is not MISSING}
    return {item.name: made.get(item.name, item.default) for item in fields(arguments)}
