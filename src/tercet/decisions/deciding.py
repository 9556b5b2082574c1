"""Decide about sentences: their labels or "none of these", and the training sentences that speak for it."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tercet.decisions.back_off import steps_up
from tercet.decisions.drift import too_many_unfamiliar
from tercet.decisions.fitting import Fitted
from tercet.decisions.limit_values import NUM_EXPLAINED_NEIGHBOURS
from tercet.decisions.models import nearest_rows
from tercet.decisions.rejection import Limits, reasons_against
from tercet.decisions.results import Decisions, as_objects
from tercet.decisions.spaces import Spaces


def decide(
    fitted: Fitted, names: Sequence[Any], spaces: Spaces, log_p: Tensor, limits: Limits, *, top: int
) -> Decisions:
    """Return the decisions about n sentences, without evidence.

    Args:
        fitted: the fitted classifier.
        names: the labels, by label id.
        spaces: the embeddings of the sentences.
        log_p: the log-probability of each label `(n, num_labels)`.
        limits: what an answer needs.
        top: the number of likeliest labels to return.
    """
    ids = _likeliest(log_p, min(top, len(names)))
    probabilities = log_p.gather(1, ids).exp().numpy()
    novelty = fitted.novelty(spaces, ids[:, 0])
    confidence = probabilities[:, 0]
    reasons = reasons_against(confidence, novelty, limits.lowest(ids[:, 0].numpy()), limits.max_novelty)
    top_labels = as_objects([names[label_id] for label_id in ids.flatten().tolist()]).reshape(ids.shape)
    levels: dict[str, np.ndarray] = {}
    given = list(top_labels[:, 0])
    ancestors = fitted.ancestors
    if limits.of_ancestors and ancestors is not None:
        predicted = ids[:, 0].numpy()
        # A label that was added may have more levels than those that have thresholds.
        of_ancestors = ancestors.confidence(log_p, predicted)[: len(limits.of_ancestors)]
        steps = steps_up(of_ancestors, limits.of_ancestors, reasons)
        levels = {"levels_left_out": steps, "parent_confidence": np.full(len(steps), np.nan)}
        for row in np.flatnonzero(steps).tolist():
            given[row] = ancestors.names[ancestors.of_label[steps[row] - 1, predicted[row]]]
            levels["parent_confidence"][row] = of_ancestors[steps[row] - 1, row]
            reasons[row] = None
    labels = as_objects([None if reason else label for reason, label in zip(reasons, given, strict=True)])
    num_calibration_rows = len(fitted.calibration.confidence)
    return Decisions(
        labels=labels,
        predicted=top_labels[:, 0],
        confidence=confidence,
        novelty=novelty,
        reasons=reasons,
        top_labels=top_labels,
        top_probabilities=probabilities,
        unfamiliar=fitted.calibration.unseen and too_many_unfamiliar(novelty, num_calibration_rows),
        **levels,
    )


def with_evidence(
    decisions: Decisions,
    fitted: Fitted,
    names: Sequence[Any],
    embeddings: Tensor,
    *,
    numbers: Tensor,
    texts: Sequence[str | None] | None,
) -> Decisions:
    """Return the decisions about n sentences with their three nearest training rows.

    Args:
        decisions: what `decide` returned.
        fitted: the fitted classifier.
        names: the labels, by label id.
        embeddings: the embeddings of the sentences `(n, dim)`.
        numbers: the number of each training row in the data of `fit`.
        texts: the texts of the training rows; None if they were not kept.
    """
    rows = fitted.rows
    similarity, found = nearest_rows(rows.spaces.embeddings, embeddings, NUM_EXPLAINED_NEIGHBOURS)
    of_found = None
    if texts is not None:
        of_found = as_objects([texts[row] for row in found.flatten().tolist()]).reshape(found.shape)
    labels = [names[label_id] for label_id in rows.label_ids[found].flatten().tolist()]
    return replace(
        decisions,
        neighbours=numbers[found].numpy(),
        neighbour_labels=as_objects(labels).reshape(found.shape),
        neighbour_similarities=similarity.double().numpy(),
        neighbour_texts=of_found,
    )


def _likeliest(log_probabilities: Tensor, top: int) -> Tensor:
    """Return the ids of the likeliest labels `(n, top)`. The first is that of `argmax`, which `predict` returns."""
    first = log_probabilities.argmax(dim=1, keepdim=True)
    others = log_probabilities.scatter(1, first, -torch.inf).topk(top - 1, dim=1).indices
    return torch.cat([first, others], dim=1)
