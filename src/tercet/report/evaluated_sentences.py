"""The labelled sentences on which a run was evaluated, as sections of its report."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from tercet._multi_labels import number_label_sets
from tercet._nested_labels import margins_of_levels, num_levels
from tercet.catalogue import LOSSES
from tercet.report import plots
from tercet.report.neighbours import (
    LabelRecall,
    Neighbourhood,
    confused_pairs,
    find_neighbourhood,
    hardest_triplets,
    recall_per_label,
    recall_per_shared_label,
    sample_distances,
    shared_labels,
)
from tercet.report.page import Maps, Part, Section
from tercet.report.page_table import Table
from tercet.report.projection import MIN_ROWS, project
from tercet.report.text import with_label

# The maximum number of points and of labels on a map; more cannot be distinguished.
_MAX_POINTS = 2000
_MAX_LABELS_ON_MAP = 200
_NUM_PAIRS = 20_000
_MAX_CONFUSED = 20
_MAX_TRIPLETS = 20
_MAX_LABELS_PLOTTED = 30
_MAX_LABELS_LISTED = 500


@dataclass(frozen=True, kw_only=True)
class EvaluatedSentences:
    """The n labelled sentences on which a run was evaluated, with their embeddings.

    Attributes:
        sentences: the n texts.
        label_ids: the label ids `(n,)`, indices into `label_names`.
        label_names: the names of the labels, including labels without an evaluated sentence.
        before: the embeddings `(n, dim)` before training.
        after: the embeddings `(n, dim)` after training.
        rows: the number of each sentence in its file, from 0, which the report shows if it leaves the texts out; None
            counts the sentences.
        multi_label: the separator of the labels in `label_names`, if sentences have several; None if they have one.
    """

    sentences: Sequence[str]
    label_ids: np.ndarray
    label_names: Sequence[str]
    before: Tensor
    after: Tensor
    rows: Sequence[int] | None = None
    multi_label: str | None = None

    def with_label(self, row: int) -> str:
        """Return the sentence of a row and its label as one line of text."""
        return with_label(self.sentences[row], self.label_names[self.label_ids[row]])


def evaluated_sections(evaluated: EvaluatedSentences, settings: Mapping[str, Any], *, texts: bool) -> list[Section]:
    """Return the sections about labelled sentences: distances, maps, recall, confused labels, hardest triplets."""
    label_ids, distance = evaluated.label_ids, settings["distance"]
    sets, names = number_label_sets(evaluated.label_names, evaluated.multi_label)
    several = evaluated.multi_label is not None
    labels = shared_labels(label_ids, sets) if several else label_ids
    loss = LOSSES.get(settings["loss"])
    margin = settings["margin"] if loss is None or loss.has_margin else None
    without_margin = "Nothing was trained" if settings["loss"] is None else "The loss has no margin"
    if margin is not None and settings.get("label_levels") is not None:  # The complete labels are the finest level.
        margin = margins_of_levels(margin, num_levels(evaluated.label_names, settings["label_levels"]))[-1]
    # Use the cosine distance of the metrics, so that the recall per label is consistent with recall@1.
    before, after = (find_neighbourhood(x, labels, "cosine") for x in (evaluated.before, evaluated.after))
    by_distance = after if distance == "cosine" else find_neighbourhood(evaluated.after, labels, distance)
    if several:  # Maps and confused labels show one label of a sentence.
        of_rows = [sets[label_id] for label_id in label_ids.tolist()]
        first, last = (recall_per_shared_label(part, of_rows) for part in (before, after))
        return [
            Section("Recall per label", _recall(first, last, names)),
            Section("The hardest triplets at the end", _hardest(by_distance, evaluated, distance, margin)),
        ]
    first, last = (recall_per_label(part, label_ids) for part in (before, after))
    return [
        Section("Distances", _distances(evaluated, distance, margin, without_margin)),
        Section("Map", _maps(evaluated, texts=texts)),
        Section("Recall per label", _recall(first, last, evaluated.label_names)),
        Section("Confused labels", _confused(after, evaluated)),
        Section("The hardest triplets at the end", _hardest(by_distance, evaluated, distance, margin)),
    ]


def _distances(evaluated: EvaluatedSentences, distance: str, margin: float | None, without_margin: str) -> list[Part]:
    before, after = (
        sample_distances(x, evaluated.label_ids, distance, _NUM_PAIRS) for x in (evaluated.before, evaluated.after)
    )
    band = (
        "The grey band has the width of the margin and starts at the mean distance to positives. Negatives to the "
        "right of the band satisfy the margin for a positive at that mean distance."
        if margin is not None
        else f"{without_margin}, so no band is drawn."
    )
    if not len(after[0]) or not len(after[1]):
        return ["There are no pairs to compare: one label needs two held-out sentences, and another label needs one."]
    return [
        f"{_NUM_PAIRS:,} random pairs of held-out sentences of the same label, and as many of different labels. {band}",
        plots.distance_histograms(before, after, margin=margin, distance=distance),
    ]


def _sample(label_ids: np.ndarray) -> tuple[np.ndarray, str]:
    """Return the rows to draw on the map (all, or a sample if there are many), and a description of them."""
    sizes = np.bincount(label_ids)
    num_labels = np.count_nonzero(sizes)
    largest = np.sort(np.argsort(-sizes, kind="stable")[:_MAX_LABELS_ON_MAP])
    rows = np.flatnonzero(np.isin(label_ids, largest))
    which = f" of the {_MAX_LABELS_ON_MAP} largest of {num_labels:,} labels" if num_labels > _MAX_LABELS_ON_MAP else ""
    if len(rows) <= _MAX_POINTS:
        return rows, f"{len(rows):,} sentences{which}"
    drawn = np.sort(np.random.default_rng(0).choice(rows, _MAX_POINTS, replace=False))
    return drawn, f"{_MAX_POINTS:,} of {len(rows):,} sentences{which}, drawn at random"


def _maps(evaluated: EvaluatedSentences, *, texts: bool) -> list[Part]:
    rows, description = _sample(evaluated.label_ids)
    sentences, label_ids = [evaluated.sentences[row] for row in rows.tolist()], evaluated.label_ids[rows]
    before = project(evaluated.before[rows])
    after = project(evaluated.after[rows], aligned_to=before)
    maps = [
        plots.embedding_map(points, label_ids, evaluated.label_names, sentences, title)
        for points, title in ((before, "Before"), (after, "After"))
    ]
    maps[0].update_layout(showlegend=False)
    method = (
        f"t-SNE of {description}. The map after training is initialized with the map before training. Points that are "
        "close to each other have similar embeddings. Distances between groups that are far apart have no meaning. "
        if len(rows) >= MIN_ROWS
        else f"{description}, too few for t-SNE: each map shows the first two principal components. "
    )
    return [
        f"{method}Hover over a point to read its {'sentence' if texts else 'row number'}. "
        "Select a label in the legend or in the list to highlight it.",
        Maps(maps, [evaluated.label_names[label_id] for label_id in np.unique(label_ids)]),
    ]


def _recall(before: list[LabelRecall], found: list[LabelRecall], label_names: Sequence[str]) -> list[Part]:
    earlier = {label.label_id: label.recall for label in before}
    if not found:
        return ["No label has two held-out sentences."]
    names = [label_names[label.label_id] for label in found]
    rows = [
        [name, f"{label.sentences:,}", f"{earlier[label.label_id]:.1%}", f"{label.recall:.1%}"]
        for name, label in zip(names[:_MAX_LABELS_LISTED], found, strict=False)
    ]
    title = f"All {len(found)} labels" if len(rows) == len(found) else f"The {len(rows)} worst of {len(found):,} labels"
    shown = (
        f"the {_MAX_LABELS_PLOTTED} worst of {len(found)} labels" if len(found) > _MAX_LABELS_PLOTTED else "all labels"
    )
    changes = [label.recall - earlier[label.label_id] for label in found]
    up, down = sum(change > 0 for change in changes), sum(change < 0 for change in changes)
    return [
        "The recall@1 of a label is the fraction of its sentences whose nearest other sentence has the label too. "
        f"Of {len(found):,} labels with two or more sentences, it rose for {up:,} and fell for {down:,}. "
        f"The plot shows {shown}, the worst first, with the number of sentences after the name.",
        plots.recall_of_labels(
            names,
            [label.recall for label in found],
            [earlier[label.label_id] for label in found],
            _MAX_LABELS_PLOTTED,
            [label.sentences for label in found],
        ),
        Table(title, ["label", "sentences", "before", "after"], rows, frozenset({1, 2, 3}), folded=True),
    ]


def _confused(after: Neighbourhood, evaluated: EvaluatedSentences) -> list[Part]:
    pairs = confused_pairs(after, evaluated.label_ids)
    if not pairs:
        return ["After training, the nearest neighbour of every sentence has the same label."]
    names, rows = evaluated.label_names, []
    for (a, b), found in pairs[:_MAX_CONFUSED]:
        for at, (row, other) in enumerate(found[:3]):
            pair = [f"{names[a]} / {names[b]}", f"{len(found):,}"] if at == 0 else ["", ""]
            rows.append([*pair, evaluated.with_label(row), evaluated.with_label(other)])
    caption = f"{min(_MAX_CONFUSED, len(pairs))} of {len(pairs):,} pairs of labels, up to three sentences each"
    columns = ["labels", "sentences", "sentence", "nearest neighbour"]
    return [
        "These are sentences whose nearest neighbour after training has another label. If people cannot distinguish "
        "two labels either, merge the labels.",
        Table(caption, columns, rows, frozenset({1})),
    ]


def _hardest(found: Neighbourhood, evaluated: EvaluatedSentences, distance: str, margin: float | None) -> list[Part]:
    triplets = hardest_triplets(found, _MAX_TRIPLETS)
    if not triplets:
        return ["There is no triplet: one label needs two held-out sentences, and another label needs one."]
    rows = []
    for triplet in triplets:
        loss = triplet.gap if margin is None else max(0.0, triplet.gap + margin)
        texts = (evaluated.with_label(row) for row in (triplet.anchor, triplet.positive, triplet.negative))
        rows.append([f"{loss:.3f}", *texts, f"{triplet.positive_distance:.3f}", f"{triplet.negative_distance:.3f}"])
    name = "d(a,p) − d(a,n)" if margin is None else f"loss at margin {margin:g}"
    columns = [name, "anchor", "farthest positive", "nearest negative", "d(a,p)", "d(a,n)"]
    return [
        f"For each anchor, the triplet of its farthest positive and its nearest negative among the held-out sentences, "
        f"by {distance} distance after training. Wrong labels are frequent here, so check these labels first.",
        Table(f"The {len(rows)} hardest triplets, one per anchor", columns, rows, frozenset({0, 4, 5})),
    ]
