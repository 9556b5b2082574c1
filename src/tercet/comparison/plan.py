"""The variants of a comparison: losses × margins × distances, from what a user names."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from tercet.catalogue import DISTANCES
from tercet.errors import DataError, listed
from tercet.runs.settings import RunSettings

_SOFT = "batch-hard-soft-margin"
_USUAL = RunSettings()
# Those that mine labelled batches, so that all of them see the same; the default is first.
BATCH_LOSSES = ("batch-semi-hard", "batch-all", "batch-hard", _SOFT)


@dataclass(frozen=True)
class Variant:
    """A loss with its settings.

    Attributes:
        margin: in units of the distance; None for the soft margin, which has none.
    """

    loss: str
    margin: float | None
    distance: str

    @property
    def name(self) -> str:
        """What it is called in tables and files; the usual distance goes without saying."""
        margin = [] if self.margin is None else [f"margin {_short(self.margin)}"]
        distance = [] if self.distance == _USUAL.distance else [self.distance]
        return ", ".join([self.loss, *margin, *distance])

    def of(self, settings: RunSettings) -> RunSettings:
        """Those settings with this loss."""
        margin = settings.margin if self.margin is None else self.margin
        return replace(settings, loss=self.loss, margin=margin, distance=self.distance)


DEFAULT = Variant(_USUAL.loss, _USUAL.margin, _USUAL.distance)


def variants_of(grid: Sequence[str] = ()) -> tuple[Variant, ...]:
    """All combinations of what `grid` names, each entry `loss=…`, `margin=…` or `distance=…` with commas between.

    What is not named is as usual: the four batch losses, the default margin and distance.

    Raises:
        DataError: an entry is not understood, or there are fewer than two variants.
    """
    named: dict[str, list[str]] = {}
    for entry in grid:
        key, _, values = entry.partition("=")
        if key not in ("loss", "margin", "distance") or not values:
            raise DataError(f"--grid {entry}: give loss=…, margin=… or distance=…, with commas between the values")
        if key in named:
            raise DataError(f"--grid {key}=… is there twice; give all of its values at once, with commas between")
        named[key] = [value.strip() for value in values.split(",")]
    losses = _known(named.get("loss", BATCH_LOSSES), BATCH_LOSSES, "loss")
    distances = _known(named.get("distance", [DEFAULT.distance]), tuple(DISTANCES), "distance")
    margins = [_margin(value) for value in named["margin"]] if "margin" in named else [DEFAULT.margin]
    product = (
        Variant(loss, None if loss == _SOFT else margin, distance)
        for loss, margin, distance in itertools.product(losses, margins, distances)
    )
    variants = tuple(dict.fromkeys(product))
    if len(variants) < 2:
        raise DataError(f"there is nothing to compare: {variants[0].name} is the only variant; tercet train trains one")
    return variants


def _known(values: Sequence[str], known: Sequence[str], key: str) -> Sequence[str]:
    for value in values:
        if value not in known:
            raise DataError(f"--grid {key}: {value!r} is not one of {listed(known)}")
    return values


def _short(number: float) -> str:
    """As few digits as tell it from every other number, and no `.0`."""
    return f"{number:g}" if float(f"{number:g}") == number else repr(number)


def _margin(value: str) -> float:
    try:
        margin = float(value)
    except ValueError:
        margin = math.nan
    if not 0 <= margin < math.inf:
        raise DataError(f"--grid margin: {value!r} is not a number of at least 0")
    return margin
