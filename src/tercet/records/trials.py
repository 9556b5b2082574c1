"""Records of the parts of a comparison: its runs, the encoders without training, and the summaries."""

from dataclasses import dataclass, field
from typing import Any, Literal

from tercet.records.evaluation import Metrics
from tercet.records.gain import EncoderScores, TrainingGain


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
        metrics: the mean and standard deviation over the successful runs, for each metric in the tables.
        accuracy: the same for the accuracy of each classifier, by its key in `tercet.catalogue.CLASSIFIERS`. Evaluation
            rows are classified by training rows.
        macro_f1: the same for their macro-F1.
    """

    variant: str
    seeds: int
    failed: dict[str, str] = field(default_factory=dict)
    metrics: dict[str, MeanAndStd] = field(default_factory=dict)
    accuracy: dict[str, MeanAndStd] = field(default_factory=dict)
    macro_f1: dict[str, MeanAndStd] = field(default_factory=dict)


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
