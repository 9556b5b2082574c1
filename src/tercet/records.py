"""Define the records that training runs and comparisons write as JSON files.

    metrics.json     RunRecord, written by `tercet train`, read by the report
    compare.json     ComparisonRecord, written by `tercet compare`: one TrialRecord per run, summary, recommendation
    tercet.json      contains a TrainingRecord, which the model card shows

`metrics.json` and `compare.json` have a format version; a file without one has version 1. `from_dict` converts files of
older versions. JSON has no NaN and no infinity, so `to_dict` of these two records writes None instead.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path, PurePath
from typing import Any, Literal

from tercet._nested_labels import ParentErrors
from tercet._version import __version__

# If a field is renamed or changes its meaning, increase the version and extend the conversion in `from_dict`.
RUN_FORMAT_VERSION = 3
COMPARISON_FORMAT_VERSION = 4

# Settings that were renamed: name in format 1 → name in format 2.
_RENAMED_SETTINGS = {"memory_size": "cross_batch_memory"}

Metrics = dict[str, float]


@dataclass(kw_only=True)
class RowCounts:
    """The number of rows of evaluation data that are measured, and of those that are left out, by reason.

    `rows` is the sum of `measured` and of the five reasons.

    Attributes:
        rows: the rows of the evaluation data.
        measured: the rows over which the metrics are averaged.
        overlapping: left out, because the training or reference data contain a copy of the text.
        copies: left out, because an earlier row has a copy of the text and the same label.
        unknown_labels: left out, because no training or reference row has the label.
        unpaired: left out, because no other evaluation row has the label. Only the protocol `among_themselves` needs a
            second row.
        equal_texts: left out, because two texts of the triplet are copies, so that no model can change the result.
        few_relevant: of the measured rows, those with fewer than 3 rows of their label to find. Of the 5 nearest rows
            that vote in `knn_accuracy`, these cannot be the majority.
        reference: the training or reference rows that are ranked; None if the evaluation rows are ranked.
    """

    rows: int
    measured: int
    overlapping: int = 0
    copies: int = 0
    unknown_labels: int = 0
    unpaired: int = 0
    equal_texts: int = 0
    few_relevant: int = 0
    reference: int | None = None

    @property
    def left_out(self) -> int:
        """The number of rows that are not measured."""
        return self.rows - self.measured

    def describe(self, reference: str = "the training data") -> str:
        """Return how many rows are measured, and why the others are left out, as one line."""
        reasons = {
            f"with a text that is in {reference}": self.overlapping,
            "that repeat an earlier text with the same label": self.copies,
            f"with a label that is not in {reference}": self.unknown_labels,
            "whose label has no other row": self.unpaired,
            "with a text twice in the triplet": self.equal_texts,
        }
        left_out = ", ".join(f"{count:,} {reason}" for reason, count in reasons.items() if count)
        measured = (
            f"{self.measured:,} of {self.rows:,} rows; left out: {left_out}"
            if left_out
            else f"{self.rows:,} row{'s' * (self.rows != 1)}"
        )
        if 2 * self.few_relevant <= self.measured:
            return measured
        return (
            f"{measured}. Do not use kNN accuracy here: {self.few_relevant:,} rows have fewer than 3 rows of their "
            "label to find, and 5 vote"
        )


@dataclass(kw_only=True)
class EvaluationRecord:
    """The metrics of a model before and after training, measured by one protocol.

    Attributes:
        before: the metrics before training; None if they are unknown.
        after: the metrics of the saved model; None if they are unknown.
        rows: the rows that were measured, and those that were left out; None if they were not recorded.
    """

    before: Metrics | None = None
    after: Metrics | None = None
    rows: RowCounts | None = None

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "EvaluationRecord":
        """Return the evaluation in a record. Ignore unknown fields."""
        known = _known_fields(cls, content)
        if known.get("rows") is not None:
            known["rows"] = RowCounts(**_known_fields(RowCounts, known["rows"]))
        return cls(**known)


@dataclass(kw_only=True)
class ClassifierScores:
    """The scores of a classifier of embeddings on the evaluation rows.

    Attributes:
        accuracy: the fraction of rows whose label is predicted.
        macro_f1: the mean F1 over the labels that are given or predicted.
    """

    accuracy: float
    macro_f1: float


@dataclass(kw_only=True)
class EncoderScores:
    """The scores of an encoder on the evaluation rows, against the training or reference rows.

    Attributes:
        map_at_r: MAP@R.
        classifiers: the scores by the key of the classifier in `tercet.catalogue.CLASSIFIERS`.
    """

    map_at_r: float
    classifiers: dict[str, ClassifierScores]

    @property
    def best(self) -> str:
        """The key of the classifier with the highest accuracy; of equal ones, the first."""
        return max(self.classifiers, key=lambda key: self.classifiers[key].accuracy)

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "EncoderScores":
        """Return the scores in a record. Ignore unknown fields."""
        classifiers = {
            key: ClassifierScores(**_known_fields(ClassifierScores, scores))
            for key, scores in content["classifiers"].items()
        }
        return cls(**{**_known_fields(cls, content), "classifiers": classifiers})


@dataclass(kw_only=True)
class PairedDifference:
    """The difference between two encoders on the same rows, trained − untouched, with a 95 % confidence interval.

    Attributes:
        difference: the difference on the evaluation rows.
        low: the lower end of the interval.
        high: the upper end of the interval.
    """

    difference: float
    low: float
    high: float


@dataclass(kw_only=True)
class TrainingGain:
    """The comparison of the trained with the untouched encoder: was the training worth it?

    Evaluation rows are classified by the training (or reference) rows. The best of the classifiers of one encoder is
    compared with the best of the other.

    Attributes:
        rows: the number of evaluation rows.
        labels: the number of labels of the training rows.
        most_frequent_accuracy: the accuracy of a classifier that always answers the most frequent training label.
        untouched: the scores of the untouched encoder.
        trained: the scores of the trained encoder.
        accuracy: the difference between the accuracies of the best classifier of each encoder. Its interval takes into
            account that the best classifiers were found on the same rows.
        map_at_r: the difference of MAP@R.
        outcome: `worth it`: the accuracy rose beyond noise. `no difference`: it did not change beyond noise. `worse`:
            it fell beyond noise. `already separated`: the untouched encoder classifies almost all rows correctly, and
            training changed that within noise. `at chance`: no classifier is better than the most frequent label.
        sentence: the outcome in words, with the numbers.
        fitted_rows: the number of training rows to which the logistic regression was fitted if there are too many for
            all of them, 0 if it was left out; None if it was fitted to all rows.
    """

    rows: int
    labels: int
    most_frequent_accuracy: float
    untouched: EncoderScores
    trained: EncoderScores
    accuracy: PairedDifference
    map_at_r: PairedDifference
    outcome: Literal["worth it", "no difference", "worse", "already separated", "at chance"]
    sentence: str
    fitted_rows: int | None = None

    @property
    def title(self) -> str:
        """The title of the table of scores."""
        return f"Was it worth it? {self.rows:,} evaluation sentences, classified by the training sentences"

    @property
    def note(self) -> str:
        """A note for the line below the table: how the classifiers were chosen and fitted."""
        fitted = {None: "", 0: " The logistic regression is left out: there are too many labels for it."}.get(
            self.fitted_rows, f" The logistic regression is fitted to a sample of {self.fitted_rows or 0:,} sentences."
        )
        return (
            "The best classifier of each encoder is chosen on the evaluation sentences; the interval takes that into "
            f"account.{fitted}"
        )

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "TrainingGain":
        """Return the comparison in a record. Ignore unknown fields."""
        known = _known_fields(cls, content)
        for key in ("untouched", "trained"):
            known[key] = EncoderScores.from_dict(known[key])
        for key in ("accuracy", "map_at_r"):
            known[key] = PairedDifference(**_known_fields(PairedDifference, known[key]))
        return cls(**known)


@dataclass(kw_only=True)
class ClassifierRecord:
    """The choice of a classifier of labels, and its promises.

    Attributes:
        members: the names of the chosen classifiers, whose log-probabilities are averaged.
        accuracy: the accuracy of each candidate, and of the choice (`chosen`), on rows that it was not fitted to.
        basis: which rows these are.
        calibration_rows: their number.
        calibrated: whether the encoder was not trained on these rows either. Only then a precision is promised.
        rows: the number of training rows.
        labels: the number of labels.
        has_texts: whether the texts of the training rows are saved with the classifier.
        promises: for each of several precisions, the fields of a `tercet.decisions.Promise` and its `sentence`; empty
            if the classifier is not calibrated.
    """

    members: list[str]
    accuracy: dict[str, float]
    basis: str
    calibration_rows: int
    calibrated: bool
    rows: int
    labels: int
    has_texts: bool = False
    promises: list[dict[str, Any]] = field(default_factory=list)

    def describe(self) -> list[str]:
        """Return lines on the choice and the promises."""
        chosen = " and ".join(_in_words(name) for name in self.members)
        mean = " (the mean of their log-probabilities)" if len(self.members) > 1 else ""
        others = ", ".join(
            f"{_in_words(name)} {100 * value:.1f} %" for name, value in self.accuracy.items() if name != "chosen"
        )
        lines = [f"Classifier of {self.labels:,} labels from {self.rows:,} sentences: {chosen}{mean}"]
        if "chosen" in self.accuracy:
            lines.append(
                f"Accuracy {100 * self.accuracy['chosen']:.1f} % on {self.calibration_rows:,} {self.basis}"
                + ("" if self.calibrated else " (too high if the encoder was trained on them)")
                + (f"; {others}" if others else "")
            )
        return lines + [promise["sentence"] for promise in self.promises]


def _in_words(name: str) -> str:
    return name.replace("_", " ")


class _Evaluated:
    """The headline of a record with the field `evaluation`: the metrics by its first protocol."""

    evaluation: dict[str, EvaluationRecord]
    settings: dict[str, Any]

    @property
    def protocol(self) -> str | None:
        """The protocol of the headline, the first in `evaluation`; None if the model was not evaluated."""
        return next(iter(self.evaluation), None)

    @property
    def before(self) -> Metrics | None:
        """The metrics before training, by the protocol of the headline; None if the model was not evaluated."""
        return None if self.protocol is None else self.evaluation[self.protocol].before

    @property
    def after(self) -> Metrics | None:
        """The metrics of the saved model, by the protocol of the headline; None if the model was not evaluated."""
        return None if self.protocol is None else self.evaluation[self.protocol].after

    @property
    def gain_missing_reason(self) -> str:
        """The reason why it is unknown whether the training was worth it, for a record without `gain`."""
        reasons = {
            None: "nothing was held out for evaluation",
            "triplets": "triplets have no labels to classify",
            "among_themselves": "no label of the evaluation data is in the training data",
        }
        if self.protocol is not None and self.settings.get("multi_label") is not None:
            return "rows have several labels, and its classifiers give one"
        return reasons.get(self.protocol, "the record does not contain it")


@dataclass(kw_only=True)
class RunRecord(_Evaluated):
    """The content of `metrics.json`. Its properties `before` and `after` are the metrics of the headline.

    Attributes:
        evaluation: the metrics before and after training, by protocol (see `tercet.catalogue.PROTOCOLS`), the headline
            first: `against_reference`, then `among_themselves`; `triplets` for triplets. Empty if the model was not
            evaluated.
        gain: whether the training was worth it; None if no evaluation row could be classified by training rows.
        by_step: the metrics of each evaluation during training, by step. They are measured `among_themselves`, or on
            `triplets`.
        by_dimension: the metrics `against_reference` by the dimension of the vectors after a linear head, the largest
            first; empty unless a smaller dimension was asked for vectors.
        settings: the settings of the run by name, and the names of its data and its model.
        data: facts about the rows of `train` and `eval`: the number of `rows`, `labels` and `copies` (rows that repeat
            an earlier text), the `sha256` of all texts and labels, the number of `truncated_texts` (those with more
            tokens than `max_seq_length`), and the fraction of `unknown_tokens`. For `eval`, the last two are those of
            the measured rows (of the first process, if there are several), and `held_out_rows` are the numbers of the
            rows of the training file that were held out, from 0; null if there was a file for evaluation.
        choices: what the run chose and why: `head`, the settings of the linear head, null if there is none;
            `head_scores` of the candidates in cross-validation; the `reason` in a sentence; whether the encoder was
            trained (`trained_encoder`); the `time_limit`, which `settings` replaces by the number of steps; and
            `validation`, if the best state was chosen: the numbers of the `rows` of the training file that chose it,
            MAP@R by step, and `best_step`.
        classifier: how the classifier that is saved with the model was chosen, and what it promises; None without one.
        parents: for nested labels, the wrong predictions within and across parents, by the best classifier of `gain`;
            None for other labels.
        warnings: the warnings of the run, each with a `kind` (see `tercet._events.WarningKind`) and a `message`.
        run: the time of the start `started` (UTC), the `seconds` of the run with its evaluations, and those of its
            `parts`, the two evaluations together. Two runs with the same seed on the same machine differ only here.
        environment: the device that was used, the machine and the versions of the libraries.
        tercet_version: the version of Tercet that trained the model.
        format_version: the format version of the file.
    """

    evaluation: dict[str, EvaluationRecord] = field(default_factory=dict)
    gain: TrainingGain | None = None
    by_step: dict[str, Metrics] = field(default_factory=dict)
    by_dimension: dict[str, Metrics] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    data: dict[str, dict[str, Any]] = field(default_factory=dict)
    choices: dict[str, Any] = field(default_factory=dict)
    classifier: ClassifierRecord | None = None
    parents: list[ParentErrors] | None = None
    warnings: list[dict[str, str]] = field(default_factory=list)
    run: dict[str, Any] = field(default_factory=dict)
    environment: dict[str, Any] = field(default_factory=dict)
    tercet_version: str = __version__
    format_version: int = RUN_FORMAT_VERSION

    def to_dict(self) -> dict[str, Any]:
        """Return the record as JSON values."""
        content: dict[str, Any] = _finite(asdict(self))
        return content

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "RunRecord":
        """Return the record in the content of a `metrics.json`, converted from an older format if necessary.

        Raises:
            AttributeError, TypeError: `content` is not the content of a `metrics.json`.
        """
        known = _known_fields(cls, content)
        version = content.get("format_version", 1)
        if version == 1:
            known["settings"] = _renamed(known.get("settings") or {}, _RENAMED_SETTINGS)
            known["warnings"] = _typed_warnings(known.get("warnings", []))
        known |= {"evaluation": _evaluation(content), "gain": _gain(content)}
        if known.get("classifier") is not None:
            known["classifier"] = ClassifierRecord(**_known_fields(ClassifierRecord, known["classifier"]))
        if known.get("parents") is not None:
            known["parents"] = [ParentErrors(**_known_fields(ParentErrors, part)) for part in known["parents"]]
        known["format_version"] = max(version, RUN_FORMAT_VERSION)
        return cls(**known)


@dataclass(kw_only=True)
class TrainingRecord(_Evaluated):
    """The record of a training run that the model card shows. It is saved in the model's `tercet.json`.

    Its properties `before` and `after` are the metrics of the headline.

    Attributes:
        loss: the class name of the loss.
        loss_settings: the distance and the margin, by their titles in the model card.
        data: facts about the training data, such as the number of sentences, by their titles.
        settings: the settings of the trainer, by their titles.
        evaluation: the metrics before and after training, by protocol, as in `RunRecord`.
        gain: whether the training was worth it, as in `RunRecord`.
        text_hashes: hashes of all texts that the model has been trained on, see `tercet.data.text_hashes`; None if they
            are not known.
    """

    loss: str
    loss_settings: dict[str, Any] = field(default_factory=dict)
    data: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    evaluation: dict[str, EvaluationRecord] = field(default_factory=dict)
    gain: TrainingGain | None = None
    text_hashes: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the record as JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "TrainingRecord":
        """Return the record in the content of a `tercet.json`. Ignore unknown fields."""
        return cls(**{**_known_fields(cls, content), "evaluation": _evaluation(content), "gain": _gain(content)})


@dataclass(kw_only=True)
class TrialRecord:
    """One run of a comparison: a variant with a seed.

    If the run failed, the fields after `failed` are not set.

    Attributes:
        variant: the name of the variant.
        loss: the name of the loss in the catalogue.
        margin: the margin; None for a loss without a margin.
        distance: the name of the distance in the catalogue.
        model: the encoder that the run started from; None if its name is unknown.
        settings: the other settings of the variant, which the grid varies, by their names in `RunSettings`.
        seed: the random seed of batches and dropout.
        budget_steps: the maximum number of steps; None if the seconds per step could not be measured.
        failed: the reason why the run failed; None if it succeeded.
        start: a digest of the weights before training, the same for all runs of one model.
        batches: a digest of the order of the sentences in the first epoch, the same for all runs with the same seed,
            batch size, and start of the training; None if only a head was trained.
        seconds_per_step: the median seconds per step.
        seconds: the time of the training in seconds, without loading, evaluating and saving; None before format 4.
        head_seconds: the part of it to train the head; None without a head.
        before: the metrics of the model before training.
        metrics: the metrics of the best state.
        gain: whether the training was worth it, as in `RunRecord`; None if no evaluation row could be classified.
        best_step: the step of the best state.
        steps: the number of steps before the run ended.
        stopped_early: whether `steps` is less than `budget_steps`.
        map_at_r_by_step: MAP@R of each evaluation, by step.
        active_fraction: the fraction of the mined triplets with a loss above 0, averaged over the steps.
        peak_memory_mib: the peak memory in MiB.
        peak_memory_of: the memory that was measured: `process` (main memory) or `GPU`.
        warnings: the warnings of the run, as in `RunRecord`.
    """

    variant: str
    loss: str
    margin: float | None
    distance: str
    model: str | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    seed: int
    budget_steps: int | None = None
    failed: str | None = None
    start: str | None = None
    batches: str | None = None
    seconds_per_step: float | None = None
    seconds: float | None = None
    head_seconds: float | None = None
    before: Metrics | None = None
    metrics: Metrics | None = None
    gain: TrainingGain | None = None
    best_step: int | None = None
    steps: int | None = None
    stopped_early: bool | None = None
    map_at_r_by_step: Metrics | None = None
    active_fraction: float | None = None
    peak_memory_mib: float | None = None
    peak_memory_of: Literal["process", "GPU"] | None = None
    warnings: list[dict[str, str]] = field(default_factory=list)

    def value(self, metric: str) -> float | None:
        """Return a metric of the best state or a field such as `seconds_per_step`; None if there is no value."""
        if self.metrics is not None and metric in self.metrics:
            return self.metrics[metric]
        found = getattr(self, metric, None)
        return found if isinstance(found, (int, float)) else None


@dataclass(kw_only=True)
class BaselineRecord:
    """An encoder of a comparison without training.

    Attributes:
        model: the name of the encoder; None if it is unknown.
        start: the digest of its weights; None if it is unknown.
        metrics: its metrics, measured as those of the runs.
        scores: its scores when evaluation rows are classified by training rows; None if none can be classified.
    """

    model: str | None
    start: str | None
    metrics: Metrics
    scores: EncoderScores | None = None


@dataclass(kw_only=True)
class MeanAndStd:
    """The mean and standard deviation over seeds. `mean` is None if there is no value, `std` if there is only one."""

    mean: float | None = None
    std: float | None = None

    def format(self, digits: int) -> str:
        """Return `mean ± std` with `digits` decimals; only the mean if there is no std; `–` if there is no mean."""
        if self.mean is None:
            return "–"
        return f"{self.mean:.{digits}f}" + ("" if self.std is None else f" ± {self.std:.{digits}f}")


@dataclass(kw_only=True)
class VariantSummary:
    """The summary of the runs of a variant, a row in the table of a comparison.

    Attributes:
        variant: the name of the variant.
        seeds: the number of successful runs.
        failed: the reason of each failed run, by seed.
        metrics: the mean and standard deviation over the successful runs, for each metric in the table.
        accuracy: the same for the accuracy of each classifier, by its key in `tercet.catalogue.CLASSIFIERS`. Evaluation
            rows are classified by training rows.
    """

    variant: str
    seeds: int
    failed: dict[str, str] = field(default_factory=dict)
    metrics: dict[str, MeanAndStd] = field(default_factory=dict)
    accuracy: dict[str, MeanAndStd] = field(default_factory=dict)


@dataclass(kw_only=True)
class Difference:
    """The mean difference in the metric between the variant with the highest mean and another variant.

    Attributes:
        mean: the mean of (highest − other).
        half_width: half the width of the confidence interval mean ± half_width; None if `seeds` is below 3.
        seeds: the number of paired seeds; 1 if failed runs left the variants with different seeds.
        beyond_noise: whether 0 is outside the confidence interval.
    """

    mean: float
    half_width: float | None
    seeds: int
    beyond_noise: bool


@dataclass(kw_only=True)
class Recommendation:
    """The recommended variant, with the reason.

    Attributes:
        variant: the name of the recommended variant.
        seed: the seed of its best run, whose model is kept.
        outcome: `better`: it is better than every other variant, beyond noise. `no difference`: at least one other
            variant does not differ from the highest one beyond noise. `one seed`: the variants have fewer than two
            seeds in common, so the variation across seeds is unknown. `few seeds`: they have two in common, too few
            to tell a difference from noise. `alone`: every other variant has a failed run.
        reason: the reason in one or more sentences, with the numbers.
        metric: the key of the metric that determines the recommendation.
        confidence: the confidence of the intervals, such as 0.95.
        highest: the variant with the highest mean of the metric.
        differences: the difference between `highest` and each other variant, by the name of the other variant.
    """

    variant: str
    seed: int
    outcome: Literal["better", "no difference", "one seed", "few seeds", "alone"]
    reason: str
    metric: str
    confidence: float
    highest: str
    differences: dict[str, Difference] = field(default_factory=dict)


@dataclass(kw_only=True)
class ComparisonRecord:
    """The content of `compare.json`.

    Attributes:
        settings: the model (a list if the grid has several), the data, the variants, the seeds, the budget, and the
            settings that all runs share.
        data: facts about the rows of `train` and `eval`, as in `RunRecord`.
        rows: the number of evaluation rows that are measured and left out; None before format 3, where no row was left
            out.
        protocol: the protocol of all metrics, a key of `tercet.catalogue.PROTOCOLS`.
        environment: the library versions and the machine; times and rounding errors depend on them.
        baselines: one record per encoder: its metrics without training.
        runs: one record per run.
        steps_in_budget: the number of steps per run, by variant, if the budget is in minutes; else empty.
        summary: one summary per variant; empty until all runs have ended.
        recommendation: the recommendation; None until all runs have ended, or if all failed.
        finished: whether all runs have ended and the recommended model is in the folder `model`.
        format_version: the format version of the file.
    """

    settings: dict[str, Any]
    data: dict[str, dict[str, Any]]
    environment: dict[str, Any]
    baselines: list[BaselineRecord] = field(default_factory=list)
    runs: list[TrialRecord] = field(default_factory=list)
    steps_in_budget: dict[str, int] = field(default_factory=dict)
    summary: list[VariantSummary] = field(default_factory=list)
    recommendation: Recommendation | None = None
    rows: RowCounts | None = None
    protocol: str = "among_themselves"
    finished: bool = False
    format_version: int = COMPARISON_FORMAT_VERSION

    @property
    def budget(self) -> str:
        """The budget of a run, such as `20 steps`; "" if it is unknown."""
        for unit, amount in self.settings.get("budget", {}).items():
            amounts = amount if isinstance(amount, list) else [amount]
            numbers = " or ".join(f"{number:g}" for number in amounts)
            return f"{numbers} {unit.removesuffix('s') if amounts == [1] else unit}"
        return ""

    @property
    def gain(self) -> TrainingGain | None:
        """Whether the training of the recommended model was worth it; None if it is unknown."""
        if (found := self.recommendation) is None:
            return None
        runs = (run for run in self.runs if (run.variant, run.seed) == (found.variant, found.seed))
        return next((run.gain for run in runs), None)

    def describe_budget(self) -> str:
        """Return the budget of a run, and in what the runs of different variants are equal, as one line."""
        steps = sorted({run.budget_steps for run in self.runs if run.budget_steps})
        counts = f"{steps[0]:,}" if len(steps) == 1 else f"{steps[0]:,} to {steps[-1]:,}" if steps else ""
        in_steps = f" ({counts} steps)" if counts else ""
        if "minutes" in self.settings.get("budget", {}):
            return (
                f"Budget of a run: {self.budget} of training{in_steps}, without loading, evaluations and saving. All "
                "variants have the same time, so a variant with slower steps, such as one of a larger encoder, takes "
                "fewer of them."
            )
        return (
            f"Budget of a run: {self.budget}{'' if 'steps' in self.budget else in_steps}. Equal steps are not equal "
            "time: s/run is the time of the training."
        )

    def baseline(self, model: str | None) -> BaselineRecord | None:
        """Return the record of an encoder without training; None if it has not been measured."""
        return next((baseline for baseline in self.baselines if baseline.model == model), None)

    def to_dict(self) -> dict[str, Any]:
        """Return the record as JSON values."""
        content: dict[str, Any] = _finite(asdict(self))
        return content

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "ComparisonRecord":
        """Return the record in the content of a `compare.json`, converted from an older format if necessary.

        Raises:
            AttributeError, KeyError, TypeError: `content` is not the content of a `compare.json`.
        """
        if content.get("format_version", 1) == 1:
            content = _comparison_from_format_1(content)
        known = _known_fields(cls, content)
        if known.get("rows") is not None:
            known["rows"] = RowCounts(**_known_fields(RowCounts, known["rows"]))
        known["runs"] = [
            TrialRecord(**_known_fields(TrialRecord, run) | {"gain": _gain(run)}) for run in content["runs"]
        ]
        known["baselines"] = []
        for line in content.get("baselines", ()):
            scores = None if line.get("scores") is None else EncoderScores.from_dict(line["scores"])
            known["baselines"].append(BaselineRecord(**_known_fields(BaselineRecord, line) | {"scores": scores}))
        known["summary"] = []
        for line in content.get("summary", ()):
            values = {
                part: {name: MeanAndStd(**value) for name, value in line.get(part, {}).items()}
                for part in ("metrics", "accuracy")
            }
            known["summary"].append(VariantSummary(**_known_fields(VariantSummary, line) | values))
        if (found := content.get("recommendation")) is not None:
            differences = {name: Difference(**value) for name, value in found["differences"].items()}
            known["recommendation"] = Recommendation(
                **_known_fields(Recommendation, found) | {"differences": differences}
            )
        if content.get("format_version", 1) < 3:
            known["data"] = {part: _renamed(facts, {"sentences": "rows"}) for part, facts in known["data"].items()}
        if content.get("format_version", 1) < 4:
            _add_baseline(known)
            known["format_version"] = COMPARISON_FORMAT_VERSION
        return cls(**known)


def baseline_title(record: ComparisonRecord, baseline: BaselineRecord) -> str:
    """Return the name of an encoder without training in tables and plots."""
    names = short_model_names([one.model for one in record.baselines])
    return f"{names[baseline.model]}, before training" if len(names) > 1 else "before training"


def short_model_names(models: Sequence[str | None]) -> dict[str | None, str]:
    """Return the last part of the name of each model, or the whole names if two models have the same last part."""
    named = [model for model in models if model is not None]
    last: dict[str | None, str] = {model: PurePath(model).name or model for model in named}
    return last if len(set(last.values())) == len(named) else {model: model for model in named}


def _add_baseline(known: dict[str, Any]) -> None:
    """Add what format 4 has for each encoder. Before, a comparison had one encoder, measured by its first run."""
    model = known["settings"].get("model")
    for run in known["runs"]:
        run.model = model
    if (first := next((run for run in known["runs"] if run.before is not None), None)) is not None:
        known["baselines"] = [BaselineRecord(model=model, start=first.start, metrics=first.before)]


def _comparison_from_format_1(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return the content of a `compare.json` of format 1, converted to format 2."""
    runs = [
        _renamed(run, {"active_share": "active_fraction", "map@r_by_step": "map_at_r_by_step"})
        | {"warnings": _typed_warnings(run.get("warnings", []))}
        for run in content["runs"]
    ]
    summary = []
    for line in content.get("summary", ()):
        known = _known_fields(VariantSummary, line)
        # In format 1, each metric is a field of the summary.
        metrics = {name: _renamed(value, {"spread": "std"}) for name, value in line.items() if name not in known}
        summary.append({**known, "metrics": _renamed(metrics, {"active_share": "active_fraction"})})
    recommendation = content.get("recommendation")
    if recommendation is not None:
        names = {"verdict": "outcome", "because": "reason", "below_highest": "differences"}
        recommendation = _renamed(recommendation, names)
    return {
        **content,
        "settings": _renamed(content["settings"], _RENAMED_SETTINGS),
        "data": _renamed(content["data"], {"held_out": "eval"}),
        "runs": runs,
        "summary": summary,
        "recommendation": recommendation,
        "format_version": 2,
    }


def public_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a record with the last component of each path of the user, which may be published."""
    paths = {name: value for name in ("data", "eval_data", "model") if (value := settings.get(name)) is not None}
    return {**settings, **{name: Path(path).name for name, path in paths.items() if Path(path).exists()}}


def _known_fields(record: type, content: Mapping[str, Any]) -> dict[str, Any]:
    """Return the items of `content` that are fields of `record`. Ignore other items, which newer versions may add."""
    names = {item.name for item in fields(record)}
    return {name: value for name, value in content.items() if name in names}


def _renamed(content: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    return {names.get(name, name): value for name, value in content.items()}


def _evaluation(content: Mapping[str, Any]) -> dict[str, EvaluationRecord]:
    """Return the field `evaluation` of a record.

    Before format 3, records had the metrics `before` and `after` of one protocol. Labelled evaluation rows were ranked
    among themselves.
    """
    if "evaluation" in content:
        return {key: EvaluationRecord.from_dict(part) for key, part in content["evaluation"].items()}
    before, after = content.get("before"), content.get("after")
    if before is None and after is None:
        return {}
    protocol = "among_themselves" if "map@r" in (after or before or {}) else "triplets"
    return {protocol: EvaluationRecord(before=before, after=after)}


def _gain(content: Mapping[str, Any]) -> TrainingGain | None:
    """Return the field `gain` of a record, which records of version 0.1.0 do not have."""
    return None if content.get("gain") is None else TrainingGain.from_dict(content["gain"])


def _typed_warnings(messages: list[str]) -> list[dict[str, str]]:
    """Convert warnings of format 1, which are only messages, to format 2 with the kind `other`."""
    return [{"kind": "other", "message": message} for message in messages]


def _finite(value: Any) -> Any:
    """Return `value` with None instead of each NaN and infinity in it."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
