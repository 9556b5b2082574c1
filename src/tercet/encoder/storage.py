"""The model directory: read in the layouts of sentence-transformers 3.x to 6.x, written in the oldest one.

modules.json                       the modules in order: idx, name, path, type
config_sentence_transformers.json  prompts, default_prompt_name, similarity_fn_name
tercet.json                        what sentence-transformers has no place for: label names, training record
(root)                             the Transformer; the other modules are in 1_Pooling, 2_Dense, …
README.md                          the model card
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
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
# Of tercet.json. Format 1 had no `format_version` field; otherwise both are the same, and both are read.
_FORMAT_VERSION = 2


@dataclass(kw_only=True)
class ModelSettings:
    """The settings of a model directory besides its modules, with the names of `SentenceTransformer`'s attributes."""

    prompts: dict[str, str] = field(default_factory=dict)
    default_prompt_name: str | None = None
    similarity_fn_name: str | None = None
    label_names: list[str] | None = None
    training_record: TrainingRecord | None = None


def load_modules(name_or_folder: str, **hub: Any) -> tuple[list[nn.Module], ModelSettings]:
    """Load a saved model, or a plain encoder with mean pooling, from a folder or the hub.

    Args:
        hub: `trust_remote_code` and the arguments in `tercet.encoder.hub.HUB_ARGUMENTS`.

    Raises:
        ModelError: there is no model, a file is missing or broken, or a module has an unsupported type.
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
        more_json: the content of further JSON files, by file name.

    Raises:
        ModelError: a module cannot be saved, or the folder cannot be written.
    """
    with atomic_directory(folder) as staging:
        entries = []
        for index, module in enumerate(modules):
            kind = type(module).__name__
            save = getattr(module, "save", None)
            if save is None:
                raise ModelError(f"module {index} ({kind}) cannot be saved: it has no method `save`")
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
        raise ModelError(f"{folder / 'modules.json'} is not a list of modules (idx, name, path, type)") from None
    if entries[0]["type"].rpartition(".")[2] != "Transformer":
        raise ModelError(f"the first module of {folder} is a {entries[0]['type']}; only a Transformer is supported")
    return entries


def _load_module(folder: Path, entry: dict[str, Any], hub: dict[str, Any]) -> nn.Module:
    package, _, kind = entry["type"].rpartition(".")
    if kind not in _MODULES or package.partition(".")[0] != "sentence_transformers":
        raise ModelError(f"{folder} has a module of type {entry['type']}; supported are {listed(_MODULES)}")
    home = folder / entry["path"]
    if kind == "Transformer":
        return _load_transformer(str(home), home, hub)
    try:
        module: nn.Module = _MODULES[kind].load(home)
        return module
    except (KeyError, TypeError, ImportError, RuntimeError) as error:
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        raise ModelError(f"{home / 'config.json'} does not describe a {kind} ({reason})") from error


def _with_weights(folder: Path, name: str) -> str:
    """Return where to load weights from: the folder, or the name if its snapshot from the hub has no safetensors.

    For such a name `transformers` looks for a revision with converted weights.
    """
    is_remote = not Path(name).expanduser().is_dir()
    return name if is_remote and not list(folder.glob("*.safetensors")) else str(folder)


def _load_transformer(source: str, settings_folder: Path | None, hub: dict[str, Any]) -> Transformer:
    folder = Path(source)
    # A folder needs no arguments for the hub; `find_folder` has already used them.
    remote_arguments = ("revision", "token", "cache_folder")
    options = {key: value for key, value in hub.items() if not (folder.is_dir() and key in remote_arguments)}
    try:
        return Transformer.load(source, settings_folder, **options)
    except ModelError:
        raise
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        hint = "" if list(folder.glob("*.safetensors")) else "; only safetensors weights are read, and it has none"
        raise ModelError(f"cannot load an encoder from {source}{hint}: {lines[0]}") from error


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
    if settings.similarity_fn_name not in COMMON_NAMES:  # sentence-transformers would refuse to load the model.
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
        raise ModelError(f"{folder / 'tercet.json'} has a training record without a loss") from None
    return ModelSettings(
        prompts=config.get("prompts") or {},
        default_prompt_name=config.get("default_prompt_name"),
        similarity_fn_name=own.get("similarity_fn_name") or config.get("similarity_fn_name"),
        label_names=own.get("label_names"),
        training_record=record,
    )
