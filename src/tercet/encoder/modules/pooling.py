"""Pooling: a module that reduces the token embeddings of each sentence to one vector."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from tercet._files import read_json, write_json
from tercet._transfer import to_device
from tercet.distances import at_least_float32
from tercet.encoder.features import Features
from tercet.encoder.modules.base import Module, check_dimension, one_name
from tercet.encoder.packing.packing import Packing
from tercet.errors import ModelError, listed

# The device types for which torch implements `segment_reduce`.
_SEGMENT_REDUCE_DEVICES = ("cpu", "cuda")


class Pooling(Module):
    """A module that reduces `token_embeddings` to `sentence_embedding` `(batch, dim)`.

    It accepts a padded batch or a packed batch. The vectors of several modes are concatenated in the given order. The
    embedding of a sentence without pooled tokens is zero.

    Args:
        hidden_size: the dimension of a token embedding. Other names are `embedding_dimension` and
            `word_embedding_dimension`.
        mode: a key of `MODES`, or a list of keys. "mean_sqrt_len" is an alias of "mean_sqrt_len_tokens". "weightedmean"
            weights each token by its position, from 1. Another name is `pooling_mode`.
        include_prompt: whether the tokens of the prompt are pooled, too.
        peer: the other names, and the switches that are the values of `MODES`, such as `pooling_mode_cls_token=True`.

    Raises:
        ModelError: a mode is not in `MODES`, the list is empty, an argument is given by two names, or `hidden_size` is
            not a positive integer.
        TypeError: an argument is unknown.
    """

    # The modes; the value is the field in `config.json`.
    MODES: ClassVar = {
        "cls": "pooling_mode_cls_token",
        "max": "pooling_mode_max_tokens",
        "mean": "pooling_mode_mean_tokens",
        "mean_sqrt_len_tokens": "pooling_mode_mean_sqrt_len_tokens",
        "weightedmean": "pooling_mode_weightedmean_tokens",
        "lasttoken": "pooling_mode_lasttoken",
    }
    POOLING_MODES: ClassVar = tuple(MODES)

    def __init__(
        self,
        hidden_size: int | None = None,
        mode: str | Sequence[str] | None = None,
        include_prompt: bool = True,
        **peer: Any,
    ) -> None:
        super().__init__()
        switches = {name: peer.pop(switch) for name, switch in self.MODES.items() if switch in peer}
        hidden_size = one_name("hidden_size", hidden_size, peer, "embedding_dimension", "word_embedding_dimension")
        mode = one_name("mode", mode, peer, "pooling_mode")
        if peer:
            raise TypeError(f"Pooling has no argument {listed(sorted(peer))}")
        check_dimension("hidden_size", hidden_size)
        if mode is None:
            mode = [name for name, chosen in switches.items() if chosen] or "mean"
        modes = [mode] if isinstance(mode, str) else list(mode)
        modes = ["mean_sqrt_len_tokens" if name == "mean_sqrt_len" else name for name in modes]
        unknown = [name for name in modes if name not in self.MODES]
        if unknown or not modes:
            problem = f"unsupported pooling mode {listed(unknown)}" if unknown else "no pooling mode"
            raise ModelError(f"{problem}; choose one or several of {listed(self.MODES)}")
        self.hidden_size = int(hidden_size)
        self.modes = modes
        self.include_prompt = include_prompt

    @classmethod
    def load(cls, folder: str | Path) -> "Pooling":
        """Read the module from a folder.

        Raises:
            ModelError: `config.json` is missing or invalid, its embedding dimension is not an integer, or it has
                an unsupported mode or an empty list of modes.
        """
        folder = Path(folder)
        config = read_json(folder / "config.json")
        size = config.get("word_embedding_dimension", config.get("embedding_dimension"))
        if not isinstance(size, int):
            raise ModelError(
                f"{folder / 'config.json'}: word_embedding_dimension (or embedding_dimension) must be an integer, "
                f"got {size!r}"
            )
        include_prompt = config.get("include_prompt", True)
        if not isinstance(include_prompt, bool):
            raise ModelError(f"{folder / 'config.json'}: include_prompt must be true or false, got {include_prompt!r}")
        modes = config.get("pooling_mode")
        if modes is None:
            modes = [mode for mode, switch in cls.MODES.items() if config.get(switch)] or "mean"
        try:
            return cls(size, modes, include_prompt)
        except ModelError as error:
            raise ModelError(f"{folder / 'config.json'}: {error}") from None

    @property
    def output_size(self) -> int:
        """The dimension of a sentence embedding: `hidden_size` times the number of modes."""
        return self.hidden_size * len(self.modes)

    @property
    def embedding_dimension(self) -> int:
        """The dimension of a token embedding, `hidden_size`."""
        return self.hidden_size

    word_embedding_dimension = embedding_dimension

    @property
    def pooling_mode(self) -> str | tuple[str, ...]:
        """The mode, or a tuple if there are several."""
        return self.modes[0] if len(self.modes) == 1 else tuple(self.modes)

    @property
    def pooling_output_dimension(self) -> int:
        """The dimension of a sentence embedding, `output_size`."""
        return self.output_size

    def get_pooling_mode_str(self) -> str:
        """Return the modes, separated by "+"."""
        return "+".join(self.modes)

    def extra_repr(self) -> str:
        """Return the settings, for `print`."""
        return f"{self.hidden_size}, {self.get_pooling_mode_str()}, include_prompt={self.include_prompt}"

    def forward(self, features: Features) -> Features:
        """Return the features with `sentence_embedding` `(batch, dim)`."""
        prompt_length = 0 if self.include_prompt else features.get("prompt_length")
        if isinstance(prompt_length, Tensor):  # from modules of sentence-transformers, the same for all sentences
            prompt_length = prompt_length.flatten()[0].item()
        prompt_length = int(prompt_length or 0)
        tokens: Tensor = features["token_embeddings"]
        if "packing" in features:
            pooled = _pool_row(self.modes, tokens, features["packing"], prompt_length)
            return {**features, "sentence_embedding": pooled}
        mask: Tensor | None = features.get("attention_mask")
        if mask is None:  # without a mask, each token counts
            mask = torch.ones(tokens.shape[:2], dtype=torch.long, device=tokens.device)
        weights = mask.cumsum(dim=1) if "weightedmean" in self.modes else mask  # The position of each token, from 1.
        if prompt_length:
            mask = _without_prompt(mask, prompt_length)
        pooled = torch.cat([_pool_batch(mode, tokens, mask, weights) for mode in self.modes], dim=1)
        return {**features, "sentence_embedding": pooled}

    def save(self, folder: str | Path) -> None:
        """Write `config.json`.

        If the modes are not in the order of `MODES`, or one is repeated, sentence-transformers before 5.4 cannot read
        the file.
        """
        folder = Path(folder)
        switches = {switch: mode in self.modes for mode, switch in self.MODES.items()}
        config: dict[str, Any] = {"word_embedding_dimension": self.hidden_size, **switches}
        if self.modes != [mode for mode in self.MODES if mode in self.modes]:
            # One boolean field per mode cannot store the order of the modes, but a list can.
            config = {"embedding_dimension": self.hidden_size, "pooling_mode": self.modes}
        write_json(folder / "config.json", {**config, "include_prompt": self.include_prompt})


def _pool_batch(mode: str, tokens: Tensor, mask: Tensor, weights: Tensor) -> Tensor:
    """Pool a padded batch: `(batch, seq_len, hidden_size) → (batch, hidden_size)`. Empty sentences give zeros."""
    if mode == "weightedmean":
        mask = mask * weights
    return _pool_nonempty(mode, tokens, mask).masked_fill(~mask.any(1, keepdim=True), 0)


def _pool_nonempty(mode: str, tokens: Tensor, mask: Tensor) -> Tensor:
    if mode in ("cls", "lasttoken"):
        positions = torch.arange(mask.shape[1], device=mask.device)
        is_token = mask.bool()
        index = (
            positions.masked_fill(~is_token, mask.shape[1]).amin(1).clamp(max=mask.shape[1] - 1)
            if mode == "cls"
            else positions.masked_fill(~is_token, -1).amax(1).clamp(min=0)
        )
        return tokens[torch.arange(len(tokens), device=tokens.device), index]
    weights = mask.unsqueeze(2)
    if mode == "max":
        return tokens.masked_fill(weights == 0, -torch.inf).amax(dim=1)
    total = (at_least_float32(tokens) * weights).sum(dim=1)
    return _divide(mode, total, weights.sum(dim=1)).to(tokens.dtype)


# torch.compile would trace the NumPy code, and recompile it for each batch.
@torch.compiler.disable
def _pool_row(modes: list[str], tokens: Tensor, packing: Packing, prompt_length: int) -> Tensor:
    """Pool a packed row: `(num_tokens, hidden_size) → (batch, num_modes · hidden_size)`.

    The result has the order of the caller's batch. Empty sentences give zeros.
    """
    if len(tokens) == 0:
        return tokens.new_zeros(len(packing), tokens.shape[1] * len(modes))
    device, on_device = tokens.device, packing.on(tokens.device)
    lengths, included = on_device.lengths, tokens
    if prompt_length:
        lengths = (lengths - prompt_length).clamp(min=0)
        (index,) = to_device([np.flatnonzero(packing.positions >= prompt_length)], device)
        included = tokens.index_select(0, index)
    pooled = []
    for mode in modes:
        if mode in ("cls", "lasttoken"):
            end = on_device.lengths.cumsum(0)
            index = (end - lengths if mode == "cls" else end - 1).clamp(0, len(tokens) - 1)
            pooled.append(tokens.index_select(0, index))
        elif mode == "max":
            pooled.append(_reduce_segments(included, lengths, "max"))
        else:
            values, count = at_least_float32(included), lengths.unsqueeze(1)
            if mode == "weightedmean":
                weights = packing.positions[packing.positions >= prompt_length] + 1
                weight = torch.from_numpy(weights).to(values).unsqueeze(1)
                values, count = values * weight, _reduce_segments(weight, lengths, "sum")
            total = _reduce_segments(values, lengths, "sum")
            pooled.append(_divide(mode, total, count).to(tokens.dtype))
    in_packed_order = torch.cat(pooled, dim=1).masked_fill((lengths == 0).unsqueeze(1), 0)
    return in_packed_order.index_select(0, on_device.inverse_order)


def _reduce_segments(x: Tensor, lengths: Tensor, reduction: str) -> Tensor:
    """Return the sum or maximum of each segment of consecutive rows of `x`.

    Args:
        x: rows `(n, hidden_size)`.
        lengths: number of rows of each segment `(batch,)`.
        reduction: "sum" or "max".

    Returns:
        One row per segment `(batch, hidden_size)`.
    """
    if x.device.type in _SEGMENT_REDUCE_DEVICES:
        return torch.segment_reduce(x, reduction, lengths=lengths, axis=0, unsafe=True)
    segment = torch.repeat_interleave(lengths, output_size=len(x)).unsqueeze(1).expand_as(x)
    result = x.new_zeros(len(lengths), x.shape[1])
    return result.scatter_reduce(0, segment, x, {"max": "amax"}.get(reduction, reduction), include_self=False)


def _divide(mode: str, total: Tensor, count: Tensor) -> Tensor:
    """Divide `total` `(batch, hidden_size)` by the sum of the weights `count` `(batch, 1)`, or by its square root."""
    count = count.clamp(min=1).to(total.dtype)
    return total / (count.sqrt() if mode == "mean_sqrt_len_tokens" else count)


def _without_prompt(mask: Tensor, prompt_length: int) -> Tensor:
    """Set the mask `(batch, seq_len)` to 0 for the first `prompt_length` tokens of each sentence.

    Padding may be on the left or on the right.
    """
    return mask * (mask.cumsum(dim=1) > prompt_length)
