"""Transformer: a module that tokenizes sentences and computes token embeddings."""

import inspect
import logging
import threading
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import AutoConfig, AutoModel, AutoTokenizer
from transformers.utils.import_utils import is_peft_available

from tercet._events import WarningKind, emit_warning
from tercet._files import read_json, write_json
from tercet.encoder.features import Features
from tercet.encoder.modules.base import Module
from tercet.encoder.packing.architectures import position_limit, run_packed, runs_packed
from tercet.encoder.packing.dropout import replace_dropout
from tercet.encoder.packing.packing import Packing, pack
from tercet.encoder.packing.self_check import PROBE_SENTENCES, autocast_dtype, find_packing_problem
from tercet.errors import ModelError

logger = logging.getLogger(__name__)

_MODEL_INPUTS = ("input_ids", "attention_mask", "token_type_ids")
# Tokenizers without a maximum length report a huge number, such as 1e30. Limits from this value on are ignored.
_MAX_PLAUSIBLE_LENGTH = 100_000
# If a model does not support packed batches, the batch is divided into groups of sentences, and each group is padded.
# The longest sentence of a group has at most this many times the tokens of its shortest sentence.
_MAX_LENGTH_RATIO = 1.5
# The self-check sets the model to evaluation mode, so two threads must not run it at the same time.
_SELF_CHECK_LOCK = threading.RLock()
_FALLBACK = "sentences are padded in groups of similar length"


class Transformer(Module):
    """A module that runs an encoder of `transformers` and its tokenizer.

    The input is a padded batch from `tokenize`, or a packed batch from `tercet.encoder.packing.pack`. See
    `tercet.encoder.features` for their entries and shapes.

    Args:
        auto_model: an encoder whose first output is `last_hidden_state` `(batch, seq_len, hidden_size)`.
        max_seq_length: maximum number of tokens of a sentence, including special tokens; longer sentences are
            truncated. By default the maximum length of the tokenizer. In both cases it is reduced to the number of
            positions of the model if this number is smaller. Lengths from 100,000 on count as no limit.
        do_lower_case: whether to lowercase the texts before tokenization.

    Attributes:
        packing: True (the default) to compute packed batches without padding if the architecture supports it and the
            self-check succeeds; else they are padded in groups of similar length. False to pad every packed batch to
            its longest sentence.
        max_seq_length: the maximum number of tokens that is in force; None if there is no limit.
    """

    def __init__(
        self, auto_model: Any, tokenizer: Any, max_seq_length: int | None = None, do_lower_case: bool = False
    ) -> None:
        super().__init__()
        replace_dropout(auto_model)
        self.auto_model: Any = auto_model
        self.tokenizer = tokenizer
        self.do_lower_case = do_lower_case
        requested = tokenizer.model_max_length if max_seq_length is None else max_seq_length
        limits = [requested, position_limit(auto_model.config)]
        plausible = [limit for limit in limits if limit is not None and limit < _MAX_PLAUSIBLE_LENGTH]
        self.max_seq_length: int | None = min(plausible) if plausible else None
        self.packing = True
        self._self_checks: tuple[Any, dict[Any, bool]] = (auto_model, {})
        accepted = inspect.signature(auto_model.forward).parameters
        self._inputs = [name for name in _MODEL_INPUTS if name in accepted]

    @classmethod
    def load(
        cls, name_or_folder: str, settings_folder: Path | None = None, *, trust_remote_code: bool = False, **hub: Any
    ) -> "Transformer":
        """Load an encoder with safetensors weights from a folder or the hub.

        Args:
            settings_folder: the folder of a saved model. Its `sentence_bert_config.json` is read if the file exists. By
                default none is read.
            hub: `revision`, `token`, `cache_folder`, `model_kwargs`, `tokenizer_kwargs` and `config_kwargs`.

        Raises:
            ModelError: the model is an encoder-decoder, it is a peft adapter and peft is not installed, or a JSON file
                is invalid. Errors of `transformers`, such as OSError for missing weights, are passed on.
        """
        common: dict[str, Any] = {"trust_remote_code": trust_remote_code}
        common |= {"revision": hub.get("revision"), "token": hub.get("token"), "cache_dir": hub.get("cache_folder")}
        model_kwargs = {"dtype": torch.float32, **(hub.get("model_kwargs") or {})}
        config = AutoConfig.from_pretrained(_base_model(name_or_folder), **common, **(hub.get("config_kwargs") or {}))
        if getattr(config, "is_encoder_decoder", False):
            raise ModelError(
                f"{name_or_folder} is an encoder-decoder ({config.model_type}), which is not supported; use an encoder"
            )
        auto_model = AutoModel.from_pretrained(
            name_or_folder, config=config, use_safetensors=True, **common, **model_kwargs
        )
        tokenizer = AutoTokenizer.from_pretrained(name_or_folder, **common, **(hub.get("tokenizer_kwargs") or {}))
        settings_file = settings_folder / "sentence_bert_config.json" if settings_folder else None
        settings = read_json(settings_file) if settings_file is not None and settings_file.exists() else {}
        return cls(auto_model, tokenizer, settings.get("max_seq_length"), settings.get("do_lower_case", False))

    @property
    def hidden_size(self) -> int:
        """The dimension of a token embedding."""
        return int(self.auto_model.config.hidden_size)

    def tokenize(self, texts: list[str]) -> Features:
        """Tokenize texts into a padded batch on the CPU, truncated to `max_seq_length`.

        Returns:
            `input_ids` `(batch, seq_len)` and `attention_mask` `(batch, seq_len)`. Some tokenizers add further
            features, such as `token_type_ids`.
        """
        return dict(self._tokenize(texts, padding=True, return_tensors="pt"))

    def token_ids(self, texts: list[str]) -> list[list[int]]:
        """Return the token ids of each text, including special tokens, truncated to `max_seq_length`."""
        ids: list[list[int]] = self._tokenize(texts, return_attention_mask=False)["input_ids"] if texts else []
        return ids

    def token_counts(self, texts: list[str]) -> list[int]:
        """Return the number of tokens of each text, including special tokens, before truncation."""
        if not texts:
            return []
        ids = self.tokenizer(self._normalize_case(texts), return_attention_mask=False)["input_ids"]
        return [len(sentence) for sentence in ids]

    def _tokenize(self, texts: list[str], **options: Any) -> Any:
        truncation = {"truncation": self.max_seq_length is not None, "max_length": self.max_seq_length}
        return self.tokenizer(self._normalize_case(texts), **truncation, **options)

    def _normalize_case(self, texts: list[str]) -> list[str]:
        return [text.lower() for text in texts] if self.do_lower_case else texts

    def forward(self, features: Features) -> Features:
        """Return the features with `token_embeddings`.

        Its shape is `(batch, seq_len, hidden_size)` for a padded batch, `(num_tokens, hidden_size)` for a packed batch.
        """
        packing = features.get("packing")
        if packing is not None:
            return {**features, "token_embeddings": self._run_row(features["input_ids"], packing)}
        inputs = {name: features[name] for name in self._inputs if name in features}
        return {**features, "token_embeddings": self.auto_model(**inputs)[0]}

    # torch.compile compiles the layers that this method calls, but not the method itself, which uses NumPy.
    @torch.compiler.disable(recursive=False)
    def _run_row(self, input_ids: Tensor, packing: Packing) -> Tensor:
        """Return the hidden states `(num_tokens, hidden_size)` of a packed row `input_ids` `(1, num_tokens)`."""
        if input_ids.shape[1] == 0:  # All sentences are empty and have no special tokens.
            return torch.zeros(0, self.hidden_size, device=input_ids.device, dtype=self.auto_model.dtype)
        if self.packing and self._runs_packed(input_ids.device):
            states: Tensor = run_packed(self.auto_model, input_ids, packing)
            return states
        return self._run_padded(input_ids, packing, _MAX_LENGTH_RATIO if self.packing else np.inf)

    def _run_padded(self, input_ids: Tensor, packing: Packing, max_length_ratio: float = np.inf) -> Tensor:
        """Compute the hidden states `(num_tokens, hidden_size)` of a packed row in padded groups of similar length.

        Args:
            max_length_ratio: maximum ratio of the longest to the shortest sentence of a group. The default puts all
                sentences into one group.
        """
        states = []
        for group in packing.similar_lengths(max_length_ratio):
            lengths = torch.from_numpy(packing.lengths[group]).to(input_ids.device)
            mask = torch.arange(int(lengths[-1]), device=lengths.device) < lengths.unsqueeze(1)
            ids = torch.full(mask.shape, self.tokenizer.pad_token_id or 0, device=lengths.device)
            first, end = packing.cu_seqlens[group.start], packing.cu_seqlens[group.stop]
            ids = ids.masked_scatter(mask, input_ids[0, first:end])
            inputs = {"input_ids": ids, "attention_mask": mask.long(), "token_type_ids": self._token_type_ids(ids)}
            accepted = {name: inputs[name] for name in self._inputs if inputs[name] is not None}
            states.append(self.auto_model(**accepted)[0][mask])
        return torch.cat(states)

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
    def _runs_packed(self, device: torch.device) -> bool:
        """Return whether the model supports packed rows and passes the self-check.

        The self-check runs once for each device type, dtype of the weights, autocast dtype and `max_seq_length`, and
        again if `auto_model` is replaced.
        """
        supported = runs_packed(self.auto_model)
        key = (supported, device.type, self.auto_model.dtype, autocast_dtype(device), self.max_seq_length)
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

    def save(self, folder: Path) -> None:
        """Write the encoder, the tokenizer and `sentence_bert_config.json`."""
        self.auto_model.save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)
        write_json(
            folder / "sentence_bert_config.json",
            {"max_seq_length": self.max_seq_length, "do_lower_case": self.do_lower_case},
        )


def _base_model(name_or_folder: str) -> str:
    """Return the base model of a folder that has a peft adapter and no config.json; return any other name unchanged."""
    adapter = Path(name_or_folder) / "adapter_config.json"
    if not adapter.exists() or (Path(name_or_folder) / "config.json").exists():
        return name_or_folder
    if not is_peft_available():
        raise ModelError(f"{name_or_folder} contains a peft adapter; run pip install peft to load it")
    return str(read_json(adapter)["base_model_name_or_path"])
