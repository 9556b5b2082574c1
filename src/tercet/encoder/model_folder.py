"""Read a model directory: its modules, checked as a whole. `tercet.encoder.settings` reads its settings.

`tercet.encoder.storage` describes the files and writes them. The layouts of sentence-transformers 3.x to 6.x are read.
"""

import math
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from torch import nn

from tercet._files import read_json_value
from tercet.encoder.hub import find_folder
from tercet.encoder.modules import (
    Dense,
    Dropout,
    InputModule,
    LayerNorm,
    Normalize,
    Pooling,
    Router,
    StaticEmbedding,
    Transformer,
    WeightedLayerPooling,
)
from tercet.encoder.modules.adopt import adopt
from tercet.encoder.modules.router import CONFIG
from tercet.encoder.pretrained import check_finite, loading_errors
from tercet.encoder.pretrained.files import check_regular_files
from tercet.encoder.settings import load_settings
from tercet.encoder.storage import ModelSettings
from tercet.errors import ModelError, listed

_KINDS = (Transformer, Pooling, Dense, Normalize, LayerNorm, Dropout, StaticEmbedding, WeightedLayerPooling, Router)
_MODULES: dict[str, Any] = {kind.__name__: kind for kind in _KINDS}
# The modules that tokenize texts.
_FIRST = ("Transformer", "StaticEmbedding", "Router")


def load_modules(name_or_folder: str, **hub: Any) -> tuple[OrderedDict[str, nn.Module], ModelSettings]:
    """Load the modules and settings of a model from a folder or the hub.

    A model without `modules.json` is loaded as a Transformer with the pooling of `default_pooling`.

    Args:
        hub: `trust_remote_code` and the arguments in `tercet.encoder.hub.HUB_ARGUMENTS`.

    Raises:
        ModelError: the model is not found, a file is missing or invalid, a module is not supported, or the parts of the
            model do not fit together.
    """
    with loading_errors(f"load the model {name_or_folder}"):
        folder = find_folder(name_or_folder, **hub)
        check_regular_files(folder)
        if not (folder / "modules.json").exists():
            transformer = _load_transformer(_with_weights(folder, name_or_folder), None, hub)
            return given_modules([transformer, default_pooling(transformer)]), ModelSettings()
        settings = load_settings(folder)
        entries = _module_entries(folder)
        modules = [_load_module(entry["type"].rpartition(".")[2], folder / entry["path"], hub) for entry in entries]
        check_dimensions(modules, str(folder / "modules.json"))
        return OrderedDict(zip(_module_names(folder, entries), modules, strict=True)), settings


def _module_names(folder: Path, entries: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the names of the modules in `modules.json`, which are those of the children of the model.

    Raises:
        ModelError: a name is no text, has a dot, or is that of two modules.
    """
    given = [entry.get("name", index) for index, entry in enumerate(entries)]
    names = [str(name) if type(name) is int else name for name in given]
    for index, name in enumerate(names):
        if not isinstance(name, str) or not name or "." in name or name in names[:index]:
            raise ModelError(
                f"{folder / 'modules.json'}: the name of module {index} is {name!r}; names must be texts without dots, "
                "each another one, such as '0' and '1'"
            )
    return names


def given_modules(modules: Sequence[nn.Module] | Mapping[str, nn.Module]) -> OrderedDict[str, nn.Module]:
    """Return the modules of a new model by name. By default the names are "0", "1", ….

    Raises:
        ModelError: there is no module, or something else than a module.
    """
    named = modules if isinstance(modules, Mapping) else {str(index): module for index, module in enumerate(modules)}
    if not named or not all(isinstance(module, nn.Module) for module in named.values()):
        raise ModelError(f"modules must be a non-empty list of modules, got {modules!r}")
    return OrderedDict((name, adopt(module)) for name, module in named.items())


def default_pooling(transformer: Transformer) -> Pooling:
    """Return the pooling of an encoder without `modules.json`: the last token of a causal decoder, else the mean.

    This is the rule of sentence-transformers: the first of `architectures` in config.json ends in "ForCausalLM", and
    `is_causal` is not False.
    """
    config = transformer.auto_model.config
    architecture = (getattr(config, "architectures", None) or [""])[0]
    is_causal = architecture.endswith("ForCausalLM") and getattr(config, "is_causal", True)
    return Pooling(transformer.hidden_size, "lasttoken" if is_causal else "mean")


def check_dimensions(modules: Sequence[nn.Module], place: str = "the model") -> None:
    """Raise `ModelError` if a module does not take the dimension that the module before it returns.

    A module of another class may return any dimension, so the module after it is not checked.
    """
    dimension: int | None = None
    for number, module in enumerate(modules):
        field, found = _input_size(module)
        if found is not None and dimension is not None and found != dimension:
            raise ModelError(
                f"{place}: module {number} ({type(module).__name__}) has {field} {found}, but the module before it "
                f"returns vectors of {dimension}"
            )
        if isinstance(module, InputModule):
            dimension = module.hidden_size
        elif isinstance(module, Dense):
            dimension = module.out_features if module.module_output_name == module.module_input_name else None
        elif isinstance(module, (Pooling, LayerNorm)):
            dimension = module.output_size
        elif not isinstance(module, (Normalize, Dropout, WeightedLayerPooling)):
            dimension = None


def _input_size(module: nn.Module) -> tuple[str, int | None]:
    """Return the dimension that a module takes, with its name in config.json; None if it takes any."""
    if isinstance(module, Pooling):
        return "word_embedding_dimension", module.hidden_size
    if isinstance(module, WeightedLayerPooling):
        return "word_embedding_dimension", module.embedding_dimension
    if isinstance(module, Dense) and module.module_input_name == module.module_output_name:
        return "in_features", module.in_features
    return "dimension", module.output_size if isinstance(module, LayerNorm) else None


def _module_entries(folder: Path) -> list[dict[str, Any]]:
    path = folder / "modules.json"
    entries = read_json_value(path)
    if not isinstance(entries, list) or not entries or not all(map(_is_entry, entries)):
        raise ModelError(f"{path} must contain a non-empty list of modules, each with idx, path and type")
    entries = sorted(entries, key=lambda entry: entry["idx"])
    kinds = []
    for entry in entries:
        kind = _kind(entry["type"], path)
        parts = PurePosixPath(entry["path"].replace("\\", "/")).parts
        if ".." in parts or PurePosixPath(entry["path"]).is_absolute() or Path(entry["path"]).is_absolute():
            raise ModelError(f"{path} has the path {entry['path']!r}, which is outside of the folder; copy the files")
        kinds.append(kind)
    if kinds[0] not in _FIRST:
        raise ModelError(f"the first module in {path} must be a Transformer, but its type is {entries[0]['type']}")
    if again := sorted(set(kinds[1:]) & set(_FIRST)):
        raise ModelError(f"{path} has several modules of type {again[0]}; only the first module may be one")
    if "Pooling" not in kinds and kinds[0] == "Transformer":
        raise ModelError(f"{path} has no module of type Pooling, so that the model has no sentence embedding")
    return entries


def _is_entry(entry: Any) -> bool:
    return (
        isinstance(entry, dict)
        and isinstance(entry.get("idx"), (int, float))
        and math.isfinite(entry["idx"])
        and isinstance(entry.get("path"), str)
        and isinstance(entry.get("type"), str)
    )


def _kind(type_name: object, path: Path) -> str:
    """Return the name of the class of a module.

    Raises:
        ModelError: it is not supported.
    """
    package, _, kind = str(type_name).rpartition(".")
    if kind not in _MODULES or package.partition(".")[0] != "sentence_transformers":
        raise ModelError(
            f"{path} has a module of type {type_name}; supported are {listed(_MODULES, len(_MODULES))} of the package "
            "sentence_transformers"
        )
    return kind


def _load_module(kind: str, home: Path, hub: dict[str, Any]) -> nn.Module:
    if kind == "Transformer":
        return _load_transformer(str(home), home, hub)
    if kind == "Router":
        return Router.load(home, lambda name, folder: _load_module(_kind(name, home / CONFIG), folder, hub))
    if home.is_dir():
        check_regular_files(home)
    with loading_errors(f"create the {kind} module that {home / 'config.json'} describes"):
        module: nn.Module = _MODULES[kind].load(home)
    check_finite(module, str(home))
    return module


def _with_weights(folder: Path, name: str) -> str:
    """Return the local folder, or the name of the model on the hub if the downloaded folder has no safetensors weights.

    For a name, `transformers` looks on the hub for weights that were converted to safetensors.
    """
    is_remote = not Path(name).expanduser().is_dir()
    return name if is_remote and not list(folder.glob("*.safetensors")) else str(folder)


def _load_transformer(source: str, settings_folder: Path | None, hub: dict[str, Any]) -> Transformer:
    # `find_folder` has already used the arguments of the hub. A local folder needs none of them.
    remote = () if not Path(source).is_dir() else ("revision",)
    options = {key: value for key, value in hub.items() if key not in remote}
    with loading_errors(f"load an encoder from {source}"):
        return Transformer.load(source, settings_folder, **options)
