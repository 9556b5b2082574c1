"""Keep what a run remembers of past batches: the cross-batch memory and the label means."""

import inspect
from typing import Any

from torch import nn

from tercet.data.tables.dataset_columns import label_ids_of
from tercet.distances import FunctionDistance, get_distance
from tercet.errors import DataError, EmbeddingError
from tercet.losses.cross_batch_memory import CrossBatchMemory
from tercet.trainer.logs.monitoring import MonitoringTrainer
from tercet.trainer.loss.kinds import takes_triplets
from tercet.trainer.loss.multi_labels import shared_relation
from tercet.trainer.steps.label_means import LabelMeans


class MemoryTrainer(MonitoringTrainer):
    """The part of `SentenceTransformerTrainer` that remembers past batches."""

    loss: Any
    _label_means: LabelMeans | None = None

    def reset_memories(self) -> None:
        """Empty the cross-batch memory and the label means, but keep those of `set_label_means`.

        Call this if a module was appended to the model, because the dimension of the embeddings may have changed.
        """
        dimension, device = self.model.get_sentence_embedding_dimension(), self.args.device
        self.cross_batch_memory: CrossBatchMemory | None = None
        if self.args.cross_batch_memory:
            check_cross_batch_memory(self.loss)
            self.cross_batch_memory = CrossBatchMemory(self.args.cross_batch_memory, dimension).to(device)
        given = None if self._label_means is None else self._label_means.first
        self._label_means = None
        if self.args.neighbor_labels and self.train_dataset is not None:
            self._label_means = LabelMeans(label_ids_of(self.train_dataset), dimension, device)
            self._label_means.first = given  # Their dimension may be another one.

    def set_label_means(self, means: Any) -> None:
        """Set the mean embedding of each label, for the batches of the first epoch with `neighbor_labels`.

        Without them, the labels of the batches are random in the first epoch. Later epochs use the embeddings that the
        training computes. A resumed run uses the means in its checkpoint. With `train_head`, the default is the means
        of the embeddings after the head.

        Args:
            means: `(num_labels, dim)`, in the sorted order of the labels of the training data; any dimension. If rows
                have several labels, `(num_sets, dim)`: one row for each set of labels that a row has, in the order of
                the set ids, which are in `train_dataset["label"]` of the trainer. None for random batches. In
                distributed training, all processes must pass the same means.

        Raises:
            DataError: the training argument `neighbor_labels` is 0, or the means have another number of rows than
                there are labels (or sets of labels), or are not finite.
        """
        if self._label_means is None:
            raise DataError(
                "the label means have no effect, because neighbor_labels is 0; set neighbor_labels in the training "
                "arguments"
            )
        self._label_means.set_first(means, of_sets=shared_relation(self.loss) is not None)

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

    def _memory_is_warm(self) -> bool:
        warmup = self.args.cross_batch_memory_warmup
        return self.state.global_step >= (warmup * self.state.max_steps if warmup < 1 else warmup)


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
