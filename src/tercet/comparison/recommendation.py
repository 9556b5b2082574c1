"""What the runs of a comparison say: a line of figures for each variant, and which one to take, and why."""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from tercet.comparison.significance import CONFIDENCE, Difference, mean_and_spread, paired_difference

METRIC = "map@r"
FIGURES = (METRIC, "recall@1", "knn_accuracy", "active_fraction", "seconds_per_step", "peak_memory_mib")
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
    measured, why_fewer = _comparable(runs, names)
    if not measured:
        return None
    mean = {name: statistics.fmean(scores.values()) for name, scores in measured.items()}
    best, *others = sorted(measured, key=lambda name: -mean[name])
    differences = {name: _difference(measured, best, name) for name in others}
    equals = [best, *(name for name, difference in differences.items() if not difference.beyond_noise)]
    start = next(run["before"][METRIC] for run in runs if not run.get("failed"))
    if not others:
        verdict, chosen = "alone", best
        because = f"{best} is the only variant " + (
            "with a run that ended well; others of its runs failed." if why_fewer else "whose runs all ended well."
        )
    elif all(difference.seeds == 1 for difference in differences.values()):
        verdict, chosen = "one seed", best
        because = (
            f"{best} has the highest MAP@R, {mean[best]:.4f} ({others[0]}: {mean[others[0]]:.4f}), but one seed tells "
            "nothing about noise: another seed may turn it round. "
        ) + (why_fewer or "--seeds 3 tells more.")
    elif len(equals) == 1:
        verdict, chosen = "better", best
        nearest = min(others, key=lambda name: differences[name].mean - differences[name].half_width)
        because = (
            f"{best} is better than each of the others beyond noise: MAP@R {mean[best]:.4f}, "
            f"{_worded(differences[nearest])} above {nearest}, which comes nearest. {why_fewer}"
        ).rstrip()
    else:
        verdict, (chosen, why) = "no difference", _among(equals, measured, runs, start, default)
        lowest = equals[-1]
        because = (
            f"no difference beyond noise between {_and(equals)}: {best} has the highest MAP@R, {mean[best]:.4f}, "
            f"{_worded(differences[lowest])} above {lowest}. {chosen} is {why}. {why_fewer}"
        ).rstrip()
    return {
        "variant": chosen,
        "seed": best_seed(runs, chosen),
        "verdict": verdict,
        "because": because + _against_start(measured[chosen], start),
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


def best_seed(runs: Sequence[dict[str, Any]], name: str) -> int:
    """The seed of the variant's run with the highest MAP@R; of several the first."""
    scores = _by_seed(runs, name)
    return max(sorted(scores), key=lambda seed: scores[seed])


def _comparable(runs: Sequence[dict[str, Any]], names: Sequence[str]) -> tuple[dict[str, dict[int, float]], str]:
    """MAP@R by variant and seed, on the seeds that all variants have, and why those are not all seeds.

    Variants with a run that failed are left out unless all have one; if those share no seed each keeps its own.
    """
    measured = {name: scores for name in names if (scores := _by_seed(runs, name))}
    failed = {run["variant"] for run in runs if run.get("failed")}
    if ended := {name: scores for name, scores in measured.items() if name not in failed}:
        return ended, ""
    shared = set.intersection(*(set(scores) for scores in measured.values())) if measured else set()
    if not shared:
        return measured, "Each variant has a run that failed, and there is no seed for which none did."
    seeds = ", ".join(map(str, sorted(shared)))
    why = f"Each variant has a run that failed; compared are seeds that none failed for: {seeds}."
    return {name: {seed: scores[seed] for seed in shared} for name, scores in measured.items()}, why


def _against_start(scores: Mapping[int, float], start: float) -> str:
    """A word where it is not sure that training helped at all."""
    difference = paired_difference(scores, dict.fromkeys(scores, start))
    if difference.mean <= 0:
        return f" But it is no better than the model before training (MAP@R {start:.4f})."
    if difference.seeds > 1 and not difference.beyond_noise:
        return f" But it is not better, beyond noise, than the model before training (MAP@R {start:.4f})."
    return ""


def _among(
    equals: Sequence[str],
    measured: Mapping[str, Mapping[int, float]],
    runs: Sequence[dict[str, Any]],
    start: float,
    default: str,
) -> tuple[str, str]:
    """One of several that cannot be told apart, the highest first, and what speaks for it.

    A seed that collapsed widens the interval, so those that rose with every seed come first, then those that rose on
    average; of these the default where it is quick, or else the quickest.
    """
    for of_seeds, how in ((min, "with every seed"), (statistics.fmean, "on average")):
        rose = [name for name in equals if of_seeds(measured[name].values()) > start]
        if len(rose) == 1:
            return rose[0], f"the only one of them that rose {how}"
        if rose:
            return _quick(rose, runs, default)
    return equals[0], "the highest of them"


def _quick(names: Sequence[str], runs: Sequence[dict[str, Any]], default: str) -> tuple[str, str]:
    seconds = {line["variant"]: line["seconds_per_step"]["mean"] for line in summarise(runs, names)}
    known = {name: value for name, value in seconds.items() if value is not None}
    if not known:
        return (default, "the default") if default in names else (names[0], "the highest of them")
    quick = [name for name in known if known[name] <= ALIKE * min(known.values())]
    if default in quick:
        return default, f"the default, and as quick as any of them ({known[default]:.3g} s a step)"
    if len(quick) == len(known):
        return quick[0], f"the highest of them, and all are about as quick ({known[quick[0]]:.3g} s a step)"
    what = "quickest" if len(quick) == 1 else "highest of the quickest"
    return quick[0], f"the {what} ({known[quick[0]]:.3g} s a step, where others take up to {max(known.values()):.3g} s)"


def _by_seed(runs: Sequence[dict[str, Any]], name: str) -> dict[int, float]:
    return {run["seed"]: run["metrics"][METRIC] for run in runs if run["variant"] == name and not run.get("failed")}


def _difference(measured: Mapping[str, Mapping[int, float]], first: str, second: str) -> Difference:
    """Where failures left them other seeds, nothing is known."""
    if measured[first].keys() == measured[second].keys():
        return paired_difference(measured[first], measured[second])
    gap = statistics.fmean(measured[first].values()) - statistics.fmean(measured[second].values())
    return Difference(gap, float("inf"), 1)


def _worded(difference: Difference) -> str:
    if difference.seeds == 1:
        return f"{difference.mean:.4f} (how sure, is not known)"
    return (
        f"{difference.mean:.4f} ± {difference.half_width:.4f} ({CONFIDENCE:.0%} confidence, {difference.seeds} seeds)"
    )


def _and(names: Sequence[str]) -> str:
    """Names hold commas, so semicolons part them."""
    return f"{'; '.join(names[:-1])} and {names[-1]}"


def _figure(run: dict[str, Any], name: str) -> float | None:
    return run["metrics"].get(name) if name in run["metrics"] else run.get(name)
