"""The recommendation, on invented numbers."""

import numpy as np
import pytest

from tercet.comparison.grid import parse_grid
from tercet.comparison.plan import DEFAULT_VARIANT
from tercet.comparison.recommendation import best_seed, recommend, summarize
from tercet.records import MeanAndStd, TrialRecord

NAMES = [variant.name for variant in parse_grid()]
SEMI, ALL, HARD, SOFT = NAMES


def _runs(values, seconds=None, before=0.4):
    """Return runs from MAP@R by variant; a text instead of a number is the reason of a failure."""
    runs = []
    for name, scores in values.items():
        for seed, score in enumerate(scores):
            run = {"variant": name, "loss": name, "margin": None, "distance": "euclidean", "seed": seed}
            if isinstance(score, str):
                run["failed"] = score
            else:
                pace = (seconds or {}).get(name, 0.5)
                run |= {"metrics": {"map@r": score}, "before": {"map@r": before}, "seconds_per_step": pace}
            runs.append(TrialRecord(**run))
    return runs


def _recommend(values, **options):
    return recommend(_runs(values, **options), list(values), DEFAULT_VARIANT.name)


def test_a_clear_winner_is_named_with_its_evidence():
    found = _recommend({SEMI: [0.60, 0.62, 0.61], ALL: [0.70, 0.72, 0.715], HARD: [0.65, 0.67, 0.664]})
    assert (found.variant, found.outcome, found.seed) == (ALL, "better", 1)
    assert f"{ALL} is better than every other variant beyond noise. Its mean MAP@R is 0.7117; " in found.reason
    assert f"{HARD}, the closest variant, is 0.0503 ± 0.0014 (95% confidence, 3 seeds) lower." in found.reason
    assert found.differences[SEMI].beyond_noise


def test_no_difference_beyond_noise_takes_the_default_unless_another_is_faster():
    values = {HARD: [0.62, 0.60, 0.64], SEMI: [0.60, 0.63, 0.61], ALL: [0.30, 0.31, 0.32]}
    found = _recommend(values)
    assert (found.variant, found.outcome, found.highest) == (SEMI, "no difference", HARD)
    assert f"no difference beyond noise between {HARD} and {SEMI}" in found.reason
    assert f"{SEMI} is the default, and about as fast as the fastest (0.5 s/step)" in found.reason
    found = _recommend(values, seconds={SEMI: 0.9, ALL: 0.1})  # ALL is fast, but worse
    assert found.variant == HARD
    assert "is the fastest (0.5 s/step; the others take up to 0.9 s/step)" in found.reason


def test_among_equals_without_the_default_the_reason_is_true():
    """The highest is not called the fastest if another one is faster; times within 10 % count as equal."""
    values = {ALL: [0.62, 0.60, 0.64], HARD: [0.60, 0.63, 0.61], SOFT: [0.61, 0.60, 0.62]}
    found = _recommend(values, seconds={ALL: 0.54, HARD: 0.5, SOFT: 0.52})
    assert f"{ALL} is the one with the highest MAP@R, and all are about equally fast (0.54 s/step)" in found.reason
    found = _recommend(values, seconds={ALL: 0.54, HARD: 0.5, SOFT: 0.9})
    assert (
        f"{ALL} is the one with the highest MAP@R among the fastest (0.54 s/step; the others take up to 0.9 s/step)"
        in found.reason
    )


def test_a_seed_that_collapsed_does_not_make_an_equal():
    """It widens the interval; the default is not chosen if the other variant improved with every seed."""
    found = _recommend({SEMI: [0.60, 0.62, 0.05], ALL: [0.65, 0.66, 0.65]})
    assert (found.variant, found.outcome) == (ALL, "no difference")
    assert f"{ALL} is the only one of them that improved the model with every seed." in found.reason
    found = _recommend({SEMI: [0.55, 0.61, 0.58], ALL: [0.70, 0.56, 0.66]}, before=0.6)
    assert found.variant == ALL
    reason = (
        "the only one of them that improved the model on average. But this variant is not better, beyond noise, than"
    )
    assert reason in found.reason


def test_variants_that_all_failed_once_are_compared_on_their_common_seeds():
    found = _recommend({ALL: [0.9, 0.5, 0.52, "NaN"], HARD: ["NaN", 0.6, 0.61, 0.6]})
    assert (found.variant, found.highest) == (HARD, HARD)
    assert found.differences[ALL].mean == pytest.approx(0.095)
    assert found.reason.endswith("so only the seeds that succeeded for all compared variants count: 1, 2.")
    apart = _recommend({ALL: [0.9, "NaN"], HARD: ["NaN", 0.6]})
    assert (apart.variant, apart.outcome) == (ALL, "one seed")
    assert apart.reason.endswith("Every variant has a failed run, and no seed succeeded for all of them.")
    alone = _recommend({ALL: [0.6, "NaN"], HARD: ["NaN", "NaN"]})
    assert alone.reason == f"{ALL} is the only variant with a successful run; its other runs failed."


def test_of_seeds_that_are_equally_good_the_first_is_kept_whatever_the_order_of_runs():
    runs = _runs({SEMI: [0.6, 0.6], ALL: [0.5, 0.5]})
    assert best_seed(runs, SEMI) == best_seed(runs[::-1], SEMI) == 0
    assert recommend(runs[::-1], [SEMI, ALL], DEFAULT_VARIANT.name).seed == 0


def test_differences_finer_than_the_metric_are_none():
    assert _recommend({SEMI: [0.6] * 3, ALL: [0.60001] * 3}).outcome == "no difference"


def test_one_seed_says_nothing_about_noise():
    found = _recommend({SEMI: [0.60], ALL: [0.70]})
    assert (found.variant, found.outcome) == (ALL, "one seed")
    assert "so other seeds may change the order" in found.reason
    assert found.differences[SEMI].half_width is None


def test_a_variant_that_failed_once_is_not_recommended():
    values = {SEMI: [0.60, 0.61], ALL: [0.9, "out of memory"], HARD: [0.5, 0.52]}
    assert _recommend(values).variant != ALL
    lines = summarize(_runs(values), list(values))
    assert [line.seeds for line in lines] == [2, 1, 2]
    assert lines[1].failed == {"1": "out of memory"}
    assert lines[1].metrics["map@r"] == MeanAndStd(mean=0.9, std=None)
    alone = _recommend({SEMI: [0.6, 0.6], ALL: ["NaN", "NaN"]})
    assert (alone.variant, alone.outcome) == (SEMI, "alone")
    some = _recommend({SEMI: [0.6, "NaN"], ALL: ["NaN", 0.7]})
    assert (some.variant, some.outcome) == (ALL, "one seed")
    assert _recommend({SEMI: ["NaN"], ALL: ["NaN"]}) is None


def test_training_without_an_improvement_is_reported():
    found = _recommend({SEMI: [0.60, 0.62, 0.61], ALL: [0.70, 0.72, 0.715]}, before=0.75)
    assert found.reason.endswith("But this variant is not better than the model before training (MAP@R 0.7500).")


def test_of_two_equal_variants_one_is_called_better_in_one_comparison_of_twenty():
    """The confidence promises that; with the normal instead of Student's distribution it would be one in five."""
    draws = np.random.default_rng(0).normal(0.6, 0.01, size=(1000, 2, 3)).tolist()
    better = [_recommend(dict(zip(NAMES, draw, strict=False))).outcome == "better" for draw in draws]
    assert 0.03 < np.mean(better) < 0.07


def test_the_grid():
    assert NAMES == ["batch-semi-hard, margin 0.3", "batch-all, margin 0.3", "batch-hard, margin 0.3",
                     "batch-hard-soft-margin"]  # fmt: skip
    names = [variant.name for variant in parse_grid(["margin=0.1,0.3", "distance=cosine"])]
    assert len(names) == 7
    assert names.count("batch-hard-soft-margin, cosine") == 1
    assert [v.margin for v in parse_grid(["loss=batch-all", "margin=0.1,0.3"])] == [0.1, 0.3]
    close = [variant.name for variant in parse_grid(["loss=batch-all", "margin=1,0.1,0.1000001"])]
    assert close == ["batch-all, margin 1", "batch-all, margin 0.1", "batch-all, margin 0.1000001"]


@pytest.mark.parametrize(
    ("grid", "message"),
    [
        (["margin"], "grid: cannot read 'margin'; expected for example"),
        (["rate=1"], "grid: cannot read 'rate=1'; expected for example"),
        (["margin=0.1", "margin=0.2"], "grid: 'margin' is given twice"),
        (["margin=0.1,x"], "grid: margin 'x' is not a number of at least 0"),
        (["margin=-1"], "grid: margin '-1' is not"),
        (["margin=0.1,0.3,0.10"], "grid: margin '0.10' is given twice, so two variants would be equal"),
        (["loss=triplet"], "grid: loss 'triplet' is not one of 'batch-semi-hard'"),
        (["distance=dot"], "grid: distance 'dot' is not one of 'euclidean'"),
        (
            ["loss=batch-hard-soft-margin", "margin=0.1,0.2"],
            "grid: nothing to compare, because there is only one variant, batch-hard-soft-margin",
        ),
    ],
)
def test_invalid_grids(grid, message):
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        parse_grid(grid)
    assert message in str(caught.value)


def test_two_seeds_are_too_few_to_tell_a_difference_from_noise():
    """Two differences that agree by chance, 0.0048 and 0.0049, are not an interval of ± 0.0001."""
    found = _recommend({SEMI: [0.4700, 0.4760], ALL: [0.4748, 0.4809]}, before=0.4)
    assert (found.variant, found.outcome) == (ALL, "few seeds")
    assert found.reason.endswith("Compare with at least 3 seeds.")
    assert not found.differences[SEMI].beyond_noise
    assert found.differences[SEMI].half_width is None


def test_a_difference_of_less_than_one_sentence_is_not_beyond_noise():
    values = {SEMI: [0.4700, 0.4760, 0.4720], ALL: [0.4748, 0.4809, 0.4768]}
    assert _recommend(values).outcome == "better"
    runs = _runs(values)
    assert recommend(runs, list(values), DEFAULT_VARIANT.name, resolution=1 / 100).outcome == "no difference"
