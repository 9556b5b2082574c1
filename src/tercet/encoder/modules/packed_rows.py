"""Compute packed rows of tokens with an encoder, or padded groups of similar length if it cannot run them."""

import logging
import threading
from collections.abc import Iterator
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tercet._events import WarningKind, emit_warning
from tercet.encoder.modules.input_module import InputModule
from tercet.encoder.packing.architectures import run_packed, runs_packed
from tercet.encoder.packing.layers import Layer, find_layers
from tercet.encoder.packing.packing import Packing, pack
from tercet.encoder.packing.self_check import PROBE_SENTENCES, find_packing_problem
from tercet.encoder.packing.varlen import autocast_dtype

logger = logging.getLogger(__name__)

# If a model does not support packed batches, the batch is divided into groups of sentences, and each group is padded.
# The longest sentence of a group has at most this many times the tokens of its shortest sentence.
_MAX_LENGTH_RATIO = 1.5
# The self-check sets the model to evaluation mode, so two threads must not run it at the same time.
_SELF_CHECK_LOCK = threading.RLock()
_FALLBACK = "sentences are padded in groups of similar length"


class PackedRows(InputModule):
    """The part of `Transformer` that computes packed rows.

    Attributes:
        auto_model: the encoder.
        packing: True to compute packed rows without padding if the architecture supports it and the self-check
            succeeds. False to pad every packed row to its longest sentence.
        pads_to_longest: whether all sentences of a row that cannot run packed are one padded group. A training that
            shards the layers over processes (FSDP) needs it, because each process must run them equally often.
    """

    auto_model: Any
    pads_to_longest = False
    _inputs: list[str]
    _self_checks: tuple[Any, dict[Any, bool]]

    def _tokenize(self, texts: list[str], **options: Any) -> Any:
        raise NotImplementedError

    # torch.compile compiles the layers that this method calls, but not the method itself, which uses NumPy.
    @torch.compiler.disable(recursive=False)
    def _run_row(self, input_ids: Tensor, packing: Packing) -> Tensor:
        """Return the hidden states `(num_tokens, hidden_size)` of a packed row `input_ids` `(1, num_tokens)`."""
        if input_ids.shape[1] == 0:  # All sentences are empty and have no special tokens.
            return torch.zeros(0, self.hidden_size, device=input_ids.device, dtype=self.auto_model.dtype)
        if self.packing:
            layers = find_layers(self.auto_model)
            if self._runs_packed(input_ids.device, layers):
                states: Tensor = run_packed(self.auto_model, layers, input_ids, packing)
                return states
        return self._run_padded(input_ids, packing, _MAX_LENGTH_RATIO if self.packing else np.inf)

    def _run_padded(self, input_ids: Tensor, packing: Packing, max_length_ratio: float = np.inf) -> Tensor:
        """Compute the hidden states `(num_tokens, hidden_size)` of a packed row in padded groups of similar length."""
        groups = self.padded_groups(input_ids, packing, max_length_ratio)
        return torch.cat([self.auto_model(**inputs)[0][mask] for inputs, mask in groups])

    def padded_groups(
        self, input_ids: Tensor, packing: Packing, max_length_ratio: float = _MAX_LENGTH_RATIO
    ) -> Iterator[tuple[dict[str, Tensor], Tensor]]:
        """Yield the padded inputs of the encoder for groups of similar length, and the mask of their tokens.

        Args:
            input_ids: a packed row `(1, num_tokens)`.
            packing: the lengths of its sentences.
            max_length_ratio: maximum ratio of the longest to the shortest sentence of a group. Infinity puts all
                sentences into one group.
        """
        for group in packing.similar_lengths(np.inf if self.pads_to_longest else max_length_ratio):
            lengths = torch.from_numpy(packing.lengths[group]).to(input_ids.device)
            mask = torch.arange(int(lengths[-1]), device=lengths.device) < lengths.unsqueeze(1)
            ids = torch.full(mask.shape, self.tokenizer.pad_token_id or 0, device=lengths.device)
            first, end = packing.cu_seqlens[group.start], packing.cu_seqlens[group.stop]
            ids = ids.masked_scatter(mask, input_ids[0, first:end])
            inputs = {"input_ids": ids, "attention_mask": mask.long(), "token_type_ids": self._token_type_ids(ids)}
            accepted = {name: value for name, value in inputs.items() if name in self._inputs and value is not None}
            yield accepted, mask

    def _token_type_ids(self, ids: Tensor) -> Tensor | None:
        """Return the token type ids `(batch, seq_len)`, or None if the tokenizer has no token types.

        Each input is one sentence and not a pair. Therefore the type of a token depends on its token id alone.
        """
        if "token_type_ids" not in self.tokenizer.model_input_names:
            return None
        types = torch.zeros_like(ids)
        for token, token_type in self._nonzero_token_types.items():
            types.masked_fill_(ids == token, token_type)
        return types

    @cached_property
    def _nonzero_token_types(self) -> dict[int, int]:
        """The token types that are not 0, by token id. For example, XLNet gives its CLS token the type 2."""
        encoded = self._tokenize(["a"])
        types = zip(encoded["input_ids"][0], encoded["token_type_ids"][0], strict=True)
        return {token: token_type for token, token_type in types if token_type}

    @torch.compiler.disable
    def _runs_packed(self, device: torch.device, layers: list[Layer] | None) -> bool:
        """Return whether the model supports packed rows and passes the self-check, with the result of `find_layers`.

        The self-check runs once for each device type, dtype of the weights, autocast dtype, `max_seq_length` and
        `pads_to_longest`, and again if `auto_model` is replaced, or is changed so that other code runs its layers.
        """
        supported = runs_packed(self.auto_model)
        key = (
            supported,
            layers is None,
            device.type,
            self.auto_model.dtype,
            autocast_dtype(device),
            self.max_seq_length,
            # Set while layers are sharded. All processes then run the self-check, or none, also if one of them has used
            # the model alone before.
            self.pads_to_longest,
        )
        with _SELF_CHECK_LOCK:
            if self._self_checks[0] is not self.auto_model:
                self._self_checks = (self.auto_model, {})
            if key not in self._self_checks[1]:
                self._self_checks[1][key] = supported and self._passes_self_check(device)
                if not supported:
                    kind = self.auto_model.config.model_type
                    logger.info(f"this {kind} model does not support packed batches; {_FALLBACK}")
            return self._self_checks[1][key]

    def _passes_self_check(self, device: torch.device) -> bool:
        features = pack(self.token_ids(PROBE_SENTENCES))
        features["input_ids"] = features["input_ids"].to(device)
        problem = find_packing_problem(self.auto_model, features, self._run_padded)
        if problem:
            kind = self.auto_model.config.model_type
            emit_warning(
                WarningKind.PACKING_DISABLED, f"packing is off for this {kind} model, because it {problem}; {_FALLBACK}"
            )
        return problem is None
