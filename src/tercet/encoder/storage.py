"""The model directory: found, read in any layout of sentence-transformers 3.x to 6.x, written in the oldest.

modules.json                       the modules in order: idx, name, path, type
config_sentence_transformers.json  prompts, default_prompt_name, similarity_fn_name
tercet.json                        label names and the record of the training, if any
(root)                             the Transformer; the other modules in 1_Pooling, 2_Dense, …
README.md                          the model card
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import nn

from tercet._files import atomic_directory, read_json, write_json
from tercet._version import __version__
from tercet.encoder.modules.pooling import Dense, Normalize, Pooling
from tercet.encoder.modules.transformer import Transformer
from tercet.errors import ModelError, listed

_MODULES: dict[str, Any] = {
    "Transformer": Transformer,
    "Pooling": Pooling,
    "Dense": Dense,
    "Normalize": Normalize,
}
# What a saved model may need; other weight formats of the same model are not downloaded.
_HUB_FILES = ["*.json", "*.safetensors", "*.txt", "*.model", "*.md", "*.py"]
_HUB_IGNORED = ["onnx/*", "openvino/*"]


@dataclass
class ModelSettings:
    """What a model directory holds beside its modules."""

    prompts: dict[str, str] = field(default_factory=dict)
    default_prompt_name: str | None = None
    similarity_fn_name: str | None = None
    label_names: list[str] | None = None
    training: dict[str, Any] | None = None


def load_modules(name_or_folder: str, **hub: Any) -> tuple[list[nn.Module], ModelSettings]:
    """Load a saved model or a plain encoder (which gets mean pooling) from a folder or the hub.

    Args:
        hub: `revision`, `token`, `cache_folder`, `trust_remote_code`, `model_kwargs`,
            `tokenizer_kwargs` and `config_kwargs`.

    Raises:
        ModelError: nothing is there, a part is missing or broken, or a module is of another type.
    """
    folder = find_folder(name_or_folder, **hub)
    if not (folder / "modules.json").exists():
        transformer = _load_transformer(_with_weights(folder, name_or_folder), None, hub)
        return [transformer, Pooling(transformer.hidden_size, "mean")], ModelSettings()
    return [_load_module(folder, entry, hub) for entry in _module_entries(folder)], _load_settings(folder)


def save_modules(
    modules: Sequence[nn.Module], settings: ModelSettings, card: str, folder: Path, more_json: dict[str, Any]
) -> None:
    """Write a model directory and `more_json` by file name; it is whole or absent at every moment."""
    with atomic_directory(folder) as staging:
        entries = []
        for index, module in enumerate(modules):
            kind = type(module).__name__
            path = "" if index == 0 else f"{index}_{kind}"
            (staging / path).mkdir(exist_ok=True)
            module.save(staging / path)  # type: ignore[operator]
            entries.append(
                {"idx": index, "name": str(index), "path": path, "type": f"sentence_transformers.models.{kind}"}
            )
        kept = asdict(settings)
        own = {"tercet_version": __version__, "label_names": kept.pop("label_names"), "training": kept.pop("training")}
        versions = {"tercet": __version__, "pytorch": torch.__version__}
        write_json(staging / "config_sentence_transformers.json", {"__version__": versions, **kept})
        write_json(staging / "tercet.json", own)
        write_json(staging / "modules.json", entries)
        for name, content in more_json.items():
            write_json(staging / name, content)
        (staging / "README.md").write_text(card, encoding="utf-8")


def find_folder(name_or_folder: str, **hub: Any) -> Path:
    """The local folder of a model: itself, or its snapshot from the hub (downloaded if need be)."""
    path = Path(name_or_folder).expanduser()
    if path.is_dir():
        if not any((path / name).exists() for name in ("modules.json", "config.json")):
            raise ModelError(f"{path} holds no model: neither modules.json nor config.json is in it")
        return path
    if path.is_file():
        raise ModelError(f"{path} is a file; a model is a folder or a name on the hub")
    if name_or_folder.startswith((".", "/", "~")) or name_or_folder.count("/") > 1:
        raise ModelError(f"no model directory at {path}")
    return _download(name_or_folder, hub)


def _download(name: str, hub: dict[str, Any]) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError, RepositoryNotFoundError

    # Short names are the hub's own (bert-base-uncased) or, failing that, those of sentence-transformers.
    candidates = [name] if "/" in name else [name, f"sentence-transformers/{name}"]
    for candidate in candidates:
        try:
            return Path(
                snapshot_download(
                    candidate,
                    revision=hub.get("revision"),
                    token=hub.get("token"),
                    cache_dir=hub.get("cache_folder"),
                    allow_patterns=_HUB_FILES,
                    ignore_patterns=_HUB_IGNORED,
                )
            )
        except (RepositoryNotFoundError, HFValidationError):
            reason = "the hub has no such model (or it is private and needs a token)"
        except (LocalEntryNotFoundError, OSError):
            reason = "the hub cannot be reached and the model is not in the cache"
    raise ModelError(f"no folder {name!r} here, and {reason}")


def _module_entries(folder: Path) -> list[dict[str, Any]]:
    try:
        entries = json.loads((folder / "modules.json").read_text(encoding="utf-8"))
        entries = sorted(entries, key=lambda entry: entry["idx"])
        if not entries or not all(isinstance(entry["type"] + entry["path"], str) for entry in entries):
            raise TypeError
    except (ValueError, TypeError, KeyError, AttributeError):
        raise ModelError(f"{folder / 'modules.json'} is not a list of modules (idx, name, path, type)") from None
    if entries[0]["type"].rpartition(".")[2] != "Transformer":
        raise ModelError(f"{folder} begins with {entries[0]['type']}; only models on a Transformer are supported")
    return entries


def _load_module(folder: Path, entry: dict[str, Any], hub: dict[str, Any]) -> nn.Module:
    package, _, kind = entry["type"].rpartition(".")
    if kind not in _MODULES or package.partition(".")[0] != "sentence_transformers":
        raise ModelError(f"{folder} has a module of type {entry['type']}; supported are {listed(_MODULES)}")
    home = folder / entry["path"]
    if kind == "Transformer":
        return _load_transformer(str(home), home, hub)
    try:
        return _MODULES[kind].load(home)
    except (KeyError, TypeError, ImportError, RuntimeError) as error:
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        raise ModelError(f"{home / 'config.json'} does not describe a {kind} ({reason})") from error


def _with_weights(folder: Path, name: str) -> str:
    """The folder; or the name, if it is one on the hub without safetensors, which may have a converted revision."""
    remote = not Path(name).expanduser().is_dir()
    return name if remote and not list(folder.glob("*.safetensors")) else str(folder)


def _load_transformer(source: str, settings_folder: Path | None, hub: dict[str, Any]) -> Transformer:
    folder = Path(source)
    # In a folder everything is local: `revision` and the like did their work in `find_folder`.
    remote = ("revision", "token", "cache_folder")
    options = {key: value for key, value in hub.items() if not (folder.is_dir() and key in remote)}
    try:
        return Transformer.load(source, settings_folder, **options)
    except ModelError:
        raise
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        hint = "" if list(folder.glob("*.safetensors")) else "; only safetensors weights are read, and it has none"
        raise ModelError(f"cannot load an encoder from {source}{hint}: {lines[0]}") from error


def _load_settings(folder: Path) -> ModelSettings:
    saved: dict[str, Any] = {}
    for name in ("config_sentence_transformers.json", "tercet.json"):
        if (folder / name).exists():
            saved |= read_json(folder / name)
    known = {key: saved[key] for key in ModelSettings.__dataclass_fields__ if saved.get(key) is not None}
    return ModelSettings(**known)
