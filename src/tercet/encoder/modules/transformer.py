"""The encoder: sentences → token ids → one vector a token, on a padded batch or on a packed row."""

import inspect
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel, AutoTokenizer
from transformers.utils import is_peft_available

from tercet._files import read_json, write_json
from tercet.encoder.packing.architectures import position_limit, run_packed, runs_packed
from tercet.encoder.packing.dropout import replace_dropout
from tercet.encoder.packing.packing import Features, Packing, pack
from tercet.errors import ModelError

logger = logging.getLogger(__name__)

_MODEL_INPUTS = ("input_ids", "attention_mask", "token_type_ids")
_NO_LIMIT = 100_000  # tokenizers without a maximum report absurd ones
# An architecture that cannot run packed gets sentences in parts, each padded to its own longest sentence.
_LENGTH_RATIO = 1.5
_PROBES = [" ".join(["a quick test of one sentence"] * times) for times in (0, 1, 2, 4, 30)]
# Of the largest number, between two orders of summation; an attention that saw the wrong tokens is farther off.
_TOLERANCE = {torch.float16: 0.03, torch.bfloat16: 0.1}
_TOLERANCE_OF_FLOAT32 = 2e-3
_ONE_TRIAL_AT_A_TIME = threading.RLock()  # it switches dropout off


class Transformer(nn.Module):
    """A `transformers` encoder with its tokenizer.

    Features are a padded batch (`input_ids` and `attention_mask` `(batch, tokens)`, from `tokenize`) or a packed
    row (`input_ids` `(1, tokens)` and a `Packing`, from `tercet.encoder.packing.packing.pack`).

    Args:
        auto_model: gives `last_hidden_state` `(batch, tokens, hidden)`.
        max_seq_length: the most tokens of a sentence, special ones included; longer ones are cut.
            None takes what tokenizer and position table allow.

    Attributes:
        packing: whether a packed row is computed as it lies. Where this is False it is padded; where the
            architecture cannot, in parts of similar length, each padded.
    """

    def __init__(
        self, auto_model: Any, tokenizer: Any, max_seq_length: int | None = None, do_lower_case: bool = False
    ) -> None:
        super().__init__()
        replace_dropout(auto_model)
        self.auto_model: Any = auto_model
        self.tokenizer = tokenizer
        self.do_lower_case = do_lower_case
        chosen = tokenizer.model_max_length if max_seq_length is None else max_seq_length
        limits = [chosen, position_limit(auto_model.config)]
        known = [limit for limit in limits if limit is not None and limit < _NO_LIMIT]
        self.max_seq_length: int | None = min(known) if known else None
        self.packing = True
        self._trials: tuple[Any, dict[Any, bool]] = (auto_model, {})
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
        config = AutoConfig.from_pretrained(_base(name_or_folder), **shared, **(hub.get("config_kwargs") or {}))
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
        return dict(self._tokenized(texts, padding=True, return_tensors="pt"))

    def token_ids(self, texts: list[str]) -> list[list[int]]:
        """Texts → the token ids of each, special ones included, cut to `max_seq_length`."""
        ids: list[list[int]] = self._tokenized(texts, return_attention_mask=False)["input_ids"] if texts else []
        return ids

    def token_counts(self, texts: list[str]) -> list[int]:
        """How many tokens each text has, special ones included, before it is cut."""
        if self.do_lower_case:
            texts = [text.lower() for text in texts]
        return [len(ids) for ids in self.tokenizer(texts, return_attention_mask=False)["input_ids"]] if texts else []

    def _tokenized(self, texts: list[str], **options: Any) -> Any:
        if self.do_lower_case:
            texts = [text.lower() for text in texts]
        return self.tokenizer(
            texts, truncation=self.max_seq_length is not None, max_length=self.max_seq_length, **options
        )

    def forward(self, features: Features) -> Features:
        """Add `token_embeddings`: `(batch, tokens, hidden)` of a padded batch, `(tokens, hidden)` of a packed row."""
        packing = features.get("packing")
        if packing is not None:
            return {**features, "token_embeddings": self._run_row(features["input_ids"], packing)}
        inputs = {name: features[name] for name in self._inputs if name in features}
        return {**features, "token_embeddings": self.auto_model(**inputs)[0]}

    @torch.compiler.disable(recursive=False)  # the compiler gets the layers, and not what is done in numpy
    def _run_row(self, input_ids: Tensor, packing: Packing) -> Tensor:
        if input_ids.shape[1] == 0:  # empty sentences, from a tokenizer without special tokens
            return torch.zeros(0, self.hidden_size, device=input_ids.device, dtype=self.auto_model.dtype)
        if self.packing and self._runs_packed(input_ids.device):
            return run_packed(self.auto_model, input_ids, packing)
        return self._run_in_parts(input_ids, packing, _LENGTH_RATIO if self.packing else np.inf)

    def _run_in_parts(self, input_ids: Tensor, packing: Packing, ratio: float) -> Tensor:
        """The same by padding: sentences in parts of similar length."""
        states = []
        for part in packing.parts(ratio):
            lengths = torch.from_numpy(packing.lengths[part]).to(input_ids.device)
            mask = torch.arange(int(lengths[-1]), device=lengths.device) < lengths.unsqueeze(1)
            ids = torch.full(mask.shape, self.tokenizer.pad_token_id or 0, device=lengths.device)
            first, end = packing.cu_seqlens[part.start], packing.cu_seqlens[part.stop]
            ids = ids.masked_scatter(mask, input_ids[0, first:end])
            inputs = {"input_ids": ids, "attention_mask": mask.long(), "token_type_ids": self._token_types(ids)}
            given = {name: inputs[name] for name in self._inputs if inputs[name] is not None}
            hidden = self.auto_model(**given)[0]
            states.append(hidden[mask])
        return torch.cat(states)

    def _token_types(self, ids: Tensor) -> Tensor | None:
        """What the tokenizer gives for single sentences, in which a type depends on the token alone, or None."""
        if "token_type_ids" not in self.tokenizer.model_input_names:
            return None
        types = torch.zeros_like(ids)
        for token, kind in self._types_of_tokens.items():
            types.masked_fill_(ids == token, kind)
        return types

    @cached_property
    def _types_of_tokens(self) -> dict[int, int]:
        """The tokens with another type than 0; some tokenizers have one for the token that stands for the sentence."""
        encoded = self._tokenized(["a"])
        types = zip(encoded["input_ids"][0], encoded["token_type_ids"][0], strict=True)
        return {token: kind for token, kind in types if kind}

    @torch.compiler.disable
    def _runs_packed(self, device: torch.device) -> bool:
        """Whether this model gives on a packed row what it gives on a padded batch.

        Tried once for each kind of device and precision, and told if not.
        """
        precision = torch.get_autocast_dtype(device.type) if torch.is_autocast_enabled(device.type) else None
        known = runs_packed(self.auto_model)
        key = (known, device.type, self.auto_model.dtype, precision, self.max_seq_length)
        with _ONE_TRIAL_AT_A_TIME:
            if self._trials[0] is not self.auto_model:
                self._trials = (self.auto_model, {})
            if key not in self._trials[1]:
                kind = self.auto_model.config.model_type
                problem = self._try_packed(device) if known else None
                if not known:
                    logger.info(f"{kind} does not run packed: batches go in parts of similar length, each padded")
                elif problem:
                    logger.warning(f"{kind} {problem}, so batches go in parts of similar length, each padded")
                self._trials[1][key] = known and problem is None
            return self._trials[1][key]

    def _try_packed(self, device: torch.device) -> str | None:
        """What is wrong with packed rows under the present precision, or None."""
        features = pack(self.token_ids(_PROBES))
        ids, packing = features["input_ids"].to(device), features["packing"]
        before = self.auto_model.config._attn_implementation
        with torch.no_grad(), _evaluating(self.auto_model):
            padded = self._run_in_parts(ids, packing, np.inf).cpu().double()
            try:
                packed = run_packed(self.auto_model, ids, packing)
            except torch.OutOfMemoryError:
                raise
            except (RuntimeError, ValueError, TypeError, IndexError) as reason:
                if self.auto_model.config._attn_implementation != before:
                    self.auto_model.set_attn_implementation(before)
                return f"does not run packed ({str(reason).splitlines()[0]})"
        computed_in = torch.get_autocast_dtype(device.type) if torch.is_autocast_enabled(device.type) else packed.dtype
        error = float((packed.cpu() - padded).abs().max() / padded.abs().max())
        if error <= _TOLERANCE.get(computed_in, _TOLERANCE_OF_FLOAT32):
            return None
        return f"gives other numbers packed than padded (by {error:.0e} of the largest)"

    def save(self, folder: Path) -> None:
        """Write encoder, tokenizer and settings."""
        self.auto_model.save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)
        write_json(
            folder / "sentence_bert_config.json",
            {"max_seq_length": self.max_seq_length, "do_lower_case": self.do_lower_case},
        )


def _base(name_or_folder: str) -> str:
    """The model that a folder of low-rank adapters was trained on, or the folder or name itself."""
    adapter = Path(name_or_folder) / "adapter_config.json"
    if not adapter.exists() or (Path(name_or_folder) / "config.json").exists():
        return name_or_folder
    if not is_peft_available():
        raise ModelError(f"{name_or_folder} holds adapters for another model; install peft to load it")
    return str(read_json(adapter)["base_model_name_or_path"])


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    """Without dropout while the block runs; each module then gets back the mode that it had."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training
