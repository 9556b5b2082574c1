"""The parts of a model: each takes and returns a dictionary of features, and reads and writes one folder.

    Transformer   token ids → token_embeddings (batch, tokens, hidden), or (tokens, hidden) of a packed row;
                  in tercet.encoder.modules.transformer
    Pooling       token_embeddings → sentence_embedding (batch, dim)
    Dense         sentence_embedding (batch, in) → (batch, out)
    Normalize     sentence_embedding to length 1

Folders are written in the oldest layout of sentence-transformers, which all its versions read, and
read in all layouts from 3.x to 6.x.
"""

import importlib
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F

from tercet._files import read_json, write_json
from tercet.distances import at_least_float32
from tercet.encoder.packing.packing import Features, Packing
from tercet.errors import ModelError, listed

_WEIGHTS = "model.safetensors"
_HAVE_SEGMENT_REDUCE = ("cpu", "cuda")


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
        prompt_length = 0 if self.include_prompt else features.get("prompt_length") or 0
        tokens: Tensor = features["token_embeddings"]
        if "packing" in features:
            return {**features, "sentence_embedding": _pool_row(self.modes, tokens, features["packing"], prompt_length)}
        mask: Tensor = features["attention_mask"]
        if prompt_length:
            mask = _without_prompt(mask, prompt_length)
        pooled = [_pool_batch(mode, tokens, mask) for mode in self.modes]
        return {**features, "sentence_embedding": torch.cat(pooled, dim=1)}

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


def _pool_batch(mode: str, tokens: Tensor, mask: Tensor) -> Tensor:
    """A padded batch `(batch, tokens, hidden)` → `(batch, hidden)`, 0 for sentences without tokens."""
    return _pool_some(mode, tokens, mask).masked_fill(~mask.any(1, keepdim=True), 0)


def _pool_some(mode: str, tokens: Tensor, mask: Tensor) -> Tensor:
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
    wide = at_least_float32(tokens)
    return _mean(mode, (wide * spread).sum(dim=1), spread.sum(dim=1)).to(tokens.dtype)


@torch.compiler.disable  # the compiler would trace numpy, and anew for each batch
def _pool_row(modes: list[str], tokens: Tensor, packing: Packing, prompt_length: int) -> Tensor:
    """A packed row `(tokens, hidden)` → `(batch, hidden)` for each mode, side by side, in the caller's order."""
    if len(tokens) == 0:
        return tokens.new_zeros(len(packing), tokens.shape[1] * len(modes))
    left_out = np.minimum(packing.lengths, prompt_length)
    first, counts = packing.cu_seqlens[:-1] + left_out, packing.lengths - left_out
    within = tokens[torch.from_numpy(packing.positions >= prompt_length)] if prompt_length else tokens
    lengths = torch.from_numpy(counts).to(tokens.device)
    pooled = []
    for mode in modes:
        if mode in ("cls", "lasttoken"):
            place = first if mode == "cls" else first + counts - 1
            pooled.append(tokens.index_select(0, torch.from_numpy(place.clip(0, len(tokens) - 1)).to(tokens.device)))
        elif mode == "max":
            pooled.append(_reduce_parts(within, lengths, "max"))
        else:
            total = _reduce_parts(at_least_float32(within), lengths, "sum")
            pooled.append(_mean(mode, total, lengths.unsqueeze(1)).to(tokens.dtype))
    of_row = torch.cat(pooled, dim=1).masked_fill((lengths == 0).unsqueeze(1), 0)
    return of_row.index_select(0, torch.from_numpy(packing.inverse_order).to(tokens.device))


def _reduce_parts(x: Tensor, lengths: Tensor, how: str) -> Tensor:
    """The sum or maximum of each run of so many rows `(n, hidden)` → `(batch, hidden)`."""
    if x.device.type in _HAVE_SEGMENT_REDUCE:
        return torch.segment_reduce(x, how, lengths=lengths, axis=0, unsafe=True)
    run = torch.repeat_interleave(lengths).unsqueeze(1).expand_as(x)
    result = x.new_zeros(len(lengths), x.shape[1])
    return result.scatter_reduce(0, run, x, {"max": "amax"}.get(how, how), include_self=False)


def _mean(mode: str, total: Tensor, count: Tensor) -> Tensor:
    """Sums by their number of tokens, or by its root; 0 where there is none."""
    count = count.clamp(min=1).to(total.dtype)
    return total / (count if mode == "mean" else count.sqrt())


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
