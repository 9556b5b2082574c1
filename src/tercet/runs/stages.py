"""Plan the stages of a training run, and run the first one: a linear head on embeddings that were computed once.

The second stage trains the encoder and the head together, see `tercet.runs.run_stages`.
"""

import logging
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from torch import Tensor

from tercet._texts import text_key
from tercet.catalogue import DEFAULT_MARGIN
from tercet.data.labels.labelled_sentences import LabelledSentences
from tercet.data.labels.numbering import labels_of
from tercet.data.splits.evaluation_rows import can_rank
from tercet.data.splits.held_out import held_out_labelled
from tercet.data.tables.dataset_columns import select_rows, texts_of
from tercet.errors import DataError
from tercet.heads import HeadChoice
from tercet.heads.labels import labels_from_ids
from tercet.losses import NestedTripletLoss
from tercet.runs.build import build_loss, label_names_of
from tercet.runs.recipe import (
    EPOCHS_FEW_ROWS,
    FEW_ROWS_PER_LABEL,
    MARGIN_FEW_ROWS_AFTER_HEAD,
    ROWS_PER_LABEL_FOR_HEAD,
    median_rows_per_label,
)
from tercet.runs.settings import DEFAULT_DISTANCE, RunSettings
from tercet.trainer import first_head
from tercet.trainer.loss.kinds import innermost
from tercet.trainer.trainer import SentenceTransformerTrainer

logger = logging.getLogger(__name__)

# `auto` holds out this fraction of each label's training rows, to choose the best state of the encoder.
_VALIDATION_FRACTION = 0.05
_MAX_VALIDATION_ROWS = 2000


@dataclass(frozen=True, kw_only=True)
class Stages:
    """The parts of the model that a run trains.

    Attributes:
        head: whether a linear head is trained, or may be.
        no_head_because: the reason why a run that may train a head does not even try one; None if it does.
        encoder: whether the encoder is trained.
        chooses: whether cross-validation and validation rows choose what is kept.
        few_rows: whether the labels have few sentences each.
        full_training_few_rows: whether labels have few sentences each, and the encoder is trained for at least
            `EPOCHS_FEW_ROWS` epochs.
        beat_regression: whether a head must be about as accurate as a logistic regression on the untouched encoder.
            With few rows of each label, a head may fit the training rows: MAP@R of the frozen embeddings rises in
            cross-validation, but the trained encoder ends worse than without it, see docs/concepts/measured-quality.md.
            False if rows have several labels, because then a head has no accuracy.
        validation: the numbers of the training rows that choose the best state, ascending; the encoder is not trained
            on them. Empty without a choice.
    """

    head: bool
    encoder: bool
    chooses: bool
    few_rows: bool
    no_head_because: str | None = None
    full_training_few_rows: bool = False
    beat_regression: bool = False
    validation: np.ndarray

    def rows_to_train_on(self, train_data: Dataset) -> Dataset:
        """Return the training rows without the validation rows."""
        return select_rows(train_data, self.kept(len(train_data))) if len(self.validation) else train_data

    def kept(self, num_rows: int) -> np.ndarray:
        """Return the numbers of the training rows that are not validation rows, ascending."""
        return np.setdiff1d(np.arange(num_rows), self.validation)


def plan_stages(settings: RunSettings, train_data: Dataset) -> Stages:
    """Return what a run trains, by its settings and its data.

    Raises:
        DataError: the data are triplets, but a head needs labels.
    """
    rows_per_label = median_rows_per_label(train_data, settings.multi_label)
    few_rows = rows_per_label < FEW_ROWS_PER_LABEL
    if settings.uses_triplets:
        if settings.train in ("head", "both") or settings.dimension is not None:
            raise DataError(
                "a head is trained on labelled sentences, not on triplets; leave out train and dimension, or pass "
                "another loss with data that have labels"
            )
        return Stages(head=False, encoder=True, chooses=False, few_rows=False, validation=np.empty(0, dtype=np.int64))
    is_auto = settings.train == "auto"
    # With fewer epochs, the encoder gains less, so a head may be all that helps.
    has_limit = settings.max_steps > 0 or settings.time_limit is not None
    all_epochs = not has_limit and (settings.epochs or EPOCHS_FEW_ROWS) >= EPOCHS_FEW_ROWS
    is_long = few_rows and all_epochs and settings.train != "head"
    chooses_by_accuracy = is_auto and is_long and settings.multi_label is None
    no_head_because = None
    if chooses_by_accuracy and settings.dimension is None and rows_per_label < ROWS_PER_LABEL_FOR_HEAD:
        no_head_because = (
            f"no head, because half of the labels have fewer than {ROWS_PER_LABEL_FOR_HEAD} sentences, and for such "
            "labels the encoder alone was mostly as good or better"
        )
    return Stages(
        head=settings.train != "encoder" and no_head_because is None,
        no_head_because=no_head_because,
        encoder=settings.train != "head",
        chooses=is_auto,
        few_rows=few_rows,
        full_training_few_rows=is_long,
        beat_regression=chooses_by_accuracy,
        validation=_validation_rows(train_data, settings) if is_auto and not few_rows else np.empty(0, np.int64),
    )


def _validation_rows(train_data: Dataset, settings: RunSettings) -> np.ndarray:
    label_ids, names = labels_of(train_data, "label", "the training data")
    names = [str(label_id) for label_id in range(int(label_ids.max()) + 1)] if names is None else names
    fraction = min(_VALIDATION_FRACTION, _MAX_VALIDATION_ROWS / len(train_data))
    sentences = LabelledSentences(texts_of(train_data, "sentence"), label_ids, names, multi_label=settings.multi_label)
    rows = held_out_labelled(sentences, fraction, settings.seed)
    # If all rows share a label, every ranking is right.
    return rows if can_rank([names[label_id] for label_id in label_ids[rows]], settings.multi_label) else rows[:0]


def add_head(
    trainer: SentenceTransformerTrainer,
    embeddings: Tensor,
    train_data: Dataset,
    settings: RunSettings,
    stages: Stages,
) -> HeadChoice:
    """Choose, train and append a head, see `first_head.add_head`. The rows `stages.validation` are left out.

    Args:
        trainer: the trainer of the encoder, before its training.
        embeddings: the embeddings of the training rows by the encoder `(n, dim)`.
        train_data: the training rows, with the columns `sentence` and `label`.
        settings: the settings of the run.
        stages: what the run trains.
    """
    kept = stages.kept(len(train_data))
    label_ids, names = labels_of(train_data, "label", "the training data")
    label_ids = label_ids[kept]
    texts = train_data["sentence"][:]
    rows = embeddings[torch.from_numpy(kept).to(embeddings.device)].float().cpu()
    logger.info(f"choosing a head for {len(rows):,} training rows")
    if stages.beat_regression:
        logger.info(
            "with few sentences of each label, a head helps the encoder only if it finds about as many labels in "
            "cross-validation as a logistic regression on the untouched encoder"
        )
    return first_head.add_head(
        trainer,
        rows,
        labels_from_ids(label_ids, names, settings.multi_label, settings.label_levels),
        label_ids,
        keys=[text_key(texts[row]) for row in kept],
        dimension=settings.dimension,
        seed=settings.seed,
        allow_none=stages.chooses,
        beat_regression=stages.beat_regression,
        label_levels=None if names is None else settings.label_levels,
        jaccard_weights=settings.jaccard_weights,
    )


def may_raise_margin(settings: RunSettings, stages: Stages, *, margin_chosen: bool) -> bool:
    """Return whether `use_margin_after_head` changes the margin if the run gets a head. Args as there."""
    used = (settings.loss, settings.distance, settings.margin, settings.label_levels, settings.multi_label)
    is_default = used == (RunSettings().loss, DEFAULT_DISTANCE, DEFAULT_MARGIN, None, None)
    return stages.head and stages.full_training_few_rows and margin_chosen and is_default


def use_margin_after_head(
    trainer: SentenceTransformerTrainer, settings: RunSettings, stages: Stages, *, margin_chosen: bool
) -> RunSettings:
    """Raise the default margin of the default loss after a head on few sentences. Return the settings.

    Such a head separates the training sentences, so with the default margin hardly any triplet has a loss.

    Args:
        trainer: the trainer of the encoder, before its training.
        settings: the settings of the run.
        stages: what the run trains.
        margin_chosen: whether the margin was chosen by Tercet, and not given.
    """
    if not may_raise_margin(settings, stages, margin_chosen=margin_chosen):
        return settings
    loss: Any = innermost(trainer.loss)
    loss.margin = MARGIN_FEW_ROWS_AFTER_HEAD
    logger.info(
        f"margin {MARGIN_FEW_ROWS_AFTER_HEAD:g}: with few sentences of each label, the head separates most of them by "
        f"{DEFAULT_MARGIN:g}"
    )
    return replace(settings, margin=MARGIN_FEW_ROWS_AFTER_HEAD)


def use_loss_without_head(
    trainer: SentenceTransformerTrainer, train_data: Dataset, settings: RunSettings, *, margin_chosen: bool
) -> RunSettings:
    """Give a loss for nested labels the weights and margins for an encoder that got no head. Return the settings.

    Args:
        trainer: the trainer of the encoder, before its training.
        train_data: the training rows.
        settings: the settings of the run.
        margin_chosen: whether the margin was chosen, for a head, and not given.
    """
    loss = trainer.loss
    if not isinstance(loss, NestedTripletLoss):
        return settings
    if margin_chosen and isinstance(settings.margin, list):
        settings = replace(settings, margin=settings.margin[-1])
        logger.info(f"without a head, the margin of the coarsest level is {settings.margin:g}, and each finer has half")
    new = build_loss(replace(settings, train="encoder"), trainer.model, label_names_of(train_data))
    assert isinstance(new, NestedTripletLoss)
    loss.losses, loss.weights, loss.margin = new.losses, new.weights, new.margin
    return settings


def store_record_without_encoder(trainer: SentenceTransformerTrainer, choice: HeadChoice | None) -> None:
    """Store the record of the training in the model of a trainer whose encoder is as it was before.

    `choice` is None if no head was to be trained.
    """
    if choice is None or choice.head is None:
        trainer.store_record_without_encoder("nothing: the weights are those before the training", None)
    elif choice.settings is None:
        trainer.store_record_without_encoder("nothing; the linear layer has the first principal directions", None)
    else:
        trainer.store_record_without_encoder("a linear head", asdict(choice.settings))
