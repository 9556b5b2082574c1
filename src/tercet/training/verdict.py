"""What the runs of a comparison say: a line of figures for each variant, and which one to take, and why."""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from tercet.evaluation.significance import CONFIDENCE, Difference, mean_and_spread, paired_difference

METRIC = "map@r"
FIGURES = (METRIC, "recall@1", "knn_accuracy", "active_share", "seconds_per_step", "peak_memory_mib")
# Times a step that differ by less are alike: other work on the machine makes as much.
ALIKE = 1.1


def summarise(runs: Sequence[dict[str, Any]], names: Sequence[str]) -> list[dict[str, Any]]:
    """Of each variant: mean and spread of its figures over the seeds that ended well, and what failed."""
    lines = []
    for name in names:
        own = [run for run in runs if run["variant"] == name]
        ended = [run for run in own if not run.get("failed")]
        failed = {str(run["seed"]): run["failed"] for run in own if run.get("failed")}
        line: dict[str, Any] = {"variant": name, "seeds": len(ended), "failed": failed}
        for figure in FIGURES:
            values = [value for run in ended if (value := _figure(run, figure)) is not None]
            mean, spread = mean_and_spread(values) if values else (None, None)
            line[figure] = {"mean": mean, "spread": spread}
        lines.append(line)
    return lines


def recommend(runs: Sequence[dict[str, Any]], names: Sequence[str], default: str) -> dict[str, Any] | None:
    """Which variant to take, by the differences in MAP@R over seeds; None if every run failed.

    `verdict` is "better" (than each other one, beyond noise), "no difference" (beyond noise, to at least one
    other), "one seed" (nothing is known of the noise) or "alone" (the others failed). `because` says it in words.
    """
    measured = {name: _by_seed(runs, name) for name in names}
    failed = {run["variant"] for run in runs if run.get("failed")}
    able = [name for name in names if measured[name] and name not in failed] or [n for n in names if measured[n]]
    if not able:
        return None
    mean = {name: statistics.fmean(measured[name].values()) for name in able}
    best, *others = sorted(able, key=lambda name: -mean[name])
    differences = {name: _difference(measured, best, name) for name in others}
    equals = [best, *(name for name, difference in differences.items() if not difference.beyond_noise)]
    if not others:
        verdict, chosen, because = "alone", best, f"{best} is the only variant whose runs all ended well."
    elif all(difference.seeds == 1 for difference in differences.values()):
        verdict, chosen = "one seed", best
        because = (
            f"{best} has the highest MAP@R, {mean[best]:.4f} ({others[0]}: {mean[others[0]]:.4f}), but one seed tells "
            "nothing about noise: another seed may turn it round. --seeds 3 tells more."
        )
    elif len(equals) == 1:
        verdict, chosen = "better", best
        nearest = min(others, key=lambda name: differences[name].mean - differences[name].half_width)
        because = (
            f"{best} is better than each of the others beyond noise: MAP@R {mean[best]:.4f}, "
            f"{_worded(differences[nearest])} above {nearest}, which comes nearest."
        )
    else:
        verdict, (chosen, why) = "no difference", _among(equals, runs, mean, default)
        widest = equals[-1]
        because = (
            f"no difference beyond noise between {_and(equals)}: {best} has the highest MAP@R, {mean[best]:.4f}, "
            f"{_worded(differences[widest])} above {widest}. {chosen} is {why}."
        )
    before = next(run["before"][METRIC] for run in runs if run["variant"] == chosen and not run.get("failed"))
    if mean[chosen] <= before:
        because += f" But it is no better than the model before training (MAP@R {before:.4f})."
    return {
        "variant": chosen,
        "seed": max(measured[chosen], key=lambda seed: measured[chosen][seed]),
        "verdict": verdict,
        "because": because,
        "metric": METRIC,
        "confidence": CONFIDENCE,
        "highest": best,
        "below_highest": {
            name: {
                "mean": difference.mean,
                "half_width": None if difference.seeds == 1 else difference.half_width,
                "seeds": difference.seeds,
                "beyond_noise": difference.beyond_noise,
            }
            for name, difference in differences.items()
        },
    }


def _among(
    equals: Sequence[str], runs: Sequence[dict[str, Any]], mean: Mapping[str, float], default: str
) -> tuple[str, str]:
    """One of several that are equally good, and what speaks for it: it is quick, or the default."""
    seconds = {line["variant"]: line["seconds_per_step"]["mean"] for line in summarise(runs, equals)}
    known = {name: value for name, value in seconds.items() if value is not None}
    if not known:
        return (default, "the default") if default in equals else (equals[0], "the highest of them")
    quickest = min(known, key=lambda name: known[name])
    quick = [name for name in known if known[name] <= ALIKE * known[quickest]]
    if default in quick:
        than = "as quick as any of them" if len(known) > 1 else "quick"
        return default, f"the default, and {than} ({known[default]:.3g} s a step)"
    chosen = max(quick, key=lambda name: mean[name])
    slowest = max(known.values())
    return chosen, f"the quickest of them ({known[chosen]:.3g} s a step, where others take up to {slowest:.3g} s)"


def _by_seed(runs: Sequence[dict[str, Any]], name: str) -> dict[int, float]:
    return {run["seed"]: run["metrics"][METRIC] for run in runs if run["variant"] == name and not run.get("failed")}


def _difference(measured: Mapping[str, Mapping[int, float]], first: str, second: str) -> Difference:
    """Where failures left them no seed in common, nothing is known."""
    if measured[first].keys() & measured[second].keys():
        return paired_difference(measured[first], measured[second])
    gap = statistics.fmean(measured[first].values()) - statistics.fmean(measured[second].values())
    return Difference(gap, float("inf"), 1)


def _worded(difference: Difference) -> str:
    if difference.seeds == 1:
        return f"{difference.mean:.4f} (by one seed)"
    return (
        f"{difference.mean:.4f} ± {difference.half_width:.4f} ({CONFIDENCE:.0%} confidence, {difference.seeds} seeds)"
    )


def _and(names: Sequence[str]) -> str:
    """Names hold commas, so semicolons part them."""
    return f"{'; '.join(names[:-1])} and {names[-1]}"


def _figure(run: dict[str, Any], name: str) -> float | None:
    return run["metrics"].get(name) if name in run["metrics"] else run.get(name)
