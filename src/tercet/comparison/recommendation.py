"""From the runs of a comparison to a summary of each variant, and to the variant to take, with the reason."""

import statistics
from collections.abc import Mapping, Sequence
from typing import Literal

from tercet.catalogue import METRICS, metric_title
from tercet.comparison.significance import CONFIDENCE, Difference, mean_and_std, paired_difference
from tercet.records import DifferenceRecord, MeanAndStd, Recommendation, TrialRecord, VariantSummary

# The metric that decides: it looks at the complete ranking, not only at its head.
METRIC = "map@r"
# Seconds per step that differ by less than this factor count as equal: other work on the machine makes that much.
SIMILAR_SPEED = 1.1

Scores = Mapping[str, Mapping[int, float]]


def compared_metrics() -> list[str]:
    """Return the keys of the metrics that the table of a comparison shows."""
    return [key for key, spec in METRICS.items() if spec.compared]


def summarize(runs: Sequence[TrialRecord], names: Sequence[str]) -> list[VariantSummary]:
    """Return, for each variant, mean and standard deviation of its metrics over the seeds, and the runs that failed."""
    summaries = []
    for name in names:
        own = [run for run in runs if run.variant == name]
        ended = [run for run in own if run.failed is None]
        failed = {str(run.seed): run.failed for run in own if run.failed is not None}
        metrics = {key: _mean_and_std(ended, key) for key in compared_metrics()}
        summaries.append(VariantSummary(variant=name, seeds=len(ended), failed=failed, metrics=metrics))
    return summaries


def recommend(runs: Sequence[TrialRecord], names: Sequence[str], default: str) -> Recommendation | None:
    """Return which variant to take, by the differences in MAP@R over seeds; None if every run failed.

    Args:
        runs: of the comparison.
        names: of the variants.
        default: the variant to prefer among equally good and equally fast ones.
    """
    scores, why_fewer_seeds = _comparable_scores(runs, names)
    if not scores:
        return None
    mean = {name: statistics.fmean(by_seed.values()) for name, by_seed in scores.items()}
    best, *others = sorted(scores, key=lambda name: -mean[name])
    differences = {name: _difference(scores, best, name) for name in others}
    equals = [best, *(name for name in others if not differences[name].beyond_noise)]
    before = next(run.before[METRIC] for run in runs if run.before is not None)
    title = metric_title(METRIC)
    outcome: Literal["better", "no difference", "one seed", "alone"]
    if not others:
        outcome, chosen = "alone", best
        reason = f"{best} is the only variant " + (
            "with a run that ended well; other runs of it failed." if why_fewer_seeds else "whose runs all ended well."
        )
    elif all(difference.seeds == 1 for difference in differences.values()):
        outcome, chosen = "one seed", best
        reason = (
            f"{best} has the highest {title}, {mean[best]:.4f} ({others[0]}: {mean[others[0]]:.4f}), but one seed says "
            "nothing about noise: with another seed the order may be different. "
        ) + (why_fewer_seeds or "Compare with three seeds.")
    elif len(equals) == 1:
        outcome, chosen = "better", best
        nearest = min(others, key=lambda name: differences[name].mean - differences[name].half_width)
        reason = (
            f"{best} is better than each of the others beyond noise: {title} {mean[best]:.4f}, "
            f"{_format_difference(differences[nearest])} above {nearest}, which comes nearest. {why_fewer_seeds}"
        ).rstrip()
    else:
        outcome, (chosen, why) = "no difference", _choose_among(equals, scores, runs, before, default)
        lowest = equals[-1]
        reason = (
            f"no difference beyond noise between {_join(equals)}: {best} has the highest {title}, {mean[best]:.4f}, "
            f"{_format_difference(differences[lowest])} above {lowest}. {chosen} is {why}. {why_fewer_seeds}"
        ).rstrip()
    return Recommendation(
        variant=chosen,
        seed=best_seed(runs, chosen),
        outcome=outcome,
        reason=reason + _compare_with_start(scores[chosen], before),
        metric=METRIC,
        confidence=CONFIDENCE,
        highest=best,
        differences={name: _difference_record(difference) for name, difference in differences.items()},
    )


def best_seed(runs: Sequence[TrialRecord], variant: str) -> int:
    """Return the seed of the variant's run with the highest MAP@R; the lowest seed of several equal ones."""
    scores = _scores_by_seed(runs, variant)
    return max(sorted(scores), key=lambda seed: scores[seed])


def _mean_and_std(runs: Sequence[TrialRecord], metric: str) -> MeanAndStd:
    values = [value for run in runs if (value := run.value(metric)) is not None]
    mean, std = mean_and_std(values) if values else (None, None)
    return MeanAndStd(mean=mean, std=std)


def _scores_by_seed(runs: Sequence[TrialRecord], variant: str) -> dict[int, float]:
    return {run.seed: run.metrics[METRIC] for run in runs if run.variant == variant and run.metrics is not None}


def _comparable_scores(runs: Sequence[TrialRecord], names: Sequence[str]) -> tuple[dict[str, dict[int, float]], str]:
    """Return MAP@R by variant and seed, on the seeds that all variants have, and why these are not all seeds.

    Variants with a run that failed are left out, unless all have one. If those have no seed in common, each keeps
    its own seeds.
    """
    scores = {name: by_seed for name in names if (by_seed := _scores_by_seed(runs, name))}
    failed = {run.variant for run in runs if run.failed is not None}
    if ended := {name: by_seed for name, by_seed in scores.items() if name not in failed}:
        return ended, ""
    common = set.intersection(*(set(by_seed) for by_seed in scores.values())) if scores else set()
    if not common:
        return scores, "Each variant has a run that failed, and every seed failed for at least one variant."
    seeds = ", ".join(map(str, sorted(common)))
    why = f"Each variant has a run that failed, so only the seeds that failed for none are compared: {seeds}."
    return {name: {seed: by_seed[seed] for seed in common} for name, by_seed in scores.items()}, why


def _difference(scores: Scores, first: str, second: str) -> Difference:
    if scores[first].keys() == scores[second].keys():
        return paired_difference(scores[first], scores[second])
    # Failures left the two variants with different seeds, so no differences can be paired.
    gap = statistics.fmean(scores[first].values()) - statistics.fmean(scores[second].values())
    return Difference(mean=gap, half_width=float("inf"), seeds=1)


def _difference_record(difference: Difference) -> DifferenceRecord:
    return DifferenceRecord(
        mean=difference.mean,
        half_width=None if difference.seeds == 1 else difference.half_width,
        seeds=difference.seeds,
        beyond_noise=difference.beyond_noise,
    )


def _compare_with_start(scores: Mapping[int, float], before: float) -> str:
    """Return a sentence if it is not certain that training has improved the model, else nothing."""
    difference = paired_difference(scores, dict.fromkeys(scores, before))
    start = f"than the model before training ({metric_title(METRIC)} {before:.4f})."
    if difference.mean <= 0:
        return f" But it is no better {start}"
    if difference.seeds > 1 and not difference.beyond_noise:
        return f" But it is not better, beyond noise, {start}"
    return ""


def _choose_among(
    equals: Sequence[str], scores: Scores, runs: Sequence[TrialRecord], before: float, default: str
) -> tuple[str, str]:
    """Choose one of several variants without a difference beyond noise, the highest first; return it and the reason.

    A seed that collapsed widens the interval. So the variants that improved with every seed come first, then those that
    improved on average; among these, the default if it is fast, or else the fastest.
    """
    for of_seeds, when in ((min, "with every seed"), (statistics.fmean, "on average")):
        improved = [name for name in equals if of_seeds(scores[name].values()) > before]
        if len(improved) == 1:
            return improved[0], f"the only one of them that improved {when}"
        if improved:
            return _choose_fastest(improved, runs, default)
    return equals[0], "the highest of them"


def _choose_fastest(names: Sequence[str], runs: Sequence[TrialRecord], default: str) -> tuple[str, str]:
    seconds: dict[str, float] = {}
    for name in names:
        mean = _mean_and_std([run for run in runs if run.variant == name], "seconds_per_step").mean
        if mean is not None:
            seconds[name] = mean
    if not seconds:
        return (default, "the default") if default in names else (names[0], "the highest of them")
    fast = [name for name in seconds if seconds[name] <= SIMILAR_SPEED * min(seconds.values())]
    if default in fast:
        return default, f"the default, and as fast as any of them ({seconds[default]:.3g} s/step)"
    chosen = fast[0]
    if len(fast) == len(seconds):
        return chosen, f"the highest of them, and all are about equally fast ({seconds[chosen]:.3g} s/step)"
    what = "fastest" if len(fast) == 1 else "highest of the fastest"
    slowest = max(seconds.values())
    return chosen, f"the {what} ({seconds[chosen]:.3g} s/step; the others take up to {slowest:.3g} s/step)"


def _format_difference(difference: Difference) -> str:
    if difference.seeds == 1:
        return f"{difference.mean:.4f} (the noise is not known)"
    return (
        f"{difference.mean:.4f} ± {difference.half_width:.4f} ({CONFIDENCE:.0%} confidence, {difference.seeds} seeds)"
    )


def _join(names: Sequence[str]) -> str:
    """Join names by semicolons, because names contain commas."""
    return f"{'; '.join(names[:-1])} and {names[-1]}"
