"""The report of a training run: what was learnt, where it helped, and where not.

history of the trainer, embeddings before and after, sentences and labels  →  sections  →  one HTML file
"""

import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tercet.encoder.card import METRIC_NAMES
from tercet.report import plots as figures
from tercet.report.neighbours import (
    Neighbourhood,
    confused_pairs,
    hardest_triplets,
    neighbourhood,
    numbered,
    recall_per_label,
    sample_distances,
)
from tercet.report.page import Code, Maps, Part, Section, Table, write_page
from tercet.report.projection import lay_out
from tercet.report.text import labelled

_ON_MAP = 2000
_LABELS_ON_MAP = 200
_PAIRS = 20_000
_CONFUSED = 20
_HARDEST = 20
_LABELS_SHOWN = 30
_LABELS_LISTED = 500
_FIGURES = frozenset({1, 2, 3})


@dataclass(frozen=True)
class Measured:
    """The sentences that a run was measured on, with their embeddings before and after, `(sentences, dim)` each."""

    sentences: Sequence[str]
    labels: Sequence[str]
    before: Tensor
    after: Tensor


def write_run_report(
    path: Path,
    metrics: Mapping[str, Any],
    log: Sequence[Mapping[str, Any]],
    measured: Measured | None,
    *,
    command: str = "",
    missing: str = "",
    title: str = "Training report",
) -> None:
    """Write the report of a run as one HTML file.

    Args:
        metrics: what stands in metrics.json.
        log: `trainer.state.log_history`.
        measured: None leaves out what needs labelled sentences.
        command: what repeats the run.
        missing: why `measured` is None.
    """
    sections = [Section("Did it help?", _verdict(metrics, log)), Section("Training", _curves(log, metrics["warnings"]))]
    if measured is None:
        sections.append(Section("Sentences and labels", [missing or "Nothing was held out to measure on."]))
    else:
        sections += _sections_of(measured, metrics["settings"])
    sections.append(Section("To repeat the run", _settings(metrics, command)))
    write_page(path, title, sections)


def _verdict(metrics: Mapping[str, Any], log: Sequence[Mapping[str, Any]]) -> list[Part]:
    before, after = metrics["before"], metrics["after"]
    if not before or not after:
        return ["Nothing was held out to measure on, so there is no saying."]
    titles = {name: METRIC_NAMES.get(name, name) for name in after}
    rows = [
        [title, f"{before[name]:.4f}", f"{after[name]:.4f}", f"{after[name] - before[name]:+.4f}"]
        for name, title in titles.items()
    ]
    shares = {name: title for name, title in titles.items() if "mean_" not in name}
    return [
        _headline(before, after),
        Table("Held-out sentences, by cosine similarity", ["metric", "before", "after", "change"], rows, _FIGURES),
        figures.metric_curves(log, before, after, shares),
    ]


def _headline(before: Mapping[str, float], after: Mapping[str, float]) -> str:
    name = "map@r" if "map@r" in after else next(iter(after))
    change = after[name] - before[name]
    verb = "rose" if change > 0 else "fell" if change < 0 else "stayed as it was"
    values = f"from {before[name]:.4f} to {after[name]:.4f}" if change else f"at {after[name]:.4f}"
    return (
        f"{METRIC_NAMES.get(name, name)} {verb}, {values}. One run cannot tell how much of that is chance; "
        "tercet compare can."
    )


def _curves(log: Sequence[Mapping[str, Any]], warnings: Sequence[Mapping[str, str]]) -> list[Part]:
    warned: list[Part] = [f"Warning: {warning['message']}" for warning in warnings]
    if not any("loss" in entry for entry in log):
        return [*warned, "The run was too short for an entry in the log."]
    return [
        *warned,
        "Of the triplets that the loss chose, the share active is those that still have a loss: near 0 there is "
        "nothing left to learn, near 1 throughout the margin is out of reach. Distances to positives and to negatives "
        "should move apart.",
        figures.training_curves(log),
    ]


def _sections_of(measured: Measured, settings: Mapping[str, Any]) -> list[Section]:
    label_ids, names = numbered(measured.labels)
    distance = settings["distance"]
    margin = None if settings["loss"] == "batch-hard-soft-margin" else settings["margin"]
    # By cosine, as the metrics are, so that recall per label is recall@1 taken apart.
    before, after = (neighbourhood(x, label_ids, "cosine") for x in (measured.before, measured.after))
    at_the_end = after if distance == "cosine" else neighbourhood(measured.after, label_ids, distance)
    return [
        Section("Distances", _distances(measured, label_ids, distance, margin)),
        Section("Map", _maps(measured, label_ids)),
        Section("Recall per label", _recall(before, after, label_ids, names)),
        Section("Labels taken for each other", _confused(after, label_ids, names, measured.sentences)),
        Section(
            "The hardest triplets at the end",
            _hardest(at_the_end, measured, distance, margin),
        ),
    ]


def _distances(measured: Measured, label_ids: np.ndarray, distance: str, margin: float | None) -> list[Part]:
    before, after = (sample_distances(x, label_ids, distance, _PAIRS) for x in (measured.before, measured.after))
    drawn = (
        "The grey band is the margin, from the mean positive distance on: negatives beyond it are far enough."
        if margin is not None else "The soft margin has no fixed width, so none is drawn."
    )  # fmt: skip
    if not len(after[0]) or not len(after[1]):
        return ["There are no pairs to compare: it takes two held-out sentences of one label, and one of another."]
    return [
        f"{_PAIRS:,} random pairs of held-out sentences of one label, and as many of two. {drawn}",
        figures.distance_histograms(before, after, margin=margin, distance=distance),
    ]


def _sample(label_ids: np.ndarray) -> tuple[np.ndarray, str]:
    """The rows to draw on a map, and what they are: more labels or sentences than some hundreds no eye can follow."""
    sizes = np.bincount(label_ids)
    largest = np.sort(np.argsort(-sizes, kind="stable")[:_LABELS_ON_MAP])
    rows = np.flatnonzero(np.isin(label_ids, largest))
    of_labels = f" of the {_LABELS_ON_MAP} largest of {len(sizes):,} labels" if len(sizes) > _LABELS_ON_MAP else ""
    if len(rows) <= _ON_MAP:
        return rows, f"{len(rows):,} sentences{of_labels}"
    drawn = np.sort(np.random.default_rng(0).choice(rows, _ON_MAP, replace=False))
    return drawn, f"{_ON_MAP:,} of {len(rows):,} sentences{of_labels}, drawn at random"


def _maps(measured: Measured, label_ids: np.ndarray) -> list[Part]:
    rows, shown = _sample(label_ids)
    sentences, labels = ([part[row] for row in rows.tolist()] for part in (measured.sentences, measured.labels))
    start = lay_out(measured.before[rows])
    end = lay_out(measured.after[rows], like=start)
    maps = [figures.embedding_map(p, labels, sentences, title) for p, title in ((start, "Before"), (end, "After"))]
    maps[0].update_layout(showlegend=False)
    return [
        f"t-SNE of {shown}; the second map starts from the first. Nearness means something here, distances between far "
        "groups do not. Point at a sentence to read it; pick a label in the legend or in the list to see it alone.",
        Maps(maps, sorted(set(labels))),
    ]


def _recall(before: Neighbourhood, after: Neighbourhood, label_ids: np.ndarray, names: Sequence[str]) -> list[Part]:
    earlier = {found.label: found.recall for found in recall_per_label(before, label_ids)}
    found = recall_per_label(after, label_ids)
    if not found:
        return ["No label has two held-out sentences."]
    labels = [names[label.label] for label in found]
    rows = [
        [name, f"{label.sentences:,}", f"{earlier[label.label]:.1%}", f"{label.recall:.1%}"]
        for name, label in zip(labels[:_LABELS_LISTED], found, strict=False)
    ]
    title = f"All {len(found)} labels" if len(rows) == len(found) else f"The {len(rows)} worst of {len(found):,} labels"
    most = f"the {_LABELS_SHOWN} worst of {len(found)} labels" if len(found) > _LABELS_SHOWN else "all labels"
    changes = [label.recall - earlier[label.label] for label in found]
    up, down = sum(change > 0 for change in changes), sum(change < 0 for change in changes)
    return [
        f"The share of sentences whose nearest other sentence has their label; it rose for {up:,} and fell for "
        f"{down:,} of {len(found):,} labels. Shown: {most}, the worst first.",
        figures.recall_of_labels(
            labels, [label.recall for label in found], [earlier[label.label] for label in found], _LABELS_SHOWN
        ),
        Table(title, ["label", "sentences", "before", "after"], rows, _FIGURES, True),
    ]


def _confused(
    after: Neighbourhood, label_ids: np.ndarray, names: Sequence[str], sentences: Sequence[str]
) -> list[Part]:
    pairs = confused_pairs(after, label_ids)
    if not pairs:
        return ["After training no sentence has its nearest neighbour under another label."]
    rows = []
    for (a, b), found in pairs[:_CONFUSED]:
        for at, (row, other) in enumerate(found[:3]):
            pair = [f"{names[a]} / {names[b]}", f"{len(found):,}"] if at == 0 else ["", ""]
            rows.append([*pair, *(labelled(sentences[i], names[label_ids[i]]) for i in (row, other))])
    caption = f"{min(_CONFUSED, len(pairs))} of {len(pairs):,} pairs of labels, up to three sentences each"
    columns = ["labels", "sentences", "sentence", "its nearest"]
    return [
        "Sentences whose nearest neighbour after training has another label. Labels that people cannot tell apart "
        "either are best merged.",
        Table(caption, columns, rows, frozenset({1})),
    ]


def _hardest(after: Neighbourhood, measured: Measured, distance: str, margin: float | None) -> list[Part]:
    triplets = hardest_triplets(after, _HARDEST)
    if not triplets:
        return ["There is no triplet: it takes two sentences of one label and one of another."]
    rows = []
    for found in triplets:
        texts = (
            labelled(measured.sentences[row], measured.labels[row])
            for row in (found.anchor, found.positive, found.negative)
        )
        rows.append([f"{found.gap if margin is None else max(0.0, found.gap + margin):.3f}", *texts,
                     f"{found.positive_distance:.3f}", f"{found.negative_distance:.3f}"])  # fmt: skip
    loss = "d(a,p) − d(a,n)" if margin is None else f"loss at margin {margin:g}"
    columns = [loss, "anchor", "farthest of its label", "nearest of another", "d(a,p)", "d(a,n)"]
    return [
        f"Among all held-out sentences, by {distance} distance. Wrong labels gather here, so read these first.",
        Table(f"The {len(rows)} hardest, one an anchor", columns, rows, frozenset({0, 4, 5})),
    ]


def _settings(metrics: Mapping[str, Any], command: str) -> list[Part]:
    settings = [[name, str(value)] for name, value in metrics["settings"].items() if value is not None]
    parts: list[Part] = [Code(command)] if command else []
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU"
    return [
        *parts,
        Table("Settings", ["setting", "value"], settings),
        Table("Environment", ["", "version"], [
            ["tercet", str(metrics["tercet_version"])], ["torch", torch.__version__],
            ["transformers", version("transformers")], ["Python", platform.python_version()],
            ["platform", platform.platform()], ["device", f"{device}, {torch.get_num_threads()} threads"],
        ]),
    ]  # fmt: skip
