"""Define the plan of a comparison: variants, seeds and budget. Imports no torch."""

from dataclasses import asdict, dataclass, replace
from typing import Any

from tercet.catalogue import DEFAULT_MARGIN
from tercet.runs.settings import DEFAULT_DISTANCE, RunSettings

_DEFAULTS = RunSettings()
# Runs of a comparison are shorter than those of `tercet train`, because there are many.
DEFAULT_EPOCHS = 1.0
# Settings that are not the same in all runs, or that a comparison does not use: compare.json has no entry for them.
_SET_PER_RUN = ("loss", "margin", "distance", "epochs", "max_steps", "seed", "save_every", "keep", "eval_steps")


@dataclass(frozen=True, kw_only=True)
class Variant:
    """A loss with a margin and a distance, an encoder, and other settings that differ between variants.

    Attributes:
        loss: the name of the loss.
        margin: the margin; None for a loss without a margin.
        distance: the name of the distance.
        model: the encoder; None is the one that all variants start from.
        changes: other settings of the variant, as pairs of their name in `RunSettings` and a value.
        label: the name in tables and files; "" derives it from the loss, the margin and the distance.

    Example:
        >>> Variant(loss="batch-hard", margin=0.2, distance="cosine").name
        'batch-hard, margin 0.2, cosine'
    """

    loss: str
    margin: float | None
    distance: str
    model: str | None = None
    changes: tuple[tuple[str, Any], ...] = ()
    label: str = ""

    @property
    def name(self) -> str:
        """The name in tables and files, such as `batch-hard, margin 0.3`; it leaves out the default distance."""
        return self.label or loss_title(self.loss, self.margin, self.distance)

    def apply_to(self, settings: RunSettings) -> RunSettings:
        """Return `settings` with those of this variant."""
        margin = settings.margin if self.margin is None else self.margin
        changed = {"loss": self.loss, "margin": margin, "distance": self.distance, **dict(self.changes)}
        return replace(settings, **changed)


DEFAULT_VARIANT = Variant(loss=_DEFAULTS.loss, margin=DEFAULT_MARGIN, distance=DEFAULT_DISTANCE)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The plan of a comparison, which runs every variant with every seed.

    Attributes:
        variants: the variants, at least two.
        seeds: the random seeds of batches and dropout. With the same seed, all variants of one batch size get the same
            batches.
        settings: the settings that the variants do not change. `max_steps` is the budget of a run, or `epochs` if
            `max_steps` is -1; 1 epoch if `epochs` is None.
        minutes: the budget of a run in minutes of training, without evaluation; None uses the budget of `settings`.

    Example:
        >>> variants = tuple(Variant(loss="batch-hard", margin=margin, distance="cosine") for margin in (0.1, 0.3))
        >>> plan = Plan(variants=variants, seeds=(0, 1, 2), settings=RunSettings(max_steps=100))
        >>> len(plan.runs())
        6
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

    @property
    def models(self) -> list[str | None]:
        """The encoders of the variants, each once; [None] if all variants start from the same one."""
        return list(dict.fromkeys(variant.model for variant in self.variants))

    @property
    def label_levels(self) -> str | None:
        """The separator of nested labels, by which all variants are measured; None if no variant has levels."""
        found = (variant.apply_to(self.settings).label_levels for variant in self.variants)
        return next(filter(None, found), None)

    @property
    def default(self) -> Variant | None:
        """The variant with the default loss and margin, and the settings that the variants do not change."""
        defaults = asdict(self.settings)
        for variant in self.variants:
            usual = (variant.loss, variant.margin) == (DEFAULT_VARIANT.loss, DEFAULT_VARIANT.margin)
            if usual and all(defaults[key] == value for key, value in variant.changes) and len(self.models) == 1:
                return variant
        return None

    def describe(self) -> dict[str, Any]:
        """Return the plan as JSON values, for `settings` in `compare.json`."""
        compared = {key: value for variant in self.variants for key, value in variant.changes}
        not_shared = {*_SET_PER_RUN, *compared}
        shared = {name: value for name, value in asdict(self.settings).items() if name not in not_shared}
        budget: dict[str, Any] = {"epochs": self.epochs}
        if "epochs" in compared:
            epochs = (value for variant in self.variants for key, value in variant.changes if key == "epochs")
            budget = {"epochs": sorted(set(epochs))}
        if self.minutes is not None:
            budget = {"minutes": self.minutes}
        elif self.settings.max_steps > 0:
            budget = {"steps": self.settings.max_steps}
        return {"variants": self.names, "seeds": list(self.seeds), "budget": budget, **shared}


def loss_title(loss: str, margin: float | None, distance: str, *, hides_loss: bool = False) -> str:
    """Return the name of a loss in tables, such as `batch-hard, margin 0.3`. It leaves out the default distance.

    With `hides_loss`, it has only a distance that is not the default.
    """
    parts = [] if hides_loss else [loss, *([] if margin is None else [f"margin {_shortest(margin)}"])]
    return ", ".join([*parts, *([] if distance == DEFAULT_DISTANCE else [distance])])


def _shortest(number: float) -> str:
    """Return the shortest text of a number that keeps its exact value, without `.0`."""
    return f"{number:g}" if float(f"{number:g}") == number else repr(number)
