"""Append a linear head to the model of a trainer, before its first step.

add_head          choose a head, append it, and prepare the trainer for the new embeddings
add_first_head    do so with the training data of the trainer, for the training argument `train_head`
check_first_head  whether a trainer can do that
"""

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tercet._gather import broadcast_from_first
from tercet._texts import text_key
from tercet.data.tables.dataset_columns import label_ids_of
from tercet.encoder.modules import Normalize
from tercet.errors import DataError
from tercet.evaluation.classifiers import mean_rows
from tercet.heads import HeadChoice, LinearHead, append_head, choose_head
from tercet.heads.labels import NestedLabels
from tercet.losses import NestedTripletLoss
from tercet.trainer.evaluation.evaluating import EvaluatingTrainer
from tercet.trainer.loss.kinds import innermost
from tercet.trainer.loss.multi_labels import label_ids_or_sets, shared_relation

logger = logging.getLogger(__name__)


def check_first_head(trainer: EvaluatingTrainer) -> None:
    """Check that a head can be trained before the first step of a trainer.

    Raises:
        DataError: the training data are triplets, the model is made later, or the optimizer was made before the head.
    """
    if trainer.train_dataset is not None and trainer.takes_triplets:
        raise DataError(
            "train_head=True needs labels, but the training data are triplets; pass labelled sentences and a loss that "
            "mines them, or leave out train_head"
        )
    if trainer.model_init is not None:
        raise DataError(
            "train_head=True needs the model itself, but model_init makes another one for each run; pass model, or "
            "append a head in model_init (tercet.heads.append_head) and leave out train_head"
        )
    if trainer.optimizer is not None:
        raise DataError(
            "train_head=True adds weights to the model, which the optimizer in `optimizers` does not have; pass "
            "optimizer_cls_and_kwargs instead, or leave out train_head"
        )


def add_first_head(trainer: EvaluatingTrainer, *, resumed: bool) -> HeadChoice | None:
    """Append a head that is trained on the embeddings of the training data.

    In a resumed run, append a head that changes nothing, because its weights are loaded from the checkpoint; return
    None. All processes must call it, and get the same head.
    """
    check_first_head(trainer)
    model: Any = trainer.model
    if resumed:
        append_head(model, LinearHead(torch.eye(model.get_sentence_embedding_dimension())))
        trainer.reset_memories()
        trainer._has_new_head = True
        return None
    data: Any = trainer.train_dataset
    texts, label_ids = data.with_format(None)["sentence"][:], label_ids_of(data)
    relation, loss = shared_relation(trainer.loss), innermost(trainer.loss)
    labels: Any = label_ids_or_sets(trainer.loss, label_ids.tolist())
    if isinstance(loss, NestedTripletLoss):
        labels = NestedLabels(label_ids, loss.tree.paths)
    embeddings = trainer.encoder(None).encode(
        texts, convert_to_tensor=True, show_progress_bar=not trainer.args.disable_tqdm
    )
    return add_head(
        trainer,
        embeddings.float().cpu(),
        labels,
        label_ids,
        keys=[text_key(text) for text in texts],
        seed=trainer.args.seed,
        allow_none=False,
        jaccard_weights=relation is not None and relation.weighted,
    )


def add_head(
    trainer: EvaluatingTrainer,
    embeddings: Tensor,
    labels: Any,
    label_ids: np.ndarray,
    *,
    keys: Sequence[str],
    **options: Any,
) -> HeadChoice:
    """Choose and train a head, append it to the model of a trainer, and prepare the trainer for the new embeddings.

    Label means that the trainer was given are kept. If no head is chosen, append a `Normalize` module only.

    Args:
        trainer: the trainer, before its training.
        embeddings: the embeddings of the rows by the model `(n, dim)`, float32 on the CPU.
        labels: the labels of the rows, as `choose_head` takes them.
        label_ids: the label ids of the rows in the trainer `(n,)`; with several labels, those of their sets.
        keys: a key of each row, see `choose_head`.
        options: more arguments of `choose_head`.
    """
    model: Any = trainer.model
    choice = choose_head(embeddings, labels, keys=keys, **options)
    if choice.head is not None:
        head = LinearHead(broadcast_from_first(choice.head.weight.to(model.device)).cpu())
        append_head(model, head)
        trainer._has_new_head = True
        embeddings = head(embeddings)
    elif not isinstance(model[-1], Normalize):
        model.append(Normalize())
    logger.info(choice.reason)
    trainer.reset_memories()
    if trainer._label_means is not None and trainer._label_means.first is None:
        trainer.set_label_means(_label_means(embeddings, label_ids))
    return choice


def _label_means(rows: Tensor, label_ids: np.ndarray) -> Tensor:
    """Return the mean row of each label `(num_labels, dim)`, in the sorted order of the labels."""
    numbers = torch.from_numpy(np.unique(label_ids, return_inverse=True)[1])
    return mean_rows(rows, numbers, int(numbers.max()) + 1)[0]
