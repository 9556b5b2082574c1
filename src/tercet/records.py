"""Records that runs write, as dataclasses with a format version.

    metrics.json     RunRecord, written by `tercet train`, read by the report
    compare.json     ComparisonRecord, written by `tercet compare`: a TrialRecord per run, and what follows from them
    tercet.json      holds a TrainingRecord, shown in the model card

Files of older versions can always be read: `from_dict` converts them. The first format had no version field. Values
are JSON values: numbers, strings, lists, dictionaries and None. JSON has no NaN, so `to_dict` writes None instead.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal

from tercet._version import __version__

# Increase a version when a field is renamed or changes its meaning, and extend the conversion in `from_dict`.
RUN_FORMAT_VERSION = 2
COMPARISON_FORMAT_VERSION = 2

# Settings of format 1 that have another name in format 2.
_RENAMED_SETTINGS = {"memory_size": "cross_batch_memory"}

Metrics = dict[str, float]


@dataclass(kw_only=True)
class RunRecord:
    """The content of `metrics.json`.

    Attributes:
        before: metrics of the model before training; None if nothing was measured.
        after: metrics of the saved model.
        by_step: metrics of the evaluations during training, by step.
        settings: the options of the run by name, its data and its model.
        warnings: the warnings of the run, each with a `kind` (see `tercet._events.WarningKind`) and a `message`.
        tercet_version: the version that trained the model.
        format_version: of the file.
    """

    before: Metrics | None
    after: Metrics | None
    by_step: dict[str, Metrics] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    warnings: list[dict[str, str]] = field(default_factory=list)
    tercet_version: str = __version__
    format_version: int = RUN_FORMAT_VERSION

    def to_dict(self) -> dict[str, Any]:
        """Return the record as JSON values."""
        content: dict[str, Any] = _finite(asdict(self))
        return content

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "RunRecord":
        """Return the record of a `metrics.json`, converted from an older format if necessary."""
        known = _known_fields(cls, content)
        if content.get("format_version", 1) == 1:
            known["settings"] = _renamed(known.get("settings") or {}, _RENAMED_SETTINGS)
            known["warnings"] = _typed_warnings(known.get("warnings", []))
            known["format_version"] = RUN_FORMAT_VERSION
        return cls(**known)


@dataclass(kw_only=True)
class TrainingRecord:
    """The facts about a training run that the model card shows; saved in the model's `tercet.json`.

    Attributes:
        loss: the class name of the loss.
        loss_settings: distance and margin, by the names that the card shows.
        data: facts about the training data.
        settings: settings of the trainer.
        before: metrics before training; None if nothing was measured.
        after: metrics of the saved model.
    """

    loss: str
    loss_settings: dict[str, Any] = field(default_factory=dict)
    data: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    before: Metrics | None = None
    after: Metrics | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the record as JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "TrainingRecord":
        """Return the record that a model directory holds."""
        return cls(**_known_fields(cls, content))


@dataclass(kw_only=True)
class TrialRecord:
    """One run of a comparison: a variant with a seed.

    All fields after `budget_steps` are None if the run failed, except `failed` itself.

    Attributes:
        variant: the name of the variant.
        loss: its loss, by the name in the catalogue.
        margin: None for a loss without a margin.
        distance: by the name in the catalogue.
        seed: of batches and dropout.
        budget_steps: the number of steps that the run was allowed.
        failed: why the run failed; None if it ended well.
        start: a digest of the weights before training, the same for all runs.
        batches: a digest of the order of the sentences, the same for all runs of a seed.
        seconds_per_step: the median.
        before: metrics before training.
        metrics: metrics of the best state.
        best_step: the step of the best state.
        steps: the number of steps that the run took.
        stopped_early: whether these are fewer than the budget.
        map_at_r_by_step: MAP@R of each evaluation, by step.
        active_fraction: the fraction of the triplets that had a loss above 0, the mean over the steps.
        peak_memory_mib: the highest memory use in MiB.
        peak_memory_of: whose memory that is, `process` or `GPU`.
        warnings: as in `RunRecord`.
    """

    variant: str
    loss: str
    margin: float | None
    distance: str
    seed: int
    budget_steps: int | None = None
    failed: str | None = None
    start: str | None = None
    batches: str | None = None
    seconds_per_step: float | None = None
    before: Metrics | None = None
    metrics: Metrics | None = None
    best_step: int | None = None
    steps: int | None = None
    stopped_early: bool | None = None
    map_at_r_by_step: Metrics | None = None
    active_fraction: float | None = None
    peak_memory_mib: float | None = None
    peak_memory_of: Literal["process", "GPU"] | None = None
    warnings: list[dict[str, str]] = field(default_factory=list)

    def value(self, metric: str) -> float | None:
        """Return a metric of the best state, or of the run such as `seconds_per_step`; None if it is not known."""
        if self.metrics is not None and metric in self.metrics:
            return self.metrics[metric]
        found = getattr(self, metric, None)
        return found if isinstance(found, (int, float)) else None

    @classmethod
    def from_dict(cls, content: Mapping[str, Any], *, format_version: int = COMPARISON_FORMAT_VERSION) -> "TrialRecord":
        """Return the record of a run in a `compare.json` of that format."""
        if format_version == 1:
            names = {"active_share": "active_fraction", "map@r_by_step": "map_at_r_by_step"}
            content = _renamed(content, names) | {"warnings": _typed_warnings(content.get("warnings", []))}
        return cls(**_known_fields(cls, content))


@dataclass(kw_only=True)
class MeanAndStd:
    """Mean and standard deviation over seeds; None without a value, or for the deviation of a single one."""

    mean: float | None = None
    std: float | None = None

    def format(self, digits: int) -> str:
        """Return `mean ± std` with the given number of decimals; `–` without a value."""
        if self.mean is None:
            return "–"
        return f"{self.mean:.{digits}f}" + ("" if self.std is None else f" ± {self.std:.{digits}f}")


@dataclass(kw_only=True)
class VariantSummary:
    """The runs of a variant in one line.

    Attributes:
        variant: the name of the variant.
        seeds: the number of runs that ended well.
        failed: why the other runs failed, by seed.
        metrics: mean and standard deviation over these runs, for each metric that a comparison shows.
    """

    variant: str
    seeds: int
    failed: dict[str, str] = field(default_factory=dict)
    metrics: dict[str, MeanAndStd] = field(default_factory=dict)

    @classmethod
    def from_dict(cls, content: Mapping[str, Any], *, format_version: int) -> "VariantSummary":
        """Return the summary in a `compare.json` of that format; format 1 has the metrics beside the other fields."""
        known = _known_fields(cls, content)
        if format_version == 1:
            metrics = _renamed(
                {name: value for name, value in content.items() if name not in known},
                {"active_share": "active_fraction"},
            )
            known["metrics"] = {name: _renamed(value, {"spread": "std"}) for name, value in metrics.items()}
        known["metrics"] = {name: MeanAndStd(**value) for name, value in known["metrics"].items()}
        return cls(**known)


@dataclass(kw_only=True)
class DifferenceRecord:
    """The mean difference in the metric between the highest variant and another one.

    Attributes:
        mean: over the seeds that both variants have.
        half_width: the confidence interval is mean ± half_width; None for a single seed.
        seeds: the number of these seeds.
        beyond_noise: whether 0 lies outside of the interval.
    """

    mean: float
    half_width: float | None
    seeds: int
    beyond_noise: bool


@dataclass(kw_only=True)
class Recommendation:
    """Which variant to take, and why.

    Attributes:
        variant: the recommended variant.
        seed: its best seed, whose model is kept.
        outcome: `better` (than every other variant, beyond noise), `no difference` (beyond noise, to at least one
            other), `one seed` (the noise is not known) or `alone` (every other variant failed).
        reason: the same in a sentence, with the numbers.
        metric: the key of the metric that decides.
        confidence: of the intervals.
        highest: the variant with the highest mean.
        differences: the difference between `highest` and each other variant, by its name.
    """

    variant: str
    seed: int
    outcome: Literal["better", "no difference", "one seed", "alone"]
    reason: str
    metric: str
    confidence: float
    highest: str
    differences: dict[str, DifferenceRecord] = field(default_factory=dict)

    @classmethod
    def from_dict(cls, content: Mapping[str, Any], *, format_version: int) -> "Recommendation":
        """Return the recommendation in a `compare.json` of that format."""
        if format_version == 1:
            names = {"verdict": "outcome", "because": "reason", "below_highest": "differences"}
            content = _renamed(content, names)
        known = _known_fields(cls, content)
        known["differences"] = {name: DifferenceRecord(**value) for name, value in known["differences"].items()}
        return cls(**known)


@dataclass(kw_only=True)
class ComparisonRecord:
    """The content of `compare.json`.

    Attributes:
        settings: model, data, variants, seeds, budget, and the settings that are the same for all runs.
        data: for `train` and `eval`: the number of sentences and labels, and a digest of all of them.
        environment: versions and machine, which times and the last digits depend on.
        runs: one record per run.
        steps_in_budget: the number of steps that fit into the minutes, by variant, if the budget is a time.
        summary: one line per variant, after all runs.
        recommendation: None until all runs have ended.
        finished: whether the model of the recommendation is in its place and nothing is left to do.
        format_version: of the file.
    """

    settings: dict[str, Any]
    data: dict[str, dict[str, Any]]
    environment: dict[str, Any]
    runs: list[TrialRecord] = field(default_factory=list)
    steps_in_budget: dict[str, int] = field(default_factory=dict)
    summary: list[VariantSummary] = field(default_factory=list)
    recommendation: Recommendation | None = None
    finished: bool = False
    format_version: int = COMPARISON_FORMAT_VERSION

    @property
    def before(self) -> Metrics | None:
        """The metrics of the model before training, the same for all runs; None if every run failed."""
        return next((run.before for run in self.runs if run.before is not None), None)

    def to_dict(self) -> dict[str, Any]:
        """Return the record as JSON values."""
        content: dict[str, Any] = _finite(asdict(self))
        return content

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "ComparisonRecord":
        """Return the record of a `compare.json`, converted from an older format if necessary.

        Raises:
            KeyError, TypeError: this is not the content of a `compare.json`.
        """
        version = content.get("format_version", 1)
        known = _known_fields(cls, content)
        known["runs"] = [TrialRecord.from_dict(run, format_version=version) for run in content["runs"]]
        known["summary"] = [
            VariantSummary.from_dict(line, format_version=version) for line in content.get("summary", ())
        ]
        if content.get("recommendation") is not None:
            known["recommendation"] = Recommendation.from_dict(content["recommendation"], format_version=version)
        if version == 1:
            known["settings"] = _renamed(content["settings"], _RENAMED_SETTINGS)
            known["data"] = _renamed(content["data"], {"held_out": "eval"})
            known["format_version"] = COMPARISON_FORMAT_VERSION
        return cls(**known)


def _known_fields(record: type, content: Mapping[str, Any]) -> dict[str, Any]:
    """Return the items of `content` that are fields of `record`, so that fields of newer versions are ignored."""
    names = {item.name for item in fields(record)}
    return {name: value for name, value in content.items() if name in names}


def _renamed(content: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    return {names.get(name, name): value for name, value in content.items()}


def _typed_warnings(messages: list[str]) -> list[dict[str, str]]:
    """Return warnings of format 1, which were messages without a kind, as those of format 2."""
    return [{"kind": "other", "message": message} for message in messages]


def _finite(value: Any) -> Any:
    """Return JSON values with None instead of NaN and infinity."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
