"""Load an encoder of `transformers` and its tokenizer from a folder or the hub."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import AutoConfig, AutoModel, AutoTokenizer
from transformers.utils.import_utils import is_peft_available

from tercet._files import read_json
from tercet.encoder.hub import find_folder
from tercet.encoder.pretrained.config import check_attention, check_sizes
from tercet.encoder.pretrained.errors import loading_errors
from tercet.encoder.pretrained.files import (
    base_of_adapter,
    check_regular_files,
    has_tokenizer,
    is_adapter,
    read_header,
    weight_files,
)
from tercet.encoder.pretrained.tokenizer import check_tokenizer
from tercet.encoder.pretrained.weights import check_finite, check_loading_info
from tercet.errors import ModelError

# The encoder of an encoder-decoder model has a class of its own. AutoModel would add a decoder with random weights.
_ENCODER_CLASSES = {"t5": "T5EncoderModel", "mt5": "MT5EncoderModel", "umt5": "UMT5EncoderModel"}

# The arguments of `load_pretrained`, and their names in sentence-transformers.
_ARGUMENT_NAMES = {
    "model_kwargs": ("model_args",),
    "tokenizer_kwargs": ("processor_kwargs", "tokenizer_args"),
    "config_kwargs": ("config_args",),
}


def load_pretrained(source: str, *, trust_remote_code: bool = False, **hub: Any) -> tuple[Any, Any]:
    """Return an encoder with its safetensors weights, and its tokenizer.

    Args:
        source: a folder, or a name on the hub.
        trust_remote_code: whether to run Python code from the folder or the repository.
        hub: `revision`, `token`, `cache_folder`, `model_kwargs`, `tokenizer_kwargs` and `config_kwargs`.

    Raises:
        ModelError: a file is missing or invalid, weights are missing, unused or not finite, or the tokenizer does not
            fit the encoder.
    """
    folder = Path(source).expanduser()
    is_local = folder.is_dir()
    common: dict[str, Any] = {"trust_remote_code": trust_remote_code}
    if is_local:
        source = str(folder)
        check_regular_files(folder)
    else:
        common |= {"revision": hub.get("revision"), "token": hub.get("token"), "cache_dir": hub.get("cache_folder"),
                   "local_files_only": bool(hub.get("local_files_only"))}  # fmt: skip
    tokenizer_source = source
    if is_local and is_adapter(folder):
        auto_model, base = _load_with_adapter(folder, hub, trust_remote_code=trust_remote_code)
        tokenizer_source = source if has_tokenizer(folder) else str(base)
    else:
        auto_model = _load_encoder(source, common, hub)
    check_finite(auto_model, source)
    options = hub.get("tokenizer_kwargs") or {}
    with loading_errors(f"load the tokenizer of {source}"):
        tokenizer = AutoTokenizer.from_pretrained(tokenizer_source, **common, **options)
        check_tokenizer(tokenizer, auto_model, tokenizer_source, changed=bool(options))
    return auto_model, tokenizer


def loading_arguments(given: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments of `load_pretrained` for those that `Transformer` has in sentence-transformers.

    Args:
        given: `model_args`, `tokenizer_args`, `config_args` (or `model_kwargs`, `processor_kwargs`, `config_kwargs`)
            and `cache_dir`. They are removed from it. `trust_remote_code`, `revision` and `token` may be in each of
            the first three.
    """
    hub: dict[str, Any] = {"cache_folder": given.pop("cache_dir", None)}
    for name, others in _ARGUMENT_NAMES.items():
        options = next((given.pop(other) for other in (name, *others) if other in given), None) or {}
        shared = {key: options[key] for key in ("trust_remote_code", "revision", "token") if key in options}
        hub |= {**shared, name: {key: value for key, value in options.items() if key not in shared}}
    return hub


def _load_encoder(source: str, common: dict[str, Any], hub: dict[str, Any]) -> Any:
    """Return the encoder of a folder or of the hub, without adapters."""
    folder = Path(source)
    shapes: dict[str, list[int]] | None = None
    place = f"config.json of {source}"
    config_kwargs = hub.get("config_kwargs") or {}
    if folder.is_dir():
        place = str(folder / "config.json")
        content = read_json(folder / "config.json")
        shapes = {}
        for path in weight_files(folder):
            shapes |= read_header(path)
        weights_name = content.get("transformers_weights")
        if weights_name is not None and not str(weights_name).endswith(".safetensors"):
            raise ModelError(f"{place}: transformers_weights is {weights_name!r}; only safetensors weights are read")
        check_attention(content, place, trust_remote_code=common["trust_remote_code"])
    with loading_errors(f"load the configuration of {source}"):
        config = AutoConfig.from_pretrained(source, **common, **config_kwargs)
    encoder_class = _encoder_class(config, source)
    check_sizes(config, shapes, place)
    options = {"dtype": torch.float32, **(hub.get("model_kwargs") or {})}
    with loading_errors(f"load an encoder from {source}"):
        auto_model, info = encoder_class.from_pretrained(
            source, config=config, use_safetensors=True, output_loading_info=True, **common, **options
        )
    check_loading_info(auto_model, info, shapes, source, chosen=bool(config_kwargs))
    return auto_model


def _encoder_class(config: Any, source: str) -> Any:
    if config.model_type in _ENCODER_CLASSES:
        return getattr(transformers, _ENCODER_CLASSES[config.model_type])
    if getattr(config, "is_encoder_decoder", False):
        raise ModelError(
            f"{source} is an encoder-decoder ({config.model_type}), which is not supported; use an encoder"
        )
    return AutoModel


def _load_with_adapter(folder: Path, hub: dict[str, Any], *, trust_remote_code: bool) -> tuple[Any, Path]:
    """Return the base model of a peft adapter with the adapter, and the folder of the base model.

    `transformers` would load both in one call, but it reports the missing weights of the adapter only.
    """
    if not is_peft_available():
        raise ModelError(f"{folder} contains a peft adapter; run pip install peft to load it")
    base = base_of_adapter(folder)
    base_options = {name: value for name, value in hub.items() if name != "revision"}
    common = {"trust_remote_code": trust_remote_code}
    if base is None:
        with _without_adapter(folder) as alone:
            auto_model = _load_encoder(str(alone), common, base_options)
        base_folder, base = folder, str(folder)
    else:
        base_folder = _find_base(folder, base, hub)
        auto_model = _load_encoder(str(base_folder), common, base_options)
    auto_model.config._name_or_path = auto_model.name_or_path = base
    with loading_errors(f"load the peft adapter in {folder}"):
        info = auto_model.load_adapter(str(folder), is_trainable=True)
    check_loading_info(auto_model, info.to_dict(), None, str(folder))
    return auto_model, base_folder


def _find_base(folder: Path, base: str, hub: dict[str, Any]) -> Path:
    """Return the folder of the base model of an adapter.

    A relative path is looked up in the current folder and, because an adapter may have moved with its base model, in
    the folder of the adapter.
    """
    beside = folder / base
    if not Path(base).is_dir() and beside.is_dir():
        return beside
    options = {name: hub.get(name) for name in ("token", "cache_folder")}
    try:
        return find_folder(base, **options)
    except ModelError as error:
        raise ModelError(
            f"{folder} is a peft adapter of the base model {base!r}, which was not found in the current folder, in "
            f"{folder} or on the hub: {error}; copy the base model there, or correct base_model_name_or_path in "
            f"{folder / 'adapter_config.json'}"
        ) from None


@contextmanager
def _without_adapter(folder: Path) -> Iterator[Path]:
    """Yield a folder of links to the files of a model, but not to those of its adapter."""
    with tempfile.TemporaryDirectory() as temporary:
        for path in folder.resolve().iterdir():
            if not path.name.startswith("adapter_"):
                (Path(temporary) / path.name).symlink_to(path)
        yield Path(temporary)
