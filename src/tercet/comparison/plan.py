"""The plan of a comparison: variants (losses × margins × distances), seeds and a budget. Does not import torch."""

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from tercet.catalogue import DISTANCES, LOSSES
from tercet.errors import DataError, listed
from tercet.runs.settings import RunSettings

_DEFAULTS = RunSettings()
# Settings that a variant, the budget or a single run decides.
_NOT_SHARED = ("loss", "margin", "distance", "epochs", "max_steps", "seed", "save_every", "keep", "eval_steps")


@dataclass(frozen=True, kw_only=True)
class Variant:
    """A loss with its settings.

    Attributes:
        loss: the name of the loss.
        margin: in units of the distance; None for a loss without a margin.
        distance: the name of the distance.
    """

    loss: str
    margin: float | None
    distance: str

    @property
    def name(self) -> str:
        """The name in tables and files; the default distance is left out."""
        margin = [] if self.margin is None else [f"margin {_shortest(self.margin)}"]
        distance = [] if self.distance == _DEFAULTS.distance else [self.distance]
        return ", ".join([self.loss, *margin, *distance])

    def apply_to(self, settings: RunSettings) -> RunSettings:
        """Return the settings with this loss, margin and distance."""
        margin = settings.margin if self.margin is None else self.margin
        return replace(settings, loss=self.loss, margin=margin, distance=self.distance)


DEFAULT_VARIANT = Variant(loss=_DEFAULTS.loss, margin=_DEFAULTS.margin, distance=_DEFAULTS.distance)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A comparison: every variant with every seed.

    Attributes:
        variants: at least two.
        seeds: of batches and dropout; with each seed, all variants see the same batches.
        settings: of all runs; `max_steps`, or else `epochs`, is the budget of a run.
        minutes: the budget of a run in minutes of training, without evaluation; None takes that of `settings`.
    """

    variants: tuple[Variant, ...]
    seeds: tuple[int, ...]
    settings: RunSettings
    minutes: float | None = None

    @property
    def names(self) -> list[str]:
        """The names of the variants."""
        return [variant.name for variant in self.variants]

    def runs(self) -> list[tuple[int, Variant]]:
        """Return seed and variant of each run, in their order.

        Seeds are the outer loop, so that a comparison that is interrupted has run all variants equally often.
        """
        return [(seed, variant) for seed in self.seeds for variant in self.variants]

    def run_folder(self, variant: str, seed: int) -> str:
        """Return the name of the folder for the model of a run."""
        return f"{self.names.index(variant)}-seed-{seed}"

    def describe(self) -> dict[str, Any]:
        """Return the plan as JSON values, for the `settings` in `compare.json`."""
        shared = {name: value for name, value in asdict(self.settings).items() if name not in _NOT_SHARED}
        budget: dict[str, float] = {"epochs": self.settings.epochs}
        if self.minutes is not None:
            budget = {"minutes": self.minutes}
        elif self.settings.max_steps > 0:
            budget = {"steps": self.settings.max_steps}
        return {"variants": self.names, "seeds": list(self.seeds), "budget": budget, **shared}


def batch_losses() -> list[str]:
    """Return the names of the losses that mine labelled batches; they can be compared, as all see the same batches."""
    return [name for name, spec in LOSSES.items() if spec.data == "labels"]


def parse_grid(grid: Iterable[str] = ()) -> tuple[Variant, ...]:
    """Return all combinations of the losses, margins and distances that `grid` names.

    Args:
        grid: entries `loss=…`, `margin=…` or `distance=…`, with commas between the values. Without an entry for it,
            all losses for labelled sentences are taken, and the default margin and distance.

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
            raise DataError(f"grid: {entry!r} is not loss=…, margin=… or distance=…, with commas between the values")
        if key in named:
            raise DataError(f"grid: {key}=… is given twice; give all of its values at once, with commas between")
        named[key] = [value.strip() for value in values.split(",")]
    losses = _check_known("loss", named.get("loss"), batch_losses())
    distances = _check_known("distance", named.get("distance", [_DEFAULTS.distance]), list(DISTANCES))
    margins = [_parse_margin(value) for value in named["margin"]] if "margin" in named else [_DEFAULTS.margin]
    product = (
        Variant(loss=loss, margin=margin if LOSSES[loss].has_margin else None, distance=distance)
        for loss, margin, distance in itertools.product(losses, margins, distances)
    )
    variants = tuple(dict.fromkeys(product))
    if len(variants) < 2:
        raise DataError(f"there is nothing to compare: {variants[0].name} is the only variant; tercet train trains one")
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
    """Return a number with as few digits as identify it, and without `.0`."""
    return f"{number:g}" if float(f"{number:g}") == number else repr(number)
