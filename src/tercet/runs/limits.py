"""Check that the settings of a run are within their limits. This module does not import torch."""

import importlib.util
import math
from dataclasses import fields
from typing import TYPE_CHECKING, get_args

from tercet._distributed import check_can_shard, launched_world_size
from tercet._numbers import check_is_number, check_margin
from tercet._separators import check_separator
from tercet.catalogue import DISTANCES, LOSSES
from tercet.errors import DataError, did_you_mean, listed
from tercet.runs.trackers import check_trackers

if TYPE_CHECKING:
    from tercet.runs.settings import RunSettings

# What a run trains, with a description for the help.
PARTS = {
    "auto": "chosen by cross-validation over training rows",
    "head": "a linear layer on the embeddings, in seconds; the encoder stays as it is",
    "encoder": "the encoder alone",
    "both": "the linear layer first, then encoder and layer together",
}


def check_settings(settings: "RunSettings") -> None:
    """Raise `DataError` if a setting is outside its valid range; the message names the setting and the range."""
    LOSSES.find(settings.loss, DataError)
    _check_numbers(settings)
    if settings.distance is not None:
        DISTANCES.find(settings.distance, DataError)
    _check_margins(settings)
    _check_labels(settings)
    if settings.train not in PARTS:
        hint = did_you_mean(str(settings.train), PARTS).strip()
        raise DataError(f"train must be one of {listed(PARTS)}, got {settings.train}{hint and f'; {hint}'}")
    for name in ("epochs", "learning_rate", "time_limit"):
        value = getattr(settings, name)
        check_value(name, value, value is None or 0 < value < math.inf, "above 0")
    if settings.time_limit is not None and settings.max_steps > 0:
        raise DataError("time_limit and max_steps exclude each other; pass one of them")
    if settings.time_limit is not None and settings.train == "head":
        raise DataError(
            f"time_limit={settings.time_limit:g} limits the steps of the encoder, but train='head' does not train it; "
            "leave out one of them"
        )
    check_value("neighbor_labels", settings.neighbor_labels, 0 <= settings.neighbor_labels <= 1, "from 0 to 1")
    check_value("dimension", settings.dimension, settings.dimension is None or settings.dimension > 0, "at least 1")
    if settings.dimension is not None and settings.train == "encoder":
        raise DataError(
            f"dimension={settings.dimension} is that of the linear layer, but train='encoder' trains none; leave out "
            "one of them"
        )
    check_value("max_steps", settings.max_steps, settings.max_steps > 0 or settings.max_steps == -1, "at least 1")
    check_value("warmup_ratio", settings.warmup_ratio, 0 <= settings.warmup_ratio < 1, "at least 0 and below 1")
    check_value("seed", settings.seed, 0 <= settings.seed < 2**32, "from 0 to 4294967295")
    check_value("cross_batch_memory", settings.cross_batch_memory, settings.cross_batch_memory >= 0, "at least 0")
    for name in ("mini_batch_tokens", "save_every", "keep", "eval_steps", "max_seq_length", "lora_rank"):
        value = getattr(settings, name)
        check_value(name, value, value is None or value > 0, "at least 1")
    _check_batch(settings)
    _check_packages(settings)
    if settings.fsdp:
        _check_fsdp(settings)


def _check_numbers(settings: "RunSettings") -> None:
    for item in fields(settings):
        kinds, value = set(get_args(item.type)) or {item.type}, getattr(settings, item.name)
        if kinds <= {int, float, type(None)} and not (value is None and type(None) in kinds):
            check_is_number(item.name, value, error=DataError)


def _check_margins(settings: "RunSettings") -> None:
    if not isinstance(settings.margin, list):
        if settings.margin is not None:
            check_margin(settings.margin, error=DataError)
        return
    if not settings.margin:
        raise DataError("margin is an empty list; pass a number, or one for each level of nested labels")
    for margin in settings.margin:
        check_margin(margin, error=DataError)
    if settings.label_levels is None:
        raise DataError(
            f"margin has {len(settings.margin)} values, one for each level of nested labels, but label_levels is not "
            "given; pass label_levels, or one margin"
        )


def _check_labels(settings: "RunSettings") -> None:
    check_separator(settings.label_levels, "label_levels")
    check_separator(settings.multi_label, "multi_label")
    for name in ("label_levels", "multi_label"):
        if getattr(settings, name) is not None and settings.uses_triplets:
            raise DataError(f"{name} needs labels, but the data of the triplet loss have none; leave it out")
    if settings.multi_label is not None and settings.label_levels is not None:
        raise DataError("label_levels and multi_label exclude each other; pass one of them")


def _check_packages(settings: "RunSettings") -> None:
    """Raise `DataError` if an optional package is missing."""
    if settings.lora and importlib.util.find_spec("peft") is None:
        raise DataError("lora=True needs the package peft; run pip install 'tercet[peft]'")
    if settings.lora and settings.train == "head":
        raise DataError("lora=True adapts the encoder, but train='head' does not train it; leave out one of them")
    if settings.lora_rank is not None and not settings.lora:
        raise DataError(f"lora_rank={settings.lora_rank} needs lora=True")
    check_trackers(settings.report_to)


def _check_fsdp(settings: "RunSettings") -> None:
    if settings.train == "head":
        raise DataError("fsdp=True shards the encoder, but train='head' does not train it; leave out one of them")
    if settings.time_limit is not None:
        raise DataError(
            "time_limit and fsdp=True exclude each other, because the time of a step is measured before the model "
            "is sharded; pass epochs or max_steps instead of time_limit"
        )
    check_can_shard(launched_world_size())


def _check_batch(settings: "RunSettings") -> None:
    if settings.uses_triplets:
        check_value("batch_size", settings.batch_size, settings.batch_size > 0, "at least 1")
        return
    k = settings.samples_per_label
    if k < 2:
        raise DataError(f"samples_per_label must be at least 2, got {k}: a single sentence of a label has no positive")
    if settings.batch_size % k or settings.batch_size < 2 * k:
        raise DataError(
            f"batch_size must be a multiple of samples_per_label={k} and at least {2 * k}, got {settings.batch_size}"
        )


def check_value(name: str, value: object, fits: bool, wanted: str) -> None:
    """Raise `DataError` if `fits` is False. The message gives `name`, the valid values `wanted`, and `value`."""
    if not fits:
        raise DataError(f"{name} must be {wanted}, got {value}")


def check_jaccard_weights(jaccard_weights: bool, multi_label: str | None) -> None:
    """Raise `DataError` if `jaccard_weights` is True but the rows that were read have one label each."""
    if jaccard_weights and multi_label is None:
        raise DataError("jaccard_weights=True needs rows with several labels; pass multi_label, or leave it out")


def check_eval_fraction(fraction: float) -> None:
    """Raise `DataError` unless 0 ≤ `fraction` < 1."""
    check_is_number("eval_fraction", fraction, error=DataError)
    check_value("eval_fraction", fraction, 0 <= fraction < 1, "at least 0 and below 1")
