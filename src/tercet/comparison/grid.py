"""Read the grid of a comparison: the values of settings, and all of their combinations. Imports no torch."""

import itertools
import math
import types
import typing
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from typing import Any

from tercet.catalogue import DEFAULT_MARGIN, DISTANCES, LOSSES
from tercet.comparison.plan import Variant, loss_title
from tercet.errors import DataError, listed
from tercet.records import short_model_names
from tercet.runs.settings import DEFAULT_DISTANCE, ENCODER_SETTINGS, RunSettings

# Settings that cannot be a key of a grid: those that all runs share or that a comparison sets itself or does not use.
_NOT_COMPARED = (
    "multi_label", "jaccard_weights", "seed", "max_steps", "time_limit", "fsdp", "save_every", "keep", "eval_steps",
    "report_to",
)  # fmt: skip
# The settings that do not change the result of `train=head`. The head has its own loss and batches.
_UNUSED_BY_HEAD = (*ENCODER_SETTINGS, "batch_size", "samples_per_label")
# The keys that define the loss. A grid without another key compares losses.
_LOSS_KEYS = ("loss", "margin", "distance")


def grid_keys() -> list[str]:
    """Return the keys of a grid: `model`, and the settings of a run that a comparison can vary."""
    settings = [item.name for item in fields(RunSettings) if item.name not in _NOT_COMPARED]
    return ["model", *settings]


def batch_losses() -> list[str]:
    """Return the names of the losses that mine labelled batches. A comparison trains them on the same batches."""
    return [name for name, spec in LOSSES.items() if spec.data == "labels"]


def models_in_grid(grid: Iterable[str]) -> list[str]:
    """Return the models that a grid names, in its order; an empty list if it has no key `model`."""
    return list(read_grid(grid).get("model", ()))


def separator_in_grid(grid: Iterable[str]) -> str | None:
    """Return the separator of nested labels that a grid compares with training without levels; None without one.

    Raises:
        DataError: there are several.
    """
    found = [value for value in read_grid(grid).get("label_levels", ()) if value is not None]
    if len(found) > 1:
        raise DataError(f"grid: the variants may have one separator, or no label_levels; got {listed(found)}")
    return found[0] if found else None


def parse_grid(
    grid: Iterable[str] = (),
    distance: str | Mapping[str | None, str] = DEFAULT_DISTANCE,
    settings: RunSettings | None = None,
) -> tuple[Variant, ...]:
    """Return all combinations of the values that `grid` names.

    Args:
        grid: entries such as `loss=batch-hard,batch-all`, `margin=0.1,0.3` or `model=a,b`. The keys are those of
            `grid_keys`, and each has its values in one entry. Without `margin`, the margin is 0.3, and without
            `distance`, it is the argument of this name. Without `loss`, a grid of margins and distances, or an empty
            one, has all losses for labelled sentences; a grid with other keys has the loss of `settings`.
        distance: the default distance, which fits to the encoder, or the one of each model of the grid.
        settings: the settings that the variants do not change; None uses the defaults.

    Raises:
        DataError: an entry is invalid, a variant has an invalid setting, or there are fewer than two variants.

    Example:
        >>> [variant.name for variant in parse_grid(["loss=batch-hard", "margin=0.1,0.3"])]
        ['batch-hard, margin 0.1', 'batch-hard, margin 0.3']
        >>> [variant.name for variant in parse_grid(["model=bundled", "epochs=1,3"])]
        ['bundled, epochs 1', 'bundled, epochs 3']
    """
    settings, values = settings or RunSettings(), read_grid(grid)
    other_keys = [key for key in values if key not in _LOSS_KEYS]
    losses = values.get("loss") or ([settings.loss] if other_keys else batch_losses())
    margins, distances = values.get("margin", [DEFAULT_MARGIN]), values.get("distance", [None])
    models = values.get("model", [None])
    changed = [key for key in other_keys if key != "model"]
    for key in changed:
        if (given := getattr(settings, key)) != getattr(RunSettings(), key):
            raise DataError(f"grid: {key} is in the grid, but {key}={given} is given too; leave one out")
    # A dimension is that of the variants with a linear layer, if there are any.
    drops_dimension = set(values.get("train", ())) > {"encoder"}
    names = short_model_names(models)
    hides_loss = bool(other_keys) and not {"loss", "margin"} & values.keys()
    variants = []
    for model, loss, margin, metric, *rest in itertools.product(
        models, losses, margins, distances, *(values[key] for key in changed)
    ):
        changes = dict(zip(changed, rest, strict=True))
        train = changes.get("train", settings.train)
        if train == "head":  # It uses neither the loss nor the training of the encoder.
            loss, margin, metric = losses[0], margins[0], DEFAULT_DISTANCE
            changes = {key: value for key, value in changes.items() if key not in _UNUSED_BY_HEAD}
        elif train == "encoder" and drops_dimension:
            changes.pop("dimension", None)
        margin = margin if LOSSES.find(loss, DataError).has_margin else None
        if metric is None:
            metric = distance if isinstance(distance, str) else distance[model]
        title = loss_title(loss, margin, metric, hides_loss=hides_loss or train == "head")
        parts = [*([names[model]] if model else []), *([title] if title else []), *map(_describe, changes.items())]
        if drops_dimension and settings.dimension is not None:
            changes["dimension"] = None if train == "encoder" else settings.dimension
        variant = Variant(
            loss=loss,
            margin=margin,
            distance=metric,
            model=model,
            changes=tuple(changes.items()),
            label=", ".join(parts),
        )
        # The product repeats a loss without a margin for each margin, and a head for each learning rate.
        if variant not in variants:
            variants.append(variant)
    for variant in variants:
        _check(variant, settings)
    if len(variants) < 2:
        raise DataError(
            f"grid: nothing to compare, because there is only one variant, {variants[0].name}; add values, or use "
            "`tercet train` to train this one"
        )
    return tuple(variants)


def check_is_list(grid: Any) -> None:
    """Raise `DataError` if a grid is one string or a dictionary, and no list of entries."""
    if isinstance(grid, (str, Mapping)):
        raise DataError(f"grid must be a list of entries, such as ['margin=0.1,0.3', 'epochs=1,3'], got {grid!r}")


def read_grid(grid: Iterable[str]) -> dict[str, list[Any]]:
    """Return the values of each key of a grid, with their types.

    Raises:
        DataError: an entry cannot be read, its key is unknown, or a key or a value is given twice.
    """
    values: dict[str, list[Any]] = {}
    keys = grid_keys()
    for entry in grid:
        name, _, text = entry.partition("=")
        key = name.strip().replace("-", "_")
        if key not in keys or not text:
            raise DataError(
                f"grid: cannot read {entry!r}; expected for example 'loss=batch-hard' or 'margin=0.1,0.3' (keys: "
                f"{', '.join(known.replace('_', '-') for known in keys)})"
            )
        if key in values:
            raise DataError(
                f"grid: {key!r} is given twice; put all of its values into one entry, as in 'margin=0.1,0.3'"
            )
        values[key] = []
        for word in map(str.strip, text.split(",")):
            value = _parse(key, word)
            if value in values[key]:
                raise DataError(f"grid: {key} {word!r} is given twice, so two variants would be equal; give it once")
            values[key].append(value)
    return values


def _parse(key: str, text: str) -> Any:
    if key == "loss":
        return _known(key, text, batch_losses())
    if key == "distance":
        return _known(key, text, list(DISTANCES))
    if key == "margin":
        return _number(key, text, float, "a number of at least 0", lowest=0)
    if not text:
        raise DataError(f"grid: {key!r} has an empty value; give values such as '{key}=a,b'")
    types_ = _types_of(key)
    if type(None) in types_ and text == "none":
        return None
    if bool in types_:
        return _known(key, text, ["true", "false"]) == "true"
    if choices := [choice for choice in types_ if isinstance(choice, str)]:
        return _known(key, text, choices)
    if int in types_:
        return _number(key, text, int, "a whole number")
    if float in types_:
        return _number(key, text, float, "a finite number")
    return text


def _types_of(key: str) -> set[Any]:
    """Return the types of a setting, and the strings that it may be if its type is a `Literal`."""
    hint = str if key == "model" else typing.get_type_hints(RunSettings)[key]
    union = typing.get_origin(hint) in (typing.Union, types.UnionType)
    found: set[Any] = set()
    for part in typing.get_args(hint) if union else (hint,):
        found |= set(typing.get_args(part)) if typing.get_origin(part) is typing.Literal else {part}
    return found


def _known(key: str, value: str, known: Sequence[str]) -> str:
    if value not in known:
        raise DataError(f"grid: {key} {value!r} is not one of {listed(known, limit=20)}")
    return value


def _number(key: str, text: str, kind: type, expected: str, lowest: float = -math.inf) -> Any:
    try:
        number = kind(text)
    except ValueError:
        number = math.nan
    if not lowest <= number < math.inf or number == -math.inf:
        raise DataError(f"grid: {key} {text!r} is not {expected}")
    return number


def _check(variant: Variant, settings: RunSettings) -> None:
    """Raise `DataError` if a variant has an invalid setting. The message names the grid if the grid caused it."""
    try:
        variant.apply_to(settings).check()
    except DataError as error:
        try:
            Variant(loss=variant.loss, margin=variant.margin, distance=variant.distance).apply_to(settings).check()
        except DataError:
            raise error from None
        raise DataError(f"grid: {error}") from None


def _describe(change: tuple[str, Any]) -> str:
    key, value = change
    text = f"{value:g}" if isinstance(value, float) and float(f"{value:g}") == value else str(value).lower()
    return f"{key.replace('_', ' ')} {text}"
