"""The record of a comparison: `compare.json`."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import PurePath
from typing import Any, Literal

from tercet.records.evaluation import RowCounts
from tercet.records.gain import EncoderScores, TrainingGain, gain_of
from tercet.records.reading import RENAMED_SETTINGS, finite, known_fields, renamed, typed_warnings
from tercet.records.trials import BaselineRecord, Difference, MeanAndStd, Recommendation, TrialRecord, VariantSummary

# If a field is renamed or changes its meaning, increase the version and extend the conversion in `from_dict`.
COMPARISON_FORMAT_VERSION = 4


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
        warnings: the warnings about the data, each with a `kind` (see `tercet._events.WarningKind`) and a `message`.
            Each run has those of its training.
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
    warnings: list[dict[str, str]] = field(default_factory=list)
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
        """The gain of the recommended model: was its training worth it? None if it is unknown."""
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
        content: dict[str, Any] = finite(asdict(self))
        return content

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "ComparisonRecord":
        """Return the record in the content of a `compare.json`, converted from an older format if necessary.

        Raises:
            AttributeError, KeyError, TypeError: `content` is not the content of a `compare.json`.
        """
        if content.get("format_version", 1) == 1:
            content = _comparison_from_format_1(content)
        known = known_fields(cls, content)
        if known.get("rows") is not None:
            known["rows"] = RowCounts(**known_fields(RowCounts, known["rows"]))
        known["runs"] = [
            TrialRecord(**known_fields(TrialRecord, run) | {"gain": gain_of(run)}) for run in content["runs"]
        ]
        known["baselines"] = []
        for line in content.get("baselines", ()):
            scores = None if line.get("scores") is None else EncoderScores.from_dict(line["scores"])
            known["baselines"].append(BaselineRecord(**known_fields(BaselineRecord, line) | {"scores": scores}))
        known["summary"] = []
        for line in content.get("summary", ()):
            values = {
                part: {name: MeanAndStd(**value) for name, value in line.get(part, {}).items()}
                for part in ("metrics", "accuracy", "macro_f1")
            }
            known["summary"].append(VariantSummary(**known_fields(VariantSummary, line) | values))
        if (found := content.get("recommendation")) is not None:
            differences = {name: Difference(**value) for name, value in found["differences"].items()}
            known["recommendation"] = Recommendation(
                **known_fields(Recommendation, found) | {"differences": differences}
            )
        if content.get("format_version", 1) < 3:
            known["data"] = {part: renamed(facts, {"sentences": "rows"}) for part, facts in known["data"].items()}
        if content.get("format_version", 1) < 4:
            _add_baseline(known)
            known["format_version"] = COMPARISON_FORMAT_VERSION
        return cls(**known)


def baseline_title(record: ComparisonRecord, baseline: BaselineRecord) -> str:
    """Return the name of an encoder without training in tables and plots."""
    names = short_model_names([one.model for one in record.baselines])
    return f"{names[baseline.model]}, before training" if len(names) > 1 else "before training"


def classifier_rows(
    record: ComparisonRecord, score: Literal["accuracy", "macro_f1"], classifiers: Sequence[str]
) -> list[list[str]]:
    """Return the name and a score of classifiers, for each encoder without training and each variant, as text.

    A variant whose runs all failed has dashes. Without a variant that has the score, there are no rows.

    Args:
        record: the comparison.
        score: the name of the score.
        classifiers: the keys of the classifiers.
    """
    rows = []
    for baseline in record.baselines:
        found = baseline.scores.classifiers if baseline.scores else {}
        values = {key: MeanAndStd(mean=getattr(scores, score)) for key, scores in found.items()}
        rows.append((baseline_title(record, baseline), values))
    rows += [(line.variant, getattr(line, score)) for line in record.summary]
    if not any(getattr(line, score) for line in record.summary):
        return []
    return [[name, *(values.get(key, MeanAndStd()).format(4) for key in classifiers)] for name, values in rows]


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
        renamed(run, {"active_share": "active_fraction", "map@r_by_step": "map_at_r_by_step"})
        | {"warnings": typed_warnings(run.get("warnings", []))}
        for run in content["runs"]
    ]
    summary = []
    for line in content.get("summary", ()):
        known = known_fields(VariantSummary, line)
        # In format 1, each metric is a field of the summary.
        metrics = {name: renamed(value, {"spread": "std"}) for name, value in line.items() if name not in known}
        summary.append({**known, "metrics": renamed(metrics, {"active_share": "active_fraction"})})
    recommendation = content.get("recommendation")
    if recommendation is not None:
        names = {"verdict": "outcome", "because": "reason", "below_highest": "differences"}
        recommendation = renamed(recommendation, names)
    return {
        **content,
        "settings": renamed(content["settings"], RENAMED_SETTINGS),
        "data": renamed(content["data"], {"held_out": "eval"}),
        "runs": runs,
        "summary": summary,
        "recommendation": recommendation,
        "format_version": 2,
    }
