"""The parts of a model: each takes and returns a dictionary of features, and reads and writes one folder.

    Transformer   token ids → token_embeddings (batch, tokens, hidden)
    Pooling       token_embeddings → sentence_embedding (batch, dim)
    Dense         sentence_embedding (batch, in) → (batch, out)
    Normalize     sentence_embedding to length 1

Folders are written in the oldest layout of sentence-transformers, which all its versions read, and
read in all layouts from 3.x to 6.x.
"""

import importlib
import inspect
from pathlib import Path
from typing import Any, ClassVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import AutoConfig, AutoModel, AutoTokenizer

from tercet.encoder.files import read_json, write_json
from tercet.errors import ModelError, listed

Features = dict[str, Any]

_WEIGHTS = "model.safetensors"
_MODEL_INPUTS = ("input_ids", "attention_mask", "token_type_ids")
_NO_LIMIT = 100_000  # tokenizers without a maximum report absurd ones


class Transformer(nn.Module):
    """A `transformers` encoder with its tokenizer.

    Args:
        auto_model: gives `last_hidden_state` `(batch, tokens, hidden)`.
        max_seq_length: the most tokens of a sentence, special ones included; longer ones are cut.
            None takes what tokenizer and position table allow.
    """

    def __init__(
        self, auto_model: Any, tokenizer: Any, max_seq_length: int | None = None, do_lower_case: bool = False
    ) -> None:
        super().__init__()
        self.auto_model: Any = auto_model
        self.tokenizer = tokenizer
        self.do_lower_case = do_lower_case
        limits = [max_seq_length, tokenizer.model_max_length] if max_seq_length is None else [max_seq_length]
        limits.append(_position_limit(auto_model.config))
        known = [limit for limit in limits if limit is not None and limit < _NO_LIMIT]
        self.max_seq_length: int | None = min(known) if known else None
        accepted = inspect.signature(auto_model.forward).parameters
        self._inputs = [name for name in _MODEL_INPUTS if name in accepted]

    @classmethod
    def load(
        cls, name_or_folder: str, settings_folder: Path | None = None, *, trust_remote_code: bool = False, **hub: Any
    ) -> "Transformer":
        """Load an encoder from a folder or the hub; weights must be safetensors.

        Args:
            settings_folder: where a saved model keeps `sentence_bert_config.json`.
            hub: `revision`, `token`, `cache_folder`, `model_kwargs`, `tokenizer_kwargs` and `config_kwargs`.
        """
        shared: dict[str, Any] = {"trust_remote_code": trust_remote_code}
        shared |= {"revision": hub.get("revision"), "token": hub.get("token"), "cache_dir": hub.get("cache_folder")}
        model_kwargs = {"dtype": torch.float32, **(hub.get("model_kwargs") or {})}
        config = AutoConfig.from_pretrained(name_or_folder, **shared, **(hub.get("config_kwargs") or {}))
        if getattr(config, "is_encoder_decoder", False):
            raise ModelError(f"{name_or_folder} is an encoder-decoder ({config.model_type}); take an encoder")
        auto_model = AutoModel.from_pretrained(
            name_or_folder, config=config, use_safetensors=True, **shared, **model_kwargs
        )
        tokenizer = AutoTokenizer.from_pretrained(name_or_folder, **shared, **(hub.get("tokenizer_kwargs") or {}))
        settings_file = settings_folder / "sentence_bert_config.json" if settings_folder else None
        settings = read_json(settings_file) if settings_file is not None and settings_file.exists() else {}
        return cls(auto_model, tokenizer, settings.get("max_seq_length"), settings.get("do_lower_case", False))

    @property
    def hidden_size(self) -> int:
        """The size of a token embedding."""
        return int(self.auto_model.config.hidden_size)

    def tokenize(self, texts: list[str]) -> Features:
        """Texts → `input_ids` and `attention_mask` `(batch, tokens)`, padded to the longest."""
        if self.do_lower_case:
            texts = [text.lower() for text in texts]
        features = self.tokenizer(
            texts,
            padding=True,
            truncation=self.max_seq_length is not None,
            max_length=self.max_seq_length,
            return_tensors="pt",
        )
        return dict(features)

    def forward(self, features: Features) -> Features:
        inputs = {name: features[name] for name in self._inputs if name in features}
        return {**features, "token_embeddings": self.auto_model(**inputs)[0]}

    def save(self, folder: Path) -> None:
        """Write encoder, tokenizer and settings."""
        self.auto_model.save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)
        write_json(
            folder / "sentence_bert_config.json",
            {"max_seq_length": self.max_seq_length, "do_lower_case": self.do_lower_case},
        )


class Pooling(nn.Module):
    """One vector a sentence from its token vectors; several modes are concatenated in the order of `MODES`.

    Args:
        mode: one of `MODES`, or several.
        include_prompt: whether the tokens of a prompt take part.
    """

    MODES: ClassVar = {
        "cls": "pooling_mode_cls_token",
        "max": "pooling_mode_max_tokens",
        "mean": "pooling_mode_mean_tokens",
        "mean_sqrt_len_tokens": "pooling_mode_mean_sqrt_len_tokens",
        "lasttoken": "pooling_mode_lasttoken",
    }
    _UNSUPPORTED: ClassVar = {"weightedmean": "pooling_mode_weightedmean_tokens"}

    def __init__(self, hidden_size: int, mode: str | list[str] = "mean", include_prompt: bool = True) -> None:
        super().__init__()
        modes = [mode] if isinstance(mode, str) else list(mode)
        modes = ["mean_sqrt_len_tokens" if name == "mean_sqrt_len" else name for name in modes]
        unknown = [name for name in modes if name not in self.MODES]
        if unknown or not modes:
            raise ModelError(f"pooling mode {listed(unknown) or 'missing'}; known are {listed(self.MODES)}")
        self.hidden_size = hidden_size
        self.modes = modes
        self.include_prompt = include_prompt

    @classmethod
    def load(cls, folder: Path) -> "Pooling":
        config = read_json(folder / "config.json")
        size = config.get("word_embedding_dimension", config.get("embedding_dimension"))
        if not isinstance(size, int):
            raise ModelError(f"{folder / 'config.json'} names no embedding dimension")
        modes = config.get("pooling_mode")
        if modes is None:
            switches = cls.MODES | cls._UNSUPPORTED
            modes = [mode for mode, switch in switches.items() if config.get(switch)] or "mean"
        return cls(size, modes, config.get("include_prompt", True))

    @property
    def output_size(self) -> int:
        return self.hidden_size * len(self.modes)

    def forward(self, features: Features) -> Features:
        tokens: Tensor = features["token_embeddings"]
        mask: Tensor = features["attention_mask"]
        if not self.include_prompt and features.get("prompt_length"):
            mask = _without_prompt(mask, features["prompt_length"])
        pooled = [self._pool(mode, tokens, mask) for mode in self.modes]
        return {**features, "sentence_embedding": torch.cat(pooled, dim=1)}

    def _pool(self, mode: str, tokens: Tensor, mask: Tensor) -> Tensor:
        if mode in ("cls", "lasttoken"):
            positions = torch.arange(mask.shape[1], device=mask.device)
            found = mask.bool()
            place = (
                positions.masked_fill(~found, mask.shape[1]).amin(1).clamp(max=mask.shape[1] - 1)
                if mode == "cls"
                else positions.masked_fill(~found, -1).amax(1).clamp(min=0)
            )
            return tokens[torch.arange(len(tokens), device=tokens.device), place]
        spread = mask.unsqueeze(2)
        if mode == "max":
            return tokens.masked_fill(spread == 0, -torch.inf).amax(dim=1)
        wide = tokens.float() if tokens.dtype in (torch.float16, torch.bfloat16) else tokens
        total = (wide * spread).sum(dim=1)
        count = spread.sum(dim=1).clamp(min=1).to(wide.dtype)
        return (total / (count if mode == "mean" else count.sqrt())).to(tokens.dtype)

    def save(self, folder: Path) -> None:
        switches = {switch: mode in self.modes for mode, switch in self.MODES.items()}
        switches |= dict.fromkeys(self._UNSUPPORTED.values(), False)
        config: dict[str, Any] = {"word_embedding_dimension": self.hidden_size, **switches}
        if self.modes != [mode for mode in self.MODES if mode in self.modes]:
            # Switches cannot tell an order of their own; only versions from 5.4 on can read this one.
            config = {"embedding_dimension": self.hidden_size, "pooling_mode": self.modes}
        write_json(folder / "config.json", {**config, "include_prompt": self.include_prompt})


class Dense(nn.Module):
    """A linear layer on the sentence embedding, then an activation from `torch`."""

    def __init__(
        self, in_features: int, out_features: int, bias: bool = True, activation: nn.Module | None = None
    ) -> None:
        super().__init__()
        self.linear = nn.Linear(in_features, out_features, bias=bias)
        self.activation: Any = nn.Tanh() if activation is None else activation

    @classmethod
    def load(cls, folder: Path) -> "Dense":
        config = read_json(folder / "config.json")
        other = {key: config[key] for key in ("module_input_name", "module_output_name") if key in config}
        if any(name != "sentence_embedding" for name in other.values() if name) or config.get("use_residual"):
            raise ModelError(f"{folder} is a Dense module on other features or with a residual, which is not supported")
        activation = _activation(config.get("activation_function", "torch.nn.modules.activation.Tanh"), folder)
        dense = cls(config["in_features"], config["out_features"], config.get("bias", True), activation)
        weights = folder / _WEIGHTS
        if not weights.exists():
            raise ModelError(f"{folder} has no {_WEIGHTS}; only safetensors weights are read")
        try:
            dense.load_state_dict(load_file(weights))
        except (SafetensorError, RuntimeError) as error:
            raise ModelError(f"{weights} does not fit its config.json: {str(error).splitlines()[0]}") from error
        return dense

    @property
    def output_size(self) -> int:
        return self.linear.out_features

    def forward(self, features: Features) -> Features:
        return {**features, "sentence_embedding": self.activation(self.linear(features["sentence_embedding"]))}

    def save(self, folder: Path) -> None:
        activation = type(self.activation)
        config = {
            "in_features": self.linear.in_features,
            "out_features": self.linear.out_features,
            "bias": self.linear.bias is not None,
            "activation_function": f"{activation.__module__}.{activation.__qualname__}",
        }
        write_json(folder / "config.json", config)
        linear = {f"linear.{name}": value.contiguous() for name, value in self.linear.state_dict().items()}
        save_file(linear, folder / _WEIGHTS, metadata={"format": "pt"})


class Normalize(nn.Module):
    """The sentence embedding scaled to length 1."""

    @classmethod
    def load(cls, folder: Path) -> "Normalize":
        config = read_json(folder / "config.json") if (folder / "config.json").exists() else {}
        if config.get("module_input_name", "sentence_embedding") != "sentence_embedding":
            raise ModelError(f"{folder} normalizes {config['module_input_name']!r}, which is not supported")
        return cls()

    def forward(self, features: Features) -> Features:
        return {**features, "sentence_embedding": F.normalize(features["sentence_embedding"], dim=1)}

    def save(self, folder: Path) -> None:
        """Nothing to write: the module has no settings."""


def _position_limit(config: Any) -> int | None:
    """How many tokens the position table holds; RoBERTa-like tables begin after the padding index."""
    size = getattr(config, "max_position_embeddings", None)
    if size is None or size < 1:
        return None
    offset = (config.pad_token_id or 0) + 1 if config.model_type in _OFFSET_POSITIONS else 0
    return int(size) - offset


_OFFSET_POSITIONS = (
    "roberta",
    "xlm-roberta",
    "xlm-roberta-xl",
    "camembert",
    "mpnet",
    "longformer",
    "xmod",
    "data2vec-text",
)


def _without_prompt(mask: Tensor, prompt_length: int) -> Tensor:
    """The mask without each sentence's first `prompt_length` real tokens (padding on either side)."""
    return mask * (mask.cumsum(dim=1) > prompt_length)


def _activation(dotted: str, folder: Path) -> nn.Module:
    """An instance of the activation class that a Dense configuration names; only torch's own are trusted."""
    module, _, name = dotted.rpartition(".")
    if not dotted.startswith("torch."):
        raise ModelError(f"{folder} names the activation {dotted!r}; only those in torch are loaded")
    found = getattr(importlib.import_module(module), name, None)
    if not (isinstance(found, type) and issubclass(found, nn.Module)):
        raise ModelError(f"{folder} names the activation {dotted!r}, which is not a torch module")
    return found()
