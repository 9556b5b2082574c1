"""A run to report that needs no training, text that must not become markup, and a reader of pages."""

import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import torch

from tercet.catalogue import CLASSIFIERS
from tercet.comparison.recommendation import recommend, summarize
from tercet.decisions.judged_decisions import ChosenLimits, JudgedDecisions
from tercet.decisions.promise import measure
from tercet.decisions.results import reason_of
from tercet.evaluation.gain import Predictions, training_gain
from tercet.records import (
    BaselineRecord,
    ClassifierScores,
    ComparisonRecord,
    EncoderScores,
    EvaluationRecord,
    PairedDifference,
    RunRecord,
    TrainingGain,
    TrialRecord,
)
from tercet.report.evaluated_sentences import EvaluatedSentences

BEFORE, AFTER = {"recall@1": 0.5, "map@r": 0.25}, {"recall@1": 0.75, "map@r": 0.5}
RECORD = RunRecord(
    evaluation={"among_themselves": EvaluationRecord(before=BEFORE, after=AFTER)},
    settings={"loss": "batch-semi-hard", "margin": 0.3, "distance": "euclidean", "data": "x.csv", "seed": None},
    tercet_version="0.0",
)
LOG = [
    {"loss": 0.3, "active_fraction": 0.9, "anchors_without_triplet": 0.0, "positive_distance": 0.8,
     "negative_distance": 1.0, "epoch": 0.5, "step": 10},
    {"eval_map@r": 0.4, "eval_recall@1": 0.6, "step": 15},
    {"loss": 0.1, "active_fraction": 0.4, "anchors_without_triplet": 0.0, "positive_distance": 0.5,
     "negative_distance": 1.2, "epoch": 1.0, "step": 20},
    {"train_runtime": 3.0, "step": 30},
]  # fmt: skip
NASTY = [
    "<script>alert(1)</script>", "</script><b>", "<!-- x", "]]>", "a & b &lt; c", "\"quotes\" and 'quotes'",
    "two\nlines\u2028and three\x00\x07", "%{x} ${y}", "<a href='javascript:alert(1)'>x</a>", "\ud800", "", "   ",
]  # fmt: skip


def evaluated(sentences, labels, dim=8, seed=0):
    """Return sentences with embeddings in groups by label, which training draws together."""
    generator = torch.Generator().manual_seed(seed)
    label_names, label_ids = np.unique(labels, return_inverse=True)
    centres = torch.randn(label_ids.max() + 1, dim, generator=generator)[torch.from_numpy(label_ids)]
    noise = torch.randn(len(labels), dim, generator=generator)
    before, after = (torch.nn.functional.normalize(centres + s * noise, dim=1) for s in (1.0, 0.3))
    return EvaluatedSentences(
        sentences=sentences, label_ids=label_ids, label_names=label_names.tolist(), before=before, after=after
    )


def classified(labels, rows=20, seed=0):
    """Return a record with a gain, and predictions for `rows` sentences of each label, in which some labels fail."""
    rng = np.random.default_rng(seed)
    label_ids = np.repeat(np.arange(len(labels)), rows)

    def predictions(wrong):
        # The first labels are wrong most often, and are taken for the next label.
        fails = rng.random(len(label_ids)) < wrong / (1 + label_ids)
        predicted = np.where(fails, (label_ids + 1) % len(labels), label_ids)
        return Predictions(
            label_names=labels, label_ids=label_ids, predicted=dict.fromkeys(CLASSIFIERS, predicted),
            average_precision=rng.random(len(label_ids)), found_in_10=np.ones(len(label_ids)), most_frequent=0,
        )  # fmt: skip

    before, after = predictions(0.9), predictions(0.5)
    return replace(RECORD, gain=training_gain(before, after)), after


def decided(labels, rows=20, seed=0, *, unknown=(), max_novelty=None, min_precision=0.9, sentences=None):
    """Return decisions about `rows` sentences of each label, in which the first labels fail most often.

    Labels in `unknown` have as many sentences, and the classifier does not know them.
    """
    rng = np.random.default_rng(seed)
    names = [*labels, *unknown]
    label_ids = np.repeat(np.arange(len(names)), rows)
    confidence, novelty = rng.random(len(label_ids)), rng.random(len(label_ids))
    other = (label_ids + 1) % len(labels)
    correct = (label_ids < len(labels)) & (rng.random(len(label_ids)) < confidence ** (1 / (1 + label_ids)))
    allowed = np.ones(len(label_ids), bool) if max_novelty is None else novelty <= max_novelty
    threshold = 0.4
    answered = allowed & (confidence >= threshold)
    limits = {"threshold": threshold, "min_precision": min_precision, "max_novelty": max_novelty}
    promise = measure(confidence, correct, allowed, answered, **limits)
    return JudgedDecisions(
        source="the evaluation rows", limits=ChosenLimits(promise=promise), label_names=names, num_known=len(labels),
        label_ids=label_ids, predicted_ids=np.where(correct, label_ids, other),
        runner_up_ids=np.where(correct, other, label_ids % len(labels)), confidence=confidence, novelty=novelty,
        reasons=[reason_of(*pair) for pair in zip(confidence >= threshold, allowed, strict=True)],
        rows=1000 + np.arange(len(label_ids)),
        sentences=sentences or [f"sentence number {number}" for number in range(len(label_ids))],
    )  # fmt: skip


class Tags(HTMLParser):
    """The tags of a page by number, and its text outside of scripts."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.words, self.attributes, self._script = {}, [], [], False
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags[tag] = self.tags.get(tag, 0) + 1
        self.attributes += attrs
        self._script = tag == "script"

    def handle_endtag(self, tag):
        self._script = self._script and tag != "script"

    def handle_data(self, data):
        if not self._script:
            self.words.append(data)


def titles(text):
    """Return the headings of the sections of a page."""
    return re.findall(r"<h2[^>]*>([^<]*)</h2>", text)


def gain(before=0.8, after=0.9):
    """Return a gain of training with an invented interval."""
    untouched, trained = (
        EncoderScores(
            map_at_r=value / 2,
            classifiers={key: ClassifierScores(accuracy=value, macro_f1=value) for key in CLASSIFIERS},
        )
        for value in (before, after)
    )
    return TrainingGain(
        rows=20, labels=4, most_frequent_accuracy=0.25, untouched=untouched, trained=trained,
        accuracy=PairedDifference(difference=after - before, low=0.02, high=0.18),
        map_at_r=PairedDifference(difference=(after - before) / 2, low=0.01, high=0.09),
        outcome="worth it", sentence="Training was worth it: an invented gain.",
    )  # fmt: skip


def comparison(models=("a", "b"), nasty=""):
    """Return the record of a finished comparison of two encoders, with three seeds and one failed run."""
    runs = []
    for at, model in enumerate(models):
        for seed in range(3):
            value = 0.5 + 0.2 * at + 0.01 * seed
            run = TrialRecord(
                variant=f"{model}{nasty}, epochs 2", loss="batch-all", margin=0.3, distance="euclidean", model=model,
                settings={"epochs": 2.0}, seed=seed, budget_steps=20, seconds=5.0 + 30 * at, seconds_per_step=0.25,
                before={"map@r": 0.4 + 0.1 * at}, metrics={"map@r": value, "recall@1": value}, best_step=8, steps=12,
                gain=gain(after=0.9 + seed / 100),
                map_at_r_by_step={"4": value - 0.1, "8": value, "12": value - 0.05}, peak_memory_mib=500.0,
                warnings=[{"kind": "other", "message": f"mind the gap{nasty}"}],
            )  # fmt: skip
            runs.append(run)
    failed = TrialRecord(variant=runs[0].variant, loss="batch-all", margin=0.3, distance="euclidean", model=models[0],
                         seed=3, failed=f"out of memory{nasty}")  # fmt: skip
    runs.append(failed)
    names = list(dict.fromkeys(run.variant for run in runs))
    return ComparisonRecord(
        settings={"model": list(models), "data": "x.csv", "seeds": [0, 1, 2, 3], "budget": {"epochs": 2.0},
                  "eval_fraction": 0.2},
        data={"train": {"rows": 80, "labels": 4}, "eval": {"rows": 20, "labels": 4}},
        environment={"tercet": "0.0", "device": "CPU"},
        baselines=[
            BaselineRecord(model=model, start=model, metrics={"map@r": 0.4}, scores=gain().untouched)
            for model in models
        ],
        runs=runs, summary=summarize(runs, names), recommendation=recommend(runs, names, names[0]), finished=True,
    )  # fmt: skip
