"""Read and check the settings of a model: prompts, similarity, dimension, labels and the record of its training."""

from numbers import Integral
from pathlib import Path
from typing import Any

from tercet._files import check_format_version, read_json
from tercet._texts import has_lone_surrogate
from tercet.encoder.similarity import check_name
from tercet.encoder.storage import OWN_FORMAT_VERSION, ModelSettings
from tercet.errors import ModelError, listed
from tercet.records import TrainingRecord


def load_settings(folder: Path) -> ModelSettings:
    """Return the settings of the model in a folder.

    Raises:
        ModelError: a file is invalid, or a setting has another type. The message names the file.
    """
    config_file, own_file = folder / "config_sentence_transformers.json", folder / "tercet.json"
    config, own = (read_json(path) if path.exists() else {} for path in (config_file, own_file))
    check_format_version(own_file, own.get("format_version", 1), OWN_FORMAT_VERSION, "the file of a model")
    prompts = config.get("prompts") or {}
    if not isinstance(prompts, dict):
        raise ModelError(f"{config_file}: prompts must be a JSON object, got {prompts!r}")
    try:
        check_prompts(prompts, config.get("default_prompt_name"))
        similarity = own.get("similarity_fn_name") or config.get("similarity_fn_name")
        if similarity is not None:
            check_name(similarity)
        check_truncate_dim(config.get("truncate_dim"))
    except ModelError as error:
        raise ModelError(f"{config_file}: {error}") from None
    label_names = own.get("label_names")
    if label_names is not None and not (isinstance(label_names, list) and all(isinstance(n, str) for n in label_names)):
        raise ModelError(f"{own_file}: label_names must be a list of strings, got {label_names!r}")
    return ModelSettings(
        prompts=prompts,
        default_prompt_name=config.get("default_prompt_name"),
        similarity_fn_name=similarity,
        truncate_dim=config.get("truncate_dim"),
        label_names=label_names,
        training_record=_training_record(own.get("training"), own_file),
    )


def check_prompts(prompts: dict[str, Any], default_prompt_name: object) -> None:
    """Raise `ModelError` if a prompt is not a string, or no prompt is called `default_prompt_name`."""
    for name, prompt in prompts.items():
        if not isinstance(name, str) or not isinstance(prompt, str):
            raise ModelError(f"the prompt {name!r} must be a string, got {prompt!r}")
        if has_lone_surrogate(prompt):
            raise ModelError(f"the prompt {name!r} contains a lone surrogate (half of a character); remove it")
    if default_prompt_name is not None and (
        not isinstance(default_prompt_name, str) or default_prompt_name not in prompts
    ):
        raise ModelError(
            f"default_prompt_name is {default_prompt_name!r}, but the prompts of this model are: "
            f"{listed(prompts) or 'none'}"
        )


def check_truncate_dim(value: object) -> None:
    """Raise `ModelError` unless `truncate_dim` is None or a positive integer."""
    if value is not None and (not isinstance(value, Integral) or isinstance(value, bool) or int(value) < 1):
        raise ModelError(f"truncate_dim must be a positive integer or None, got {value!r}")


def _training_record(content: Any, path: Path) -> TrainingRecord | None:
    if not content:
        return None
    tables = ("loss_settings", "data", "settings", "before", "after")
    if not isinstance(content, dict) or not isinstance(content.get("loss"), str):
        raise ModelError(f"{path}: the field 'training' must be a JSON object with the field 'loss'")
    for name in tables:
        if not isinstance(content.get(name, {}), (dict, type(None))):
            raise ModelError(f"{path}: the field {name!r} of 'training' must be a JSON object")
    return TrainingRecord.from_dict({**content, **{name: content.get(name) or {} for name in tables[:3]}})
