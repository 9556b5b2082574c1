"""The arguments of a training run: those of `transformers`, and how batches are drawn."""

import logging
from dataclasses import dataclass, field
from enum import Enum

import torch
from transformers import TrainingArguments

from tercet._distributed import launched_world_size
from tercet.errors import DataError

logger = logging.getLogger(__name__)


class BatchSampler(str, Enum):
    """How batches are drawn; the values are those of sentence-transformers.

    Attributes:
        BATCH_SAMPLER: at random.
        GROUP_BY_LABEL: P labels × K sentences each, see `tercet.data.sampler`.
    """

    BATCH_SAMPLER = "batch_sampler"
    GROUP_BY_LABEL = "group_by_label"


@dataclass
class SentenceTransformerTrainingArguments(TrainingArguments):
    """`transformers.TrainingArguments` with a few more.

    Args:
        batch_sampler: `"batch_sampler"` (random, the default) or `"group_by_label"` (P×K).
        samples_per_label: K, the sentences of each label in a P×K batch; P is the batch size by K.
        mini_batch_tokens: embed a batch in parts of at most so many tokens, and mine it whole all the same; for
            batches larger than memory (see `tercet.trainer.gradient_cache`). None embeds it at once.
        cross_batch_memory: how many embeddings of past batches are candidates of a batch too (see `tercet.losses.cross_batch_memory`).
        cross_batch_memory_warmup: before so many steps, or such a share of them below 1, the memory is only filled.
    """

    output_dir: str | None = "tmp_trainer"
    batch_sampler: BatchSampler | str = field(
        default=BatchSampler.BATCH_SAMPLER, metadata={"help": "How batches are drawn."}
    )
    samples_per_label: int = field(default=4, metadata={"help": "Sentences of each label in a P×K batch."})
    mini_batch_tokens: int | None = field(default=None, metadata={"help": "Embed a batch in parts of so many tokens."})
    cross_batch_memory: int = field(default=0, metadata={"help": "Embeddings of past batches to mine too."})
    cross_batch_memory_warmup: float = field(
        default=0.1, metadata={"help": "Steps, or their share, that only fill it."}
    )

    def __post_init__(self) -> None:
        launched = launched_world_size()
        if launched > 1 and not torch.accelerator.is_available():
            self.use_cpu = True  # or each process of torchrun would train alone, without a word
        super().__post_init__()
        if self.world_size != launched:
            raise DataError(f"{launched} processes were launched, but they train as {self.world_size}; use torchrun")
        if self.n_gpu > 1:
            logger.warning(
                f"one of {self.n_gpu} GPUs is used; torchrun --nproc-per-node {self.n_gpu} … uses all of them"
            )
            self._n_gpu = 1
        if self.accelerator_config.dispatch_batches or self.accelerator_config.split_batches:
            raise DataError(
                "accelerator_config: a batch is one row of tokens; leave out dispatch_batches, split_batches"
            )
        # Columns are chosen by the trainer, by what its loss wants, and not by the model's signature.
        self.remove_unused_columns = False
        self.label_names = ["labels"]
        if self.mini_batch_tokens is not None and self.mini_batch_tokens < 1:
            raise DataError(f"mini_batch_tokens must be at least 1, got {self.mini_batch_tokens}")
        if self.cross_batch_memory < 0 or self.cross_batch_memory_warmup < 0:
            raise DataError("cross_batch_memory and cross_batch_memory_warmup must be at least 0")
        try:
            value = self.batch_sampler.value if isinstance(self.batch_sampler, Enum) else self.batch_sampler
            self.batch_sampler = BatchSampler(value)
        except ValueError:
            known = ", ".join(repr(sampler.value) for sampler in BatchSampler)
            raise DataError(f"batch_sampler {self.batch_sampler!r} is not known; take one of {known}") from None
