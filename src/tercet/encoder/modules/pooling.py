"""Pooling: a module that reduces the token embeddings of each sentence to one vector."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from tercet._files import read_json, write_json
from tercet.encoder.features import Features
from tercet.encoder.modules.base import Module, check_dimension, one_name
from tercet.encoder.modules.pooling_functions import pool_batch, pool_row, without_prompt
from tercet.errors import ModelError, listed


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
            pooled = pool_row(self.modes, tokens, features["packing"], prompt_length)
            return {**features, "sentence_embedding": pooled}
        mask: Tensor | None = features.get("attention_mask")
        if mask is None:  # without a mask, each token counts
            mask = torch.ones(tokens.shape[:2], dtype=torch.long, device=tokens.device)
        weights = mask.cumsum(dim=1) if "weightedmean" in self.modes else mask  # The position of each token, from 1.
        if prompt_length:
            mask = without_prompt(mask, prompt_length)
        pooled = torch.cat([pool_batch(mode, tokens, mask, weights) for mode in self.modes], dim=1)
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
