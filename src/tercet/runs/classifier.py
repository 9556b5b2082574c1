"""Fit the classifier of a training run, on the embeddings of the last evaluation."""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from torch import Tensor

from tercet._events import WarningKind, emit_warning
from tercet._texts import text_keys
from tercet.data.labels.numbering import label_values, labels_of
from tercet.data.loading.training_data import TrainingData
from tercet.decisions import LabelClassifier
from tercet.decisions.fit_time import seconds_to_fit
from tercet.decisions.inputs import Embedded
from tercet.decisions.seen import seen_rows
from tercet.decisions.spaces import spaces, without_head
from tercet.encoder.sentence_transformer import SentenceTransformer
from tercet.runs.evaluation import Evaluation
from tercet.runs.stages import Stages
from tercet.trainer.evaluation.distributed_encoder import DistributedEncoder

logger = logging.getLogger(__name__)


class RememberingEncoder:
    """An encoder over all processes that keeps the embeddings of each call, before and after the head of the model.

    The classifier uses both. So that sentences are encoded once, the encoder computes the inputs of the head, and
    applies the head to them.

    Args:
        model: the model. All attributes and methods except `encode` are those of the model.
        inputs: for each of the first calls, the inputs of the head if they were computed before, `(num_sentences,
            dim)`. Then nothing is encoded.
        keep: whether to keep the embeddings.

    Attributes:
        calls: for each call, the embeddings after the head, and its inputs; None without a head. Empty unless `keep`.
    """

    def __init__(self, model: SentenceTransformer, inputs: Iterable[Tensor] = (), *, keep: bool = True) -> None:
        self.model, before = model, without_head(model)
        self._inputs, self._keep = list(inputs), keep
        self._encoder = DistributedEncoder(model if before is None else before)
        self._head = [] if before is None else list(model)[-2:]
        self.calls: list[tuple[Tensor, Tensor | None]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self.model, name)

    @torch.no_grad()
    def encode(self, sentences: list[str], **options: Any) -> Tensor:
        """Return the embeddings `(num_sentences, dim)` of the model. All processes must call it."""
        if self._inputs:
            embeddings = self._inputs.pop(0)
            assert len(embeddings) == len(sentences)
        else:
            embeddings = self._encoder.encode(sentences, **{**options, "convert_to_tensor": True})
        inputs = embeddings if self._head else None
        for module in self._head:
            dtype = next((parameter.dtype for parameter in module.parameters()), embeddings.dtype)
            embeddings = module({"sentence_embedding": embeddings.to(dtype)})["sentence_embedding"]
        embeddings = embeddings.float()
        if self._keep:
            self.calls.append((embeddings, inputs))
        return embeddings


class RunClassifier:
    """The classifier of a run, which is fitted at its end.

    Args:
        data: all training rows, with the columns `sentence` and `label`, and the numbers of the rows in their file.
        stages: what the run trains; it has the rows that chose the best state.
        evaluation: how the model is evaluated; None if it is not.
        keep_texts: whether the classifier keeps the sentences.
        seed: the seed of folds and samples.
        label_levels: the separator of the levels of nested labels; None for labels without levels.
    """

    def __init__(
        self,
        data: TrainingData,
        stages: Stages,
        evaluation: Evaluation | None,
        *,
        keep_texts: bool,
        seed: int,
        label_levels: str | None = None,
    ) -> None:
        self._data, self._stages, self._evaluation = data, stages, evaluation
        self._keep_texts, self._seed, self._label_levels = keep_texts, seed, label_levels

    @property
    def num_rows_to_embed(self) -> int:
        """The number of training rows that `embed` embeds: all, unless the evaluation has done that."""
        evaluated = self._evaluation is not None and self._evaluation.reference is not None
        return 0 if evaluated else len(self._data.train)

    def seconds_to_fit(self, dims: Sequence[int]) -> float:
        """Estimate the seconds of `fit`. `dims` are those of the embeddings after the head and, with one, before it."""
        num_labels = len(np.unique(labels_of(self._data.train, "label", "the training data")[0]))
        evaluated = self._evaluation is not None and self._data.held_out_rows is not None
        held_out = evaluated or len(self._stages.validation) > 0
        return seconds_to_fit(len(self._data.train), num_labels, dims, held_out=held_out)

    def embed(self, encoder: RememberingEncoder, *, show_progress_bar: bool) -> None:
        """Embed the training rows, unless the evaluation has done that. All processes must call it."""
        if self.num_rows_to_embed:
            encoder.encode(self._data.train["sentence"][:], show_progress_bar=show_progress_bar)

    def fit(self, encoder: RememberingEncoder, model: SentenceTransformer) -> LabelClassifier | None:
        """Return the fitted classifier; None, with a warning, if it cannot be fitted. The model is saved anyway.

        The held-out rows calibrate it, or else the rows that chose the best state. They join the training rows then.

        Args:
            encoder: the encoder after the last evaluation, and after `embed`.
            model: the trained model.
        """
        try:
            return self._fit(encoder, model)
        except Exception as error:  # A trained model is worth more than its classifier.
            emit_warning(
                WarningKind.NO_CLASSIFIER,
                f"the model is saved without a classifier, which cannot be fitted: {type(error).__name__}: {error}",
            )
            return None

    def _fit(self, encoder: RememberingEncoder, model: SentenceTransformer) -> LabelClassifier:
        data = self._data
        labels = label_values(data.train)
        everything = replace(
            embedded_rows(data.train, encoder.calls[-1], np.asarray(data.train_rows)),
            num_source_rows=data.num_source_rows,
        )
        rows = np.arange(len(labels))
        calibration, calibration_labels = _unseen(model, *self._held_out(encoder, set(labels)))
        if calibration is None and len(self._stages.validation):
            validation = self._stages.validation
            rows = self._stages.kept(len(labels))
            calibration, calibration_labels = _unseen(
                model, everything.select(validation), [labels[row] for row in validation]
            )
        if calibration is None:
            logger.info(
                "no labelled row was held out from the training, so the confidences of the classifier may be too high, "
                "and it promises no precision; "
                + ("hold rows out with eval_fraction, or " if self._evaluation is None else "")
                + "fit it again with calibration data"
            )
        classifier = LabelClassifier(
            model, keep_texts=self._keep_texts, random_state=self._seed, label_levels=self._label_levels
        )
        return classifier.fit_embedded(
            everything.select(rows), [labels[row] for row in rows], calibration, calibration_labels, seen=1.0
        )

    def _held_out(self, encoder: RememberingEncoder, known: set[Any]) -> tuple[Embedded | None, list[Any]]:
        """Return the evaluation rows with a label of the training rows, if they were held out from the same data."""
        evaluation, held_out_rows = self._evaluation, self._data.held_out_rows
        if evaluation is None or held_out_rows is None:
            return None, []
        numbers = np.asarray(held_out_rows)[evaluation.query_rows]
        labels = label_values(evaluation.queries)
        rows = [row for row, label in enumerate(labels) if label in known]
        if not rows:
            return None, []
        return embedded_rows(evaluation.queries, encoder.calls[0], numbers).select(rows), [labels[row] for row in rows]


def _unseen(
    model: SentenceTransformer, held_out: Embedded | None, labels: list[Any]
) -> tuple[Embedded | None, list[Any]]:
    """Return the held-out rows that the encoder was not trained on in an earlier run, with their labels."""
    if held_out is None:
        return None, []
    seen = seen_rows(model, held_out.texts)
    if seen is None:
        logger.info("whether an earlier run trained the encoder on the held-out rows is not known")
        return None, []
    if not seen.any():
        return held_out, labels
    logger.info(
        f"{seen.sum():,} of {len(seen):,} held-out rows do not calibrate the classifier: the encoder was trained on "
        "them in an earlier run"
    )
    kept = np.flatnonzero(~seen)
    return (held_out.select(kept), [labels[row] for row in kept]) if len(kept) else (None, [])


def embedded_rows(data: Dataset, embeddings: tuple[Tensor, Tensor | None], numbers: np.ndarray) -> Embedded:
    """Return the rows of a data set as a classifier takes them.

    Args:
        data: the n rows, with the column `sentence`.
        embeddings: their embeddings, a call of `RememberingEncoder`.
        numbers: the number of each row in its file `(n,)`.
    """
    texts = data["sentence"][:]
    return Embedded(spaces=spaces(*embeddings), keys=text_keys(texts), texts=texts, numbers=torch.from_numpy(numbers))
