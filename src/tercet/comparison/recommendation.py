"""Summarize the runs of each variant of a comparison, and recommend a variant with the reason."""

import statistics
from collections.abc import Mapping, Sequence
from typing import Literal

from tercet._display import shown_beside
from tercet.catalogue import CLASSIFIERS, METRICS, metric_title, metrics_of_levels
from tercet.comparison.significance import CONFIDENCE, MIN_SEEDS, RESOLUTION, mean_and_std, paired_difference
from tercet.records import Difference, MeanAndStd, Recommendation, TrialRecord, VariantSummary

# The metric that determines the recommendation. MAP@R scores the first R ranks, where R is the number of sentences with
# the label of the query. recall@1 scores only the first rank.
METRIC = "map@r"
# How the metrics are measured: the evaluation sentences are ranked among themselves.
PROTOCOL = "among_themselves"
# Two variants count as equally fast if their times differ by at most this factor. Other processes on the machine cause
# differences of this size.
SIMILAR_SPEED = 1.1

Scores = Mapping[str, Mapping[int, float]]


def compared_metrics() -> list[str]:
    """Return the keys of the metrics that the table of a comparison shows."""
    return [key for key, spec in METRICS.items() if spec.compared]


def summarize(runs: Sequence[TrialRecord], names: Sequence[str]) -> list[VariantSummary]:
    """Return the summary of each variant: mean and standard deviation of its metrics, and its failed runs."""
    summaries = []
    keys = [*compared_metrics(), *metrics_of_levels(key for run in runs for key in run.metrics or ())]
    for name in names:
        own = [run for run in runs if run.variant == name]
        ended = [run for run in own if run.failed is None]
        failed = {str(run.seed): run.failed for run in own if run.failed is not None}
        metrics = {key: _mean_and_std(ended, key) for key in keys}
        scores = {score: _of_classifiers(ended, score) for score in ("accuracy", "macro_f1")}
        summaries.append(VariantSummary(variant=name, seeds=len(ended), failed=failed, metrics=metrics, **scores))
    return summaries


def _of_classifiers(runs: Sequence[TrialRecord], score: str) -> dict[str, MeanAndStd]:
    """Return the mean and standard deviation of a score of each classifier over runs; without those it has not."""
    found = {}
    for key in CLASSIFIERS:
        trained = [run.gain.trained.classifiers for run in runs if run.gain is not None]
        values = [getattr(classifiers[key], score) for classifiers in trained if key in classifiers]
        if values:
            mean, std = mean_and_std(values)
            found[key] = MeanAndStd(mean=mean, std=std)
    return found


def recommend(
    runs: Sequence[TrialRecord], names: Sequence[str], default: str, resolution: float = RESOLUTION
) -> Recommendation | None:
    """Return the recommended variant, based on differences in MAP@R over seeds. Return None if every run failed.

    Args:
        runs: the runs of the comparison.
        names: the names of the variants.
        default: the variant that is recommended if it is as good and as fast as the best ones.
        resolution: the smallest difference that counts, see `paired_difference`.
    """
    scores, why_fewer_seeds = _comparable_scores(runs, names)
    if not scores:
        return None
    mean = {name: statistics.fmean(by_seed.values()) for name, by_seed in scores.items()}
    best, *others = sorted(scores, key=lambda name: -mean[name])
    differences = {name: _difference(scores, best, name, resolution) for name in others}
    equals = [best, *(name for name in others if not differences[name].beyond_noise)]
    before = {run.variant: run.before[METRIC] for run in runs if run.before is not None}
    title = metric_title(METRIC)
    highest, following = mean[best], mean[others[0] if others else best]
    of_best, of_next = shown_beside(highest, following, ".4f"), shown_beside(following, highest, ".4f")
    outcome: Literal["better", "no difference", "one seed", "few seeds", "alone"]
    if not others:
        outcome, chosen = "alone", best
        reason = f"{best} is the only variant " + (
            "with a successful run; its other runs failed." if why_fewer_seeds else "whose runs all succeeded."
        )
    elif all(difference.seeds == 1 for difference in differences.values()):
        outcome, chosen = "one seed", best
        reason = (
            f"{best} has the highest {title}, {of_best}; {others[0]} has {of_next}. The variants "
            "have fewer than two seeds in common, so other seeds may change the order. "
        ) + (why_fewer_seeds or "Compare with at least three seeds.")
    elif all(difference.half_width is None for difference in differences.values()):
        outcome, chosen = "few seeds", best
        reason = (
            f"{best} has the highest {title}, {of_best} ({others[0]}: {of_next}). But two seeds are "
            "too few to tell a difference from noise: other seeds may change the order. "
        ) + (why_fewer_seeds or f"Compare with at least {MIN_SEEDS} seeds.")
    elif len(equals) == 1:
        outcome, chosen = "better", best
        nearest = min(others, key=lambda name: differences[name].mean - (differences[name].half_width or 0))
        reason = (
            f"{best} is better than every other variant beyond noise. Its mean {title} is {mean[best]:.4f}; "
            f"{nearest}, the closest variant, is {_format_difference(differences[nearest])} lower. {why_fewer_seeds}"
        ).rstrip()
    else:
        outcome, (chosen, why) = "no difference", _choose_among(equals, scores, runs, before, default)
        lowest = equals[-1]
        reason = (
            f"There is no difference beyond noise between {_join(equals)}. The highest mean {title} is "
            f"{mean[best]:.4f}; {lowest} is {_format_difference(differences[lowest])} lower. "
            f"{chosen} is {why}. {why_fewer_seeds}"
        ).rstrip()
    return Recommendation(
        variant=chosen,
        seed=best_seed(runs, chosen),
        outcome=outcome,
        reason=reason + _compare_with_start(scores[chosen], before[chosen], resolution),
        metric=METRIC,
        confidence=CONFIDENCE,
        highest=best,
        differences=differences,
    )


def best_seed(runs: Sequence[TrialRecord], variant: str) -> int:
    """Return the seed of the variant's run with the highest MAP@R; among equal runs, the lowest seed."""
    scores = _scores_by_seed(runs, variant)
    return max(sorted(scores), key=lambda seed: scores[seed])


def _mean_and_std(runs: Sequence[TrialRecord], metric: str) -> MeanAndStd:
    values = [value for run in runs if (value := run.value(metric)) is not None]
    mean, std = mean_and_std(values) if values else (None, None)
    return MeanAndStd(mean=mean, std=std)


def _scores_by_seed(runs: Sequence[TrialRecord], variant: str) -> dict[int, float]:
    return {run.seed: run.metrics[METRIC] for run in runs if run.variant == variant and run.metrics is not None}


def _comparable_scores(runs: Sequence[TrialRecord], names: Sequence[str]) -> tuple[dict[str, dict[int, float]], str]:
    """Return MAP@R by variant and seed, and a sentence on why seeds are left out (empty if none are).

    Leave out variants with a failed run. If every variant has one, keep all variants with a successful run instead, on
    the seeds that succeeded for each of them. If there is no such seed, each variant keeps its own successful seeds.
    """
    scores = {name: by_seed for name in names if (by_seed := _scores_by_seed(runs, name))}
    failed = {run.variant for run in runs if run.failed is not None}
    if ended := {name: by_seed for name, by_seed in scores.items() if name not in failed}:
        return ended, ""
    common = set.intersection(*(set(by_seed) for by_seed in scores.values())) if scores else set()
    if not common:
        return scores, "Every variant has a failed run, and no seed succeeded for all of them."
    seeds = ", ".join(map(str, sorted(common)))
    why = f"Every variant has a failed run, so only the seeds that succeeded for all compared variants count: {seeds}."
    return {name: {seed: by_seed[seed] for seed in common} for name, by_seed in scores.items()}, why


def _difference(scores: Scores, first: str, second: str, resolution: float) -> Difference:
    if scores[first].keys() == scores[second].keys():
        return paired_difference(scores[first], scores[second], resolution)
    # Because of failed runs, the two variants have different seeds, so their differences cannot be paired.
    gap = statistics.fmean(scores[first].values()) - statistics.fmean(scores[second].values())
    return Difference(mean=gap, half_width=None, seeds=1, beyond_noise=False)


def _compare_with_start(scores: Mapping[int, float], before: float, resolution: float) -> str:
    """Return a sentence if training has not improved the model, or not beyond noise; else an empty string."""
    difference = paired_difference(scores, dict.fromkeys(scores, before), resolution)
    start = f"than the model before training ({metric_title(METRIC)} {before:.4f})."
    if difference.mean <= 0:
        return f" But this variant is not better {start}"
    if difference.half_width is not None and not difference.beyond_noise:
        return f" But this variant is not better, beyond noise, {start}"
    return ""


def _choose_among(
    equals: Sequence[str], scores: Scores, runs: Sequence[TrialRecord], before: Mapping[str, float], default: str
) -> tuple[str, str]:
    """Choose one of several variants that do not differ beyond noise. Return it and the reason.

    1. Keep the variants that improved the model with every seed. If there are none, keep those that improved it on
       average. This excludes variants with a collapsed seed, which seem equally good because it widens the interval.
    2. If several are left, choose the default if it is about as fast as the fastest, else the highest of the fastest.
    3. If no variant improved the model, choose the highest.

    Args:
        equals: the variants, the highest first.
        scores: MAP@R by variant and seed.
        runs: the runs of the comparison.
        before: MAP@R of the model of each variant before training.
        default: the default variant.
    """
    for of_seeds, when in ((min, "with every seed"), (statistics.fmean, "on average")):
        improved = [name for name in equals if of_seeds(scores[name].values()) > before[name]]
        if len(improved) == 1:
            return improved[0], f"the only one of them that improved the model {when}"
        if improved:
            return _choose_fastest(improved, runs, default)
    return equals[0], f"the one with the highest {metric_title(METRIC)}"


def _choose_fastest(names: Sequence[str], runs: Sequence[TrialRecord], default: str) -> tuple[str, str]:
    highest = f"the one with the highest {metric_title(METRIC)}"
    metric, unit = _speed(runs)
    seconds: dict[str, float] = {}
    for name in names:
        mean = _mean_and_std([run for run in runs if run.variant == name], metric).mean
        if mean is not None:
            seconds[name] = mean
    if not seconds:
        return (default, "the default") if default in names else (names[0], highest)
    fast = [name for name in seconds if seconds[name] <= SIMILAR_SPEED * min(seconds.values())]
    if default in fast:
        return default, f"the default, and about as fast as the fastest ({seconds[default]:.3g} {unit})"
    chosen = fast[0]
    if len(fast) == len(seconds):
        return chosen, f"{highest}, and all are about equally fast ({seconds[chosen]:.3g} {unit})"
    what = "the fastest" if len(fast) == 1 else f"{highest} among the fastest"
    slowest = max(seconds.values())
    return chosen, f"{what} ({seconds[chosen]:.3g} {unit}; the others take up to {slowest:.3g} {unit})"


def _speed(runs: Sequence[TrialRecord]) -> tuple[str, str]:
    """Return the metric of the speed of variants, and its unit.

    Variants that differ only in their loss take the same number of steps, so their steps are compared: early stopping
    does not change them. Other variants may take more or fewer steps, so the runs are compared as a whole.
    """
    several = any(run.settings for run in runs) or len({run.model for run in runs}) > 1
    return ("seconds", "s/run") if several else ("seconds_per_step", "s/step")


def _format_difference(difference: Difference) -> str:
    if difference.half_width is None:
        return f"{difference.mean:.4f} (variation across seeds unknown)"
    return (
        f"{difference.mean:.4f} ± {difference.half_width:.4f} ({CONFIDENCE:.0%} confidence, {difference.seeds} seeds)"
    )


def _join(names: Sequence[str]) -> str:
    """Join names with semicolons, because names contain commas."""
    return f"{'; '.join(names[:-1])} and {names[-1]}"
