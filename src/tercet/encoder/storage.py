"""Read and write model directories.

The layouts of sentence-transformers 3.x to 6.x can be read. The layout of 3.x is written, which all of them can read
(exception: see `Pooling.save`).

modules.json                       the list of modules, each with idx, name, path and type
config_sentence_transformers.json  prompts, default_prompt_name, similarity_fn_name
tercet.json                        settings that sentence-transformers does not have: label names, training record, and
                                   a similarity that it does not know
config.json, model.safetensors, …  the Transformer; the other modules are in the folders 1_Pooling, 2_Dense, …
README.md                          the model card
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import shorten
from typing import Any

import torch
from safetensors import SafetensorError
from torch import nn

from tercet._files import atomic_directory, read_json, write_json
from tercet._version import __version__
from tercet.encoder.hub import find_folder
from tercet.encoder.modules import Dense, Normalize, Pooling, Transformer
from tercet.encoder.similarity import COMMON_NAMES
from tercet.errors import ModelError, listed
from tercet.records import TrainingRecord

_MODULES: dict[str, Any] = {kind.__name__: kind for kind in (Transformer, Pooling, Dense, Normalize)}
# The `format_version` of tercet.json. Format 1 has no such field and is otherwise the same. Both formats are read.
_FORMAT_VERSION = 2
# Maximum number of characters that a message quotes from an error of another library.
_MAX_REASON = 400


@dataclass(kw_only=True)
class ModelSettings:
    """The settings of a model directory that belong to no module; see the attributes of `SentenceTransformer`."""

    prompts: dict[str, str] = field(default_factory=dict)
    default_prompt_name: str | None = None
    similarity_fn_name: str | None = None
    label_names: list[str] | None = None
    training_record: TrainingRecord | None = None


def load_modules(name_or_folder: str, **hub: Any) -> tuple[list[nn.Module], ModelSettings]:
    """Load the modules and settings of a model from a folder or the hub.

    A model without `modules.json` is loaded as a Transformer with mean pooling.

    Args:
        hub: `trust_remote_code` and the arguments in `tercet.encoder.hub.HUB_ARGUMENTS`.

    Raises:
        ModelError: the model is not found, a file is missing or invalid, or a module is not supported.
    """
    folder = find_folder(name_or_folder, **hub)
    if not (folder / "modules.json").exists():
        transformer = _load_transformer(_with_weights(folder, name_or_folder), None, hub)
        return [transformer, Pooling(transformer.hidden_size, "mean")], ModelSettings()
    return [_load_module(folder, entry, hub) for entry in _module_entries(folder)], _load_settings(folder)


def save_modules(
    modules: Iterable[nn.Module], settings: ModelSettings, card: str, folder: Path, more_json: dict[str, Any]
) -> None:
    """Write a model directory atomically.

    Args:
        card: the text of README.md.
        more_json: further JSON files to write: the content by file name.

    Raises:
        ModelError: a module has no method `save`, or the folder cannot be written.
    """
    with atomic_directory(folder) as staging:
        entries = []
        for index, module in enumerate(modules):
            kind = type(module).__name__
            save = getattr(module, "save", None)
            if save is None:
                raise ModelError(
                    f"module {index} ({kind}) cannot be saved: it has no method save(folder); define this method"
                )
            path = "" if index == 0 else f"{index}_{kind}"
            (staging / path).mkdir(exist_ok=True)
            save(staging / path)
            entries.append(
                {"idx": index, "name": str(index), "path": path, "type": f"sentence_transformers.models.{kind}"}
            )
        _save_settings(settings, staging)
        write_json(staging / "modules.json", entries)
        for name, content in more_json.items():
            write_json(staging / name, content)
        (staging / "README.md").write_text(card, encoding="utf-8")


def _module_entries(folder: Path) -> list[dict[str, Any]]:
    try:
        entries = json.loads((folder / "modules.json").read_text(encoding="utf-8"))
        entries = sorted(entries, key=lambda entry: entry["idx"])
        if not entries or not all(isinstance(entry["type"] + entry["path"], str) for entry in entries):
            raise TypeError
    except (ValueError, TypeError, KeyError, AttributeError):
        raise ModelError(
            f"{folder / 'modules.json'} must contain a non-empty list of modules, each with idx, path and type"
        ) from None
    if entries[0]["type"].rpartition(".")[2] != "Transformer":
        raise ModelError(
            f"the first module in {folder / 'modules.json'} must be a Transformer, but its type is {entries[0]['type']}"
        )
    return entries


def _load_module(folder: Path, entry: dict[str, Any], hub: dict[str, Any]) -> nn.Module:
    package, _, kind = entry["type"].rpartition(".")
    if kind not in _MODULES or package.partition(".")[0] != "sentence_transformers":
        raise ModelError(
            f"{folder / 'modules.json'} has a module of type {entry['type']}; supported are {listed(_MODULES)} "
            "of the package sentence_transformers"
        )
    home = folder / entry["path"]
    if kind == "Transformer":
        return _load_transformer(str(home), home, hub)
    try:
        module: nn.Module = _MODULES[kind].load(home)
        return module
    except (KeyError, TypeError, ImportError, RuntimeError) as error:
        reason = shorten(f"{type(error).__name__}: {error}", _MAX_REASON, placeholder=" …")
        raise ModelError(f"cannot create the {kind} module that {home / 'config.json'} describes: {reason}") from error


def _with_weights(folder: Path, name: str) -> str:
    """Return the local folder, or the name of the model on the hub if the downloaded folder has no safetensors weights.

    For a name, `transformers` looks on the hub for weights that were converted to safetensors.
    """
    is_remote = not Path(name).expanduser().is_dir()
    return name if is_remote and not list(folder.glob("*.safetensors")) else str(folder)


def _load_transformer(source: str, settings_folder: Path | None, hub: dict[str, Any]) -> Transformer:
    folder = Path(source)
    # `find_folder` has already used the arguments of the hub. A local folder needs none of them.
    remote_arguments = ("revision", "token", "cache_folder")
    options = {key: value for key, value in hub.items() if not (folder.is_dir() and key in remote_arguments)}
    try:
        return Transformer.load(source, settings_folder, **options)
    except ModelError:
        raise
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        reason = shorten(str(error), _MAX_REASON, placeholder=" …") or type(error).__name__
        has_weights = bool(list(folder.glob("*.safetensors")))
        hint = "" if has_weights else " (it has no safetensors file, and only safetensors weights are read)"
        raise ModelError(f"cannot load an encoder from {source}{hint}: {reason}") from error


def _save_settings(settings: ModelSettings, folder: Path) -> None:
    record = settings.training_record
    config: dict[str, Any] = {
        "__version__": {"tercet": __version__, "pytorch": torch.__version__},
        "prompts": settings.prompts,
        "default_prompt_name": settings.default_prompt_name,
        "similarity_fn_name": settings.similarity_fn_name,
    }
    own: dict[str, Any] = {
        "format_version": _FORMAT_VERSION,
        "tercet_version": __version__,
        "label_names": settings.label_names,
        "training": record.to_dict() if record else None,
    }
    if settings.similarity_fn_name not in COMMON_NAMES:  # sentence-transformers cannot load a model with this name.
        own["similarity_fn_name"] = config.pop("similarity_fn_name")
    write_json(folder / "config_sentence_transformers.json", config)
    write_json(folder / "tercet.json", own)


def _load_settings(folder: Path) -> ModelSettings:
    config, own = (
        read_json(folder / name) if (folder / name).exists() else {}
        for name in ("config_sentence_transformers.json", "tercet.json")
    )
    training = own.get("training")
    try:
        record = TrainingRecord.from_dict(training) if training else None
    except (TypeError, AttributeError):
        raise ModelError(
            f"{folder / 'tercet.json'}: the field 'training' must be a JSON object with the field 'loss'"
        ) from None
    return ModelSettings(
        prompts=config.get("prompts") or {},
        default_prompt_name=config.get("default_prompt_name"),
        similarity_fn_name=own.get("similarity_fn_name") or config.get("similarity_fn_name"),
        label_names=own.get("label_names"),
        training_record=record,
    )
