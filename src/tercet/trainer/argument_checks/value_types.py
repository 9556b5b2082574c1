"""Check that training arguments have a value of the right type, because `transformers` uses most of them unchecked."""

import os
from collections.abc import Mapping
from numbers import Real
from typing import Any

import torch.multiprocessing as mp
from transformers.trainer_pt_utils import AcceleratorConfig

from tercet._files import as_path
from tercet.errors import DataError, listed, short_repr

# Arguments that are dictionaries. `transformers` also reads a JSON text, or the file of an `accelerator_config`.
_DICTIONARIES = ("lr_scheduler_kwargs", "gradient_checkpointing_kwargs", "accelerator_config")
# Arguments that are True or False, or None by default.
_FLAGS = ("greater_is_better", "disable_tqdm", "tf32")
_TEXTS = ("metric_for_best_model", "optim_args")


def check_types(values: dict[str, Any], defaults: dict[str, Any]) -> None:
    """Raise `DataError` if an argument has a value of another type than the trainer can use.

    Args:
        values: the arguments by name, as the user passed them.
        defaults: their default values. They say which arguments are numbers, and which are True or False.
    """
    for name, default in defaults.items():
        value = values[name]
        if value is None:
            continue
        if (isinstance(default, bool) or name in _FLAGS) and isinstance(value, str):  # "False" would be True.
            raise DataError(f"{name} must be True or False, got {value!r}")
        if isinstance(default, (int, float)) and not isinstance(default, bool) and not isinstance(value, Real):
            raise DataError(f"{name} must be a number, got {short_repr(value)}")
    for name in _DICTIONARIES:
        value = values[name]
        is_text = isinstance(value, str) and value.lstrip().startswith("{")
        is_file = isinstance(value, (str, os.PathLike)) and name == "accelerator_config"
        if not is_text and not is_file and not isinstance(value, (Mapping, AcceleratorConfig, type(None))):
            raise DataError(f"{name} must be a dictionary, got {short_repr(value)}")
    for name in _TEXTS:
        if not isinstance(values[name], (str, type(None))):
            raise DataError(f"{name} must be a string, got {short_repr(values[name])}")
    if values["output_dir"] is not None:
        as_path(values["output_dir"], "output_dir")
    if not isinstance(values["resume_from_checkpoint"], (bool, type(None))):
        as_path(values["resume_from_checkpoint"], "resume_from_checkpoint")
    _check_workers(values)


def _check_workers(values: dict[str, Any]) -> None:
    """Check the arguments of worker processes, which PyTorch checks only when the first batch is drawn."""
    context = values.get("dataloader_multiprocessing_context")
    if isinstance(context, str) and context not in mp.get_all_start_methods():
        known = listed(mp.get_all_start_methods())
        raise DataError(f"unknown dataloader_multiprocessing_context {context!r}; choose from {known}")
    for name in ("dataloader_persistent_workers", "dataloader_multiprocessing_context"):
        if values.get(name) and not values["dataloader_num_workers"]:
            raise DataError(f"{name}={values[name]!r} needs workers; set dataloader_num_workers, or leave out {name}")
