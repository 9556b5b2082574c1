"""Define the plan of a comparison: variants (losses × margins × distances), seeds and budget. Imports no torch."""

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from tercet.catalogue import DISTANCES, LOSSES
from tercet.errors import DataError, listed
from tercet.runs.settings import DEFAULT_DISTANCE, DEFAULT_MARGIN, RunSettings

_DEFAULTS = RunSettings()
# Runs of a comparison are shorter than those of `tercet train`, because there are many.
DEFAULT_EPOCHS = 1.0
# Settings that a variant, the budget or the seed of a run sets, or that a comparison does not use.
_SET_PER_RUN = ("loss", "margin", "distance", "epochs", "max_steps", "seed", "save_every", "keep", "eval_steps")


@dataclass(frozen=True, kw_only=True)
class Variant:
    """A loss with a margin and a distance.

    Attributes:
        loss: the name of the loss.
        margin: the margin; None for a loss without a margin.
        distance: the name of the distance.
    """

    loss: str
    margin: float | None
    distance: str

    @property
    def name(self) -> str:
        """The name in tables and files, such as `batch-hard, margin 0.3`; it leaves out the default distance."""
        margin = [] if self.margin is None else [f"margin {_shortest(self.margin)}"]
        distance = [] if self.distance == DEFAULT_DISTANCE else [self.distance]
        return ", ".join([self.loss, *margin, *distance])

    def apply_to(self, settings: RunSettings) -> RunSettings:
        """Return `settings` with the loss, margin and distance of this variant."""
        margin = settings.margin if self.margin is None else self.margin
        return replace(settings, loss=self.loss, margin=margin, distance=self.distance)


DEFAULT_VARIANT = Variant(loss=_DEFAULTS.loss, margin=DEFAULT_MARGIN, distance=DEFAULT_DISTANCE)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The plan of a comparison, which runs every variant with every seed.

    Attributes:
        variants: the variants, at least two.
        seeds: the random seeds of batches and dropout. With the same seed, all variants get the same batches.
        settings: the settings of all runs. `max_steps` is the budget of a run, or `epochs` if `max_steps` is -1; 1
            epoch if `epochs` is None.
        minutes: the budget of a run in minutes of training, without evaluation; None uses the budget of `settings`.
    """

    variants: tuple[Variant, ...]
    seeds: tuple[int, ...]
    settings: RunSettings
    minutes: float | None = None

    @property
    def names(self) -> list[str]:
        """The names of the variants."""
        return [variant.name for variant in self.variants]

    @property
    def epochs(self) -> float:
        """The number of epochs of a run, unless steps or minutes are its budget."""
        return DEFAULT_EPOCHS if self.settings.epochs is None else self.settings.epochs

    def runs(self) -> list[tuple[int, Variant]]:
        """Return the seed and the variant of each run, in the order of execution.

        The outer loop is over seeds, so an interrupted comparison has run all variants about equally often.
        """
        return [(seed, variant) for seed in self.seeds for variant in self.variants]

    def run_folder(self, variant: str, seed: int) -> str:
        """Return the name of the folder for the model of a run."""
        return f"{self.names.index(variant)}-seed-{seed}"

    def describe(self) -> dict[str, Any]:
        """Return the plan as JSON values, for `settings` in `compare.json`."""
        shared = {name: value for name, value in asdict(self.settings).items() if name not in _SET_PER_RUN}
        budget: dict[str, float] = {"epochs": self.epochs}
        if self.minutes is not None:
            budget = {"minutes": self.minutes}
        elif self.settings.max_steps > 0:
            budget = {"steps": self.settings.max_steps}
        return {"variants": self.names, "seeds": list(self.seeds), "budget": budget, **shared}


def batch_losses() -> list[str]:
    """Return the names of the losses that mine labelled batches. A comparison trains them on the same batches."""
    return [name for name, spec in LOSSES.items() if spec.data == "labels"]


def parse_grid(grid: Iterable[str] = (), distance: str = DEFAULT_DISTANCE) -> tuple[Variant, ...]:
    """Return all combinations of the losses, margins and distances that `grid` names.

    Args:
        grid: entries such as `loss=batch-hard,batch-all` or `margin=0.1,0.3`, with the keys `loss`, `margin` and
            `distance`. A key without an entry takes its default: all losses for labelled sentences, a margin of 0.3,
            and `distance`.
        distance: the default distance, which fits to the encoder.

    Raises:
        DataError: an entry is invalid, or there are fewer than two variants.

    Example:
        >>> [variant.name for variant in parse_grid(["loss=batch-hard", "margin=0.1,0.3"])]
        ['batch-hard, margin 0.1', 'batch-hard, margin 0.3']
    """
    named: dict[str, list[str]] = {}
    for entry in grid:
        key, _, values = entry.partition("=")
        if key not in ("loss", "margin", "distance") or not values:
            raise DataError(
                f"grid: cannot read {entry!r}; expected for example 'loss=batch-hard' or 'margin=0.1,0.3' (keys: loss, "
                "margin, distance)"
            )
        if key in named:
            raise DataError(
                f"grid: {key!r} is given twice; put all of its values into one entry, as in 'margin=0.1,0.3'"
            )
        named[key] = [value.strip() for value in values.split(",")]
    losses = _check_known("loss", named.get("loss"), batch_losses())
    distances = _check_known("distance", named.get("distance", [distance]), list(DISTANCES))
    margins = [_parse_margin(value) for value in named["margin"]] if "margin" in named else [DEFAULT_MARGIN]
    product = (
        Variant(loss=loss, margin=margin if LOSSES[loss].has_margin else None, distance=metric)
        for loss, margin, metric in itertools.product(losses, margins, distances)
    )
    variants = tuple(dict.fromkeys(product))
    if len(variants) < 2:
        raise DataError(
            f"grid: nothing to compare, because there is only one variant, {variants[0].name}; add values, or use "
            "`tercet train` to train this one"
        )
    return variants


def _check_known(key: str, values: Sequence[str] | None, known: Sequence[str]) -> Sequence[str]:
    for value in values or ():
        if value not in known:
            raise DataError(f"grid: {key} {value!r} is not one of {listed(known, limit=20)}")
    return values or known


def _parse_margin(value: str) -> float:
    try:
        margin = float(value)
    except ValueError:
        margin = math.nan
    if not 0 <= margin < math.inf:
        raise DataError(f"grid: margin {value!r} is not a number of at least 0")
    return margin


def _shortest(number: float) -> str:
    """Return the shortest text of a number that keeps its exact value, without `.0`."""
    return f"{number:g}" if float(f"{number:g}") == number else repr(number)
