"""Check that the weights of an encoder are complete, used and finite."""

import logging
import re
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from tercet.errors import ModelError, counted, listed

logger = logging.getLogger("tercet")

# Weights that an encoder recomputes. Old files have them, and new versions of `transformers` do not read them.
_RECOMPUTED = ("position_ids", "token_type_ids", "inv_freq", "masked_bias", "attn.bias")


def check_loading_info(
    auto_model: nn.Module, info: Mapping[str, Any], shapes: Iterable[str] | None, place: str, *, chosen: bool = False
) -> None:
    """Raise `ModelError` if weights are missing, have another shape, or belong to the encoder but are not used.

    Args:
        auto_model: the encoder.
        info: the loading information of `transformers`.
        shapes: the names of the weights in the files; None if they are not in a local folder.
        place: the folder, for messages.
        chosen: whether the user passed a configuration. Then unused weights are only a warning.
    """
    missing = sorted(name for name in info["missing_keys"] if "pooler" not in name.split("."))
    if missing:
        raise ModelError(f"the weights in {place} are incomplete: {_why_missing(missing, info, shapes, auto_model)}")
    if info["mismatched_keys"]:
        name, found, expected = min(info["mismatched_keys"], key=lambda entry: str(entry[0]))
        raise ModelError(
            f"the weights in {place} do not have the shapes that config.json requires: {name!r} is "
            f"{tuple(found)}, expected {tuple(expected)}"
        )
    if info["error_msgs"]:
        raise ModelError(f"the weights in {place} cannot be loaded: {' '.join(map(str, info['error_msgs']))[:400]}")
    unused = sorted(_own(auto_model, info["unexpected_keys"]))
    if unused:
        message = (
            f"{place} has {counted(len(unused), 'weight')} of the encoder that config.json leaves out: "
            f"{listed(unused, 3)}; {_layers(unused, auto_model)}correct config.json"
        )
        if not chosen:
            raise ModelError(message)
        logger.warning(f"{message.removesuffix('correct config.json')}they are not used")


def is_finite(weight: Tensor) -> bool:
    """Return whether no value of a weight is NaN or infinite.

    A NaN or an infinite value makes the sum of a weight NaN or infinite. Only such a weight is checked in full, because
    the sum of finite values can overflow. The full check makes copies of the weight.
    """
    return bool(weight.sum(dtype=torch.float32).isfinite()) or bool(weight.isfinite().all())


def check_finite(module: nn.Module, place: str) -> None:
    """Raise `ModelError` if a weight is NaN or infinite."""
    with torch.no_grad():
        for name, weight in module.named_parameters():
            if not weight.is_floating_point() or weight.is_meta:
                continue
            if not is_finite(weight):
                count = int((~torch.isfinite(weight)).sum())
                raise ModelError(
                    f"the weights in {place} are damaged: {name!r} has {count:,} NaN or infinite values of "
                    f"{weight.numel():,}; copy or download the file again, or use an earlier checkpoint"
                )


def _why_missing(
    missing: list[str], info: Mapping[str, Any], names: Iterable[str] | None, auto_model: nn.Module
) -> str:
    """Return what is missing, and what was probably meant."""
    what = f"{len(missing)} are missing, such as {listed(missing, 3)}"
    found = sorted(names or info["unexpected_keys"])
    prefix = _common_prefix(missing, found)
    if prefix:
        return (
            f"{what}. The names in the file have the prefix {prefix!r}, which a wrapper of the model adds; "
            "save the model inside the wrapper, or remove the prefix from the names"
        )
    layers = _highest_layer(found)
    depth = _highest_layer(missing)
    if (
        depth is not None
        and layers is not None
        and depth > layers
        and all(_is_beyond(name, layers) for name in missing)
    ):
        return f"{what}. config.json has num_hidden_layers {depth + 1}, but the file has {layers + 1} layers"
    parameters = set(auto_model.state_dict())
    if len(missing) > len(parameters) // 2:
        kind = getattr(auto_model, "config", None)
        return (
            f"{what}. The file has other names, such as {listed(found, 3)}, so that it is probably not a "
            f"{getattr(kind, 'model_type', 'model of this type')} model; correct model_type in config.json"
        )
    return f"{what}. Copy or download the file again, or save the model again"


def _common_prefix(missing: list[str], found: list[str]) -> str | None:
    """Return the prefix that every missing name has in the file, or None."""
    names = set(found)
    endings = [name.removesuffix(missing[0]) for name in found if name.endswith(missing[0]) and name != missing[0]]
    return next((prefix for prefix in endings if all(prefix + name in names for name in missing)), None)


def _own(auto_model: nn.Module, unexpected: Iterable[str]) -> list[str]:
    """Return the unexpected weights that belong to a module of the encoder, or to one more of its layers."""
    modules = {_pattern(name) for name, _ in auto_model.named_modules() if name}
    prefix = f"{getattr(auto_model, 'base_model_prefix', '')}."
    own = []
    for name in unexpected:
        module = _pattern(name.removeprefix(prefix)).rpartition(".")[0]
        if module in modules and not name.endswith(_RECOMPUTED):
            own.append(name)
    return own


def _layers(unused: list[str], auto_model: nn.Module) -> str:
    used, found = _highest_layer(name for name, _ in auto_model.named_parameters()), _highest_layer(unused)
    if used is None or found is None or found <= used:
        return ""
    return f"it has num_hidden_layers {used + 1}, but the file has {found + 1} layers; "


def _highest_layer(names: Iterable[str]) -> int | None:
    numbers = [int(number) for name in names for number in re.findall(r"\.(\d{1,9})\.", name)[:1]]
    return max(numbers, default=None)


def _is_beyond(name: str, layer: int) -> bool:
    number = _highest_layer([name])
    return number is not None and number > layer


def _pattern(name: str) -> str:
    return re.sub(r"\d+", "N", name)
