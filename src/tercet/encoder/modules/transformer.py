"""Transformer: a module that tokenizes sentences and computes token embeddings."""

import inspect
from pathlib import Path
from typing import Any

import torch
from torch import nn

from tercet._events import WarningKind
from tercet._files import read_json, write_json
from tercet._texts import check_texts
from tercet.encoder.features import Features
from tercet.encoder.hub import find_local_folder
from tercet.encoder.modules.all_layers import all_layer_outputs, run_all_layers
from tercet.encoder.modules.base import one_name
from tercet.encoder.modules.input_module import other_row
from tercet.encoder.modules.packed_rows import PackedRows
from tercet.encoder.packing.architectures import position_limit
from tercet.encoder.packing.dropout import replace_dropout
from tercet.encoder.pretrained import load_pretrained, loading_arguments
from tercet.encoder.pretrained.tokenizer import check_ids_fit, embedding_rows
from tercet.encoder.threads import tokenizer_lock
from tercet.encoder.token_stats import TokenStats, count_encoded
from tercet.errors import EmbeddingError, ModelError, listed

# The names that sentence-transformers has given to the settings of a Transformer, newest first. Versions before 1.0 had
# a module for each architecture.
_SETTINGS = "sentence_bert_config.json"
_OLD_SETTINGS = tuple(
    f"sentence_{name}_config.json" for name in ("roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet")
)
_MODEL_INPUTS = ("input_ids", "attention_mask", "token_type_ids")
# Tokenizers without a maximum length report a huge number, such as 1e30. Limits from this value on are ignored.
_MAX_PLAUSIBLE_LENGTH = 100_000


class Transformer(PackedRows):
    """A module that runs an encoder of `transformers` and its tokenizer.

    The input is a padded batch from `tokenize`, or a packed batch from `tercet.encoder.packing.pack`. See
    `tercet.encoder.features` for their entries and shapes.

    Args:
        auto_model: an encoder whose first output is `last_hidden_state` `(batch, seq_len, hidden_size)`; or a folder or
            a name on the hub, and then the tokenizer is loaded, too.
        tokenizer: the tokenizer of the encoder.
        max_seq_length: maximum number of tokens of a sentence, including special tokens; longer sentences are
            truncated. By default the maximum length of the tokenizer. In both cases it is reduced to the number of
            positions of the model if this number is smaller. Lengths from 100,000 on count as no limit.
        do_lower_case: whether to lowercase the texts before tokenization.
        loading: with a name also `model_args`, `tokenizer_args` and `config_args` for `transformers`, and `cache_dir`.

    Attributes:
        packing: True (the default) to compute packed batches without padding if the architecture supports it and the
            self-check succeeds; else they are padded in groups of similar length. False to pad every packed batch to
            its longest sentence.
        max_seq_length: the maximum number of tokens that is in force; None if there is no limit.

    Raises:
        ModelError: `max_seq_length` is not an integer, or leaves no room for a word beside the special tokens, or the
            model cannot be loaded.
        TypeError: an argument is unknown.
    """

    def __init__(
        self,
        auto_model: Any = None,
        tokenizer: Any = None,
        max_seq_length: int | None = None,
        do_lower_case: bool = False,
        **loading: Any,
    ) -> None:
        super().__init__()
        auto_model = one_name("auto_model", auto_model, loading, "model_name_or_path")
        if isinstance(auto_model, (str, Path)):
            if isinstance(tokenizer, int):  # The second argument of sentence-transformers is max_seq_length.
                tokenizer, max_seq_length = None, tokenizer
            find_local_folder(str(auto_model))  # A path that does not exist has a clear message.
            loaded = load_pretrained(str(auto_model), **loading_arguments(loading))
            auto_model, tokenizer = loaded[0], tokenizer or loaded[1]
        if auto_model is None or tokenizer is None:
            raise ModelError("a Transformer needs an encoder and its tokenizer, or the name of a model")
        if loading:
            raise TypeError(f"Transformer has no argument {listed(sorted(loading))}")
        replace_dropout(auto_model)
        self.auto_model: Any = auto_model
        self.tokenizer = tokenizer
        self.do_lower_case = do_lower_case
        requested = tokenizer.model_max_length if max_seq_length is None else max_seq_length
        _check_length(requested)
        limits = [requested, position_limit(auto_model.config)]
        plausible = [limit for limit in limits if limit is not None and limit < _MAX_PLAUSIBLE_LENGTH]
        self.max_seq_length = min(plausible) if plausible else None
        self.packing = True
        self.warned: set[WarningKind] = set()  # The kinds of warnings about texts that were emitted.
        self._self_checks: tuple[Any, dict[Any, bool]] = (auto_model, {})
        accepted = inspect.signature(auto_model.forward).parameters
        self._inputs = [name for name in _MODEL_INPUTS if name in accepted]
        self.register_load_state_dict_pre_hook(_rename_peer_weights)  # type: ignore[no-untyped-call]

    @classmethod
    def load(
        cls, name_or_folder: str, settings_folder: Path | None = None, *, trust_remote_code: bool = False, **hub: Any
    ) -> "Transformer":
        """Load an encoder with safetensors weights from a folder or the hub.

        Args:
            settings_folder: the folder of a saved model. Its `sentence_bert_config.json`, or the file of an older name,
                is read if it exists. By default none is read.
            hub: `revision`, `token`, `cache_folder`, `model_kwargs`, `tokenizer_kwargs` and `config_kwargs`.

        Raises:
            ModelError: the model cannot be loaded, or a check of `tercet.encoder.pretrained` fails.
        """
        auto_model, tokenizer = load_pretrained(name_or_folder, trust_remote_code=trust_remote_code, **hub)
        settings_file = _settings_file(settings_folder) if settings_folder else None
        settings = read_json(settings_file) if settings_file is not None else {}
        lower = settings.get("do_lower_case") or False
        if not isinstance(lower, bool):
            raise ModelError(f"{settings_file}: do_lower_case must be true or false, got {lower!r}")
        try:
            return cls(auto_model, tokenizer, settings.get("max_seq_length"), lower)
        except ModelError as error:
            raise ModelError(f"cannot use the model in {settings_folder or name_or_folder}: {error}") from None

    @property
    def max_seq_length(self) -> int | None:
        """The maximum number of tokens of a sentence, including special tokens; None if there is no limit.

        Setting None sets the number of positions of the model, if it has one. Setting a value that is not an integer,
        leaves no room for a word, or is above this number raises a `ModelError`.
        """
        return self._max_seq_length

    @max_seq_length.setter
    def max_seq_length(self, value: int | None) -> None:
        positions = position_limit(self.auto_model.config)
        if value is None:
            value = positions
        else:
            _check_length(value)
            special = self.tokenizer.num_special_tokens_to_add()
            if value <= special:
                raise ModelError(
                    f"max_seq_length is {value}, but each sentence has {special} special tokens, so that no word would "
                    "be left; choose a larger value"
                )
            if positions is not None and value > positions:
                raise ModelError(
                    f"max_seq_length is {value}, but this model has {positions} positions; set at most {positions}"
                )
        self._max_seq_length = value

    @property
    def hidden_size(self) -> int:
        """The dimension of a token embedding."""
        return int(self.auto_model.config.hidden_size)

    @property
    def word_embeddings(self) -> nn.Module:
        """The layer of the word embeddings."""
        layer: nn.Module = self.auto_model.get_input_embeddings()
        return layer

    @property
    def model(self) -> Any:
        """The encoder, `auto_model`."""
        return self.auto_model

    @property
    def config(self) -> Any:
        """The configuration of the encoder."""
        return self.auto_model.config

    def get_word_embedding_dimension(self) -> int:
        """Return `hidden_size`."""
        return self.hidden_size

    get_embedding_dimension = get_word_embedding_dimension

    def tokenize(self, texts: list[str]) -> Features:
        """Tokenize texts into a padded batch on the CPU, truncated to `max_seq_length`.

        Returns:
            `input_ids` `(batch, seq_len)` and `attention_mask` `(batch, seq_len)`. Some tokenizers add further
            features, such as `token_type_ids`.
        """
        return dict(self._tokenize(texts, padding=True, return_tensors="pt"))

    def token_ids(self, texts: list[str], stats: TokenStats | None = None) -> list[list[int]]:
        """Return the token ids of each text, including special tokens, truncated to `max_seq_length`.

        Args:
            texts: the texts.
            stats: the counts of truncated texts and of unknown tokens are added to it.
        """
        if not texts:
            return []
        encoded = self._tokenize(texts, return_attention_mask=False)
        if stats is not None:
            stats.add(count_encoded(encoded, self.tokenizer, self.max_seq_length))
        ids: list[list[int]] = encoded["input_ids"]
        return ids

    def token_counts(self, texts: list[str]) -> list[int]:
        """Return the number of tokens of each text, including special tokens, before truncation."""
        if not texts:
            return []
        # The tokenizer would log that texts are longer than its limit.
        ids = self._call_tokenizer(texts, return_attention_mask=False, verbose=False)["input_ids"]
        return [len(sentence) for sentence in ids]

    def test_batch(self) -> tuple[Features, bool]:
        """Return a padded batch of two rows of tokens to test the model with, and whether the rows differ."""
        features = self.tokenize(["a test sentence"])
        ids = features["input_ids"][0].tolist()
        other = other_row(ids, set(self.special_ids), self.num_tokens)
        features = {name: torch.cat([value, value]) for name, value in features.items()}
        features["input_ids"][1] = torch.tensor(other)
        return features, ids != other

    def _tokenize(self, texts: list[str], **options: Any) -> Any:
        truncation = {"truncation": self.max_seq_length is not None, "max_length": self.max_seq_length}
        return self._call_tokenizer(texts, **truncation, **options)

    def _call_tokenizer(self, texts: list[str], **options: Any) -> Any:
        """Tokenize texts. One thread at a time does so, because truncation and padding are state of the tokenizer."""
        rows = embedding_rows(self._modules.get("auto_model"))  # None in a copy without weights.
        if rows is not None:
            check_ids_fit(self.tokenizer, rows)
        try:
            with tokenizer_lock(self.tokenizer):
                return self.tokenizer(self._normalize_case(texts), **options)
        except TypeError:  # The tokenizer does not say which text it cannot read.
            check_texts(texts, "texts", allow_empty=True, error=EmbeddingError)
            raise

    def _normalize_case(self, texts: list[str]) -> list[str]:
        return [text.lower() for text in texts] if self.do_lower_case else texts

    def forward(self, features: Features) -> Features:
        """Return the features with `token_embeddings`.

        Its shape is `(batch, seq_len, hidden_size)` for a padded batch, `(num_tokens, hidden_size)` for a packed batch.
        If the features have `output_hidden_states`, `all_layer_embeddings` has a tensor of this shape for each layer,
        from the word embeddings on.
        """
        packing, all_layers = features.get("packing"), features.get("output_hidden_states", False)
        if packing is not None and all_layers:
            return {**features, **run_all_layers(self, features["input_ids"], packing)}
        if packing is not None:
            return {**features, "token_embeddings": self._run_row(features["input_ids"], packing)}
        inputs = {name: features[name] for name in self._inputs if name in features}
        if all_layers or getattr(self.auto_model.config, "output_hidden_states", False):
            return {**features, **all_layer_outputs(self.auto_model, inputs)}
        return {**features, "token_embeddings": self.auto_model(**inputs)[0]}

    def save(self, folder: str | Path) -> None:
        """Write the encoder, the tokenizer and `sentence_bert_config.json`."""
        folder = Path(folder)
        self.auto_model.save_pretrained(folder)
        self._save_tokenizer(folder)
        write_json(
            folder / _SETTINGS,
            {"max_seq_length": self.max_seq_length, "do_lower_case": self.do_lower_case},
        )

    def _save_tokenizer(self, folder: Path) -> None:
        """Write the tokenizer with the limit of this module, so that it truncates equally without this module."""
        with tokenizer_lock(self.tokenizer):  # Another model may have the same tokenizer.
            limit = self.tokenizer.model_max_length
            self.tokenizer.model_max_length = limit if self.max_seq_length is None else self.max_seq_length
            try:
                self.tokenizer.save_pretrained(folder)
            finally:
                self.tokenizer.model_max_length = limit


def _rename_peer_weights(module: nn.Module, state: dict[str, Any], prefix: str, *_: Any) -> None:
    """Rename the weights of a state of sentence-transformers 6, which calls the encoder `model`. Changes `state`."""
    for name in [name for name in state if name.startswith(f"{prefix}model.")]:
        state[f"{prefix}auto_model.{name.removeprefix(f'{prefix}model.')}"] = state.pop(name)


def _settings_file(folder: Path) -> Path | None:
    """Return the file with the settings of a Transformer, or None if the folder has none."""
    paths = (folder / name for name in (_SETTINGS, *_OLD_SETTINGS))
    return next((path for path in paths if path.exists()), None)


def _check_length(value: object) -> None:
    """Raise `ModelError` unless a length is a positive integer. A huge float, such as 1e30, means no limit."""
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not is_number or (isinstance(value, float) and value < _MAX_PLAUSIBLE_LENGTH) or not value >= 1:  # type: ignore[operator]
        raise ModelError(f"max_seq_length must be a positive integer, or None for no limit; got {value!r}")
