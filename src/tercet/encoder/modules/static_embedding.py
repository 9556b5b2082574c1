"""StaticEmbedding: the mean of one learned vector per token, without an encoder."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from tercet._events import WarningKind
from tercet.encoder.features import Features
from tercet.encoder.hub import find_folder
from tercet.encoder.modules.base import check_dimension
from tercet.encoder.modules.input_module import InputModule, other_row
from tercet.encoder.modules.weights import WEIGHTS, write_weights
from tercet.encoder.pretrained import load_pretrained
from tercet.encoder.token_stats import TokenStats
from tercet.errors import ModelError

_TOKENIZER = "tokenizer.json"
_UNKNOWN = ("[UNK]", "<unk>")


class StaticEmbedding(InputModule):
    """A module that returns the mean of the embeddings of the tokens of each text, as `sentence_embedding`.

    It needs no `Pooling`, and no GPU. A text without tokens has a zero embedding. The number of tokens has no limit,
    except if the folder that it was loaded from sets one.

    Args:
        tokenizer: a tokenizer of `tokenizers`, or a fast one of `transformers`. The module uses a copy without
            truncation and padding.
        embedding_weights: the embeddings `(num_tokens, dim)`; by default random.
        embedding_dim: the dimension of random embeddings.

    Raises:
        ModelError: the tokenizer is not a fast one or cannot be copied, neither `embedding_weights` nor `embedding_dim`
            is given, or the tokenizer has more tokens than there are embeddings.

    Example:
        >>> from tokenizers import Tokenizer
        >>> from tokenizers.models import WordLevel
        >>> from tokenizers.pre_tokenizers import Whitespace
        >>> tokenizer = Tokenizer(WordLevel({"a": 0, "b": 1}, unk_token="a"))
        >>> tokenizer.pre_tokenizer = Whitespace()
        >>> module = StaticEmbedding(tokenizer, embedding_weights=[[1.0, 0.0], [0.0, 1.0]])
        >>> module(module.tokenize(["a b", "b"]))["sentence_embedding"].tolist()
        [[0.5, 0.5], [0.0, 1.0]]
    """

    def __init__(self, tokenizer: Any, embedding_weights: Any = None, embedding_dim: int | None = None) -> None:
        super().__init__()
        tokenizer = getattr(tokenizer, "_tokenizer", tokenizer)
        if not hasattr(tokenizer, "encode_batch"):
            raise ModelError(
                "the tokenizer of a StaticEmbedding must be one of the package tokenizers, or a fast one of "
                f"transformers; got {type(tokenizer).__name__}"
            )
        if embedding_weights is not None:
            weights = torch.as_tensor(embedding_weights)
            self.embedding = nn.EmbeddingBag.from_pretrained(weights, freeze=False)
        elif embedding_dim is not None:
            check_dimension("embedding_dim", embedding_dim)
            self.embedding = nn.EmbeddingBag(tokenizer.get_vocab_size(), embedding_dim)
        else:
            raise ModelError("StaticEmbedding needs embedding_weights, or embedding_dim for random embeddings")
        if tokenizer.get_vocab_size() > self.embedding.num_embeddings:
            raise ModelError(
                f"the tokenizer has {tokenizer.get_vocab_size()} tokens, but there are "
                f"{self.embedding.num_embeddings} embeddings; both must be of the same model"
            )
        self.tokenizer = _copy(tokenizer)
        self.tokenizer.no_padding()
        self.tokenizer.no_truncation()
        self.warned: set[WarningKind] = set()

    @classmethod
    def load(cls, folder: str | Path) -> "StaticEmbedding":
        """Read the module from a folder of sentence-transformers, or of model2vec, in float32.

        If `tokenizer.json` truncates texts, so does the module, as in sentence-transformers.

        Raises:
            ModelError: a file is missing or damaged, or the files do not fit together.
        """
        from tokenizers import Tokenizer

        folder = Path(folder)
        missing = [name for name in (_TOKENIZER, WEIGHTS) if not (folder / name).is_file()]
        if missing:
            raise ModelError(f"{folder} has no {missing[0]}, which a StaticEmbedding needs")
        try:
            tokenizer = Tokenizer.from_file(str(folder / _TOKENIZER))
        except Exception as error:  # the tokenizers package raises plain exceptions
            raise ModelError(f"{folder / _TOKENIZER} is not a valid tokenizer: {error}") from error
        try:
            embeddings = _embeddings(load_file(folder / WEIGHTS))
        except (SafetensorError, KeyError, IndexError, RuntimeError) as error:
            raise ModelError(f"{folder / WEIGHTS} does not have the weights of a StaticEmbedding: {error}") from error
        module = cls(tokenizer, embeddings.float())
        module.set_truncation(tokenizer.truncation)
        return module

    @classmethod
    def from_model2vec(cls, model_id_or_path: str, **hub: Any) -> "StaticEmbedding":
        """Load a model of model2vec from a folder or the hub. The package model2vec is not needed.

        Args:
            model_id_or_path: the folder, or the name on the hub.
            hub: arguments for the hub, such as `revision` and `token`.

        Raises:
            ModelError: see `load`.
        """
        return cls.load(find_folder(model_id_or_path, **hub))

    @classmethod
    def from_distillation(cls, model_name: str, **options: Any) -> "StaticEmbedding":
        """Distil an encoder with the package model2vec.

        Args:
            model_name: the folder of the encoder, or its name on the hub.
            options: arguments of `model2vec.distill.distill_from_model`, such as `pca_dims`, `sif_coefficient` and
                `vocabulary`.

        Raises:
            ModelError: model2vec is not installed, or the encoder cannot be loaded.
        """
        try:
            from model2vec.distill import distill_from_model
        except ImportError as error:
            raise ModelError(f"from_distillation needs model2vec: pip install 'tercet[static]' ({error})") from None
        encoder, tokenizer = load_pretrained(model_name)
        static: Any = distill_from_model(encoder, tokenizer, **{"quantize_to": "float32", **options})
        parts = {"embeddings": static.embedding, "mapping": static.token_mapping, "weights": static.weights}
        weights = {name: torch.as_tensor(value) for name, value in parts.items() if value is not None}
        return cls(static.tokenizer, _embeddings(weights))

    @property
    def output_size(self) -> int:
        """The dimension of the sentence embedding."""
        return self.embedding.embedding_dim

    hidden_size = embedding_dim = output_size

    @property
    def num_embeddings(self) -> int:
        """The number of embeddings."""
        return self.embedding.num_embeddings

    @property
    def max_seq_length(self) -> int | None:
        """The limit in the folder that the module was loaded from; None (the default) for no limit.

        Setting None removes the limit. Setting another value raises a `ModelError`.
        """
        return None if self.tokenizer.truncation is None else int(self.tokenizer.truncation["max_length"])

    @max_seq_length.setter
    def max_seq_length(self, value: int | None) -> None:
        if value is None:
            self.set_truncation(None)
        elif value != self.max_seq_length:
            remedy = "" if self.max_seq_length is None else "; set None to remove the limit of its folder"
            raise ModelError(f"max_seq_length cannot be set: a StaticEmbedding reads all tokens of a text{remedy}")

    def set_truncation(self, truncation: dict[str, Any] | None) -> None:
        """Truncate texts as a tokenizer with this attribute `truncation` does; None for no truncation."""
        if truncation is None:
            self.tokenizer.no_truncation()
        else:
            self.tokenizer.enable_truncation(**truncation)

    @property
    def num_tokens(self) -> int:
        """The number of tokens in the vocabulary."""
        return int(self.tokenizer.get_vocab_size())

    @property
    def special_ids(self) -> set[int]:
        """Empty, because no special tokens are added to a text."""
        return set()

    @property
    def word_embeddings(self) -> nn.Module:
        """The layer of the embeddings."""
        return self.embedding

    def token_ids(self, texts: list[str], stats: TokenStats | None = None) -> list[list[int]]:
        """Return the token ids of each text.

        Args:
            texts: the texts.
            stats: the counts of truncated texts and of unknown tokens are added to it.
        """
        encodings = self.tokenizer.encode_batch(texts, add_special_tokens=False)
        ids = [encoding.ids for encoding in encodings]
        if stats is not None:
            unknown = next((id_ for id_ in map(self.tokenizer.token_to_id, _UNKNOWN) if id_ is not None), None)
            count = 0 if unknown is None else sum(sentence.count(unknown) for sentence in ids)
            stats.add(
                TokenStats(
                    texts=len(ids),
                    truncated=sum(bool(encoding.overflowing) for encoding in encodings),
                    tokens=sum(map(len, ids)),
                    unknown=count,
                    limit=self.max_seq_length,
                )
            )
        return ids

    def token_counts(self, texts: list[str]) -> list[int]:
        """Return the number of tokens of each text before truncation."""
        stride = (self.tokenizer.truncation or {}).get("stride", 0)  # the tokens that two parts have in common
        return [
            len(encoding.ids) + sum(len(part.ids) - stride for part in encoding.overflowing)
            for encoding in self.tokenizer.encode_batch(texts, add_special_tokens=False)
        ]

    def tokenize(self, texts: list[str]) -> Features:
        """Tokenize texts into one row of tokens.

        Returns:
            `input_ids` `(num_tokens,)`, and `offsets` `(batch,)`, the place of the first token of each text.
        """
        return _row(self.token_ids(texts))

    def test_batch(self) -> tuple[Features, bool]:
        """Return a batch of two texts to test the model with, and whether their tokens differ."""
        (ids,) = self.token_ids(["a test sentence"])
        other = other_row(ids, (), self.num_tokens)
        return _row([ids, other]), ids != other

    def forward(self, features: Features) -> Features:
        """Return the features with `sentence_embedding` `(batch, dim)`."""
        packing = features.get("packing")
        if packing is None:
            return {**features, "sentence_embedding": self.embedding(features["input_ids"], features["offsets"])}
        on_device = packing.on(features["input_ids"].device)
        ends = on_device.lengths.cumsum(0)
        embeddings: Tensor = self.embedding(features["input_ids"][0], ends - on_device.lengths)
        return {**features, "sentence_embedding": embeddings.index_select(0, on_device.inverse_order)}

    def save(self, folder: str | Path) -> None:
        """Write the tokenizer and the embeddings."""
        self.tokenizer.save(str(Path(folder) / _TOKENIZER))
        write_weights(self, Path(folder))


def _copy(tokenizer: Any) -> Any:
    """Return a copy of a tokenizer of the package tokenizers, because truncation and padding are its state."""
    try:
        return type(tokenizer).from_str(tokenizer.to_str())
    except Exception as error:  # the tokenizers package raises plain exceptions
        raise ModelError(f"the tokenizer of a StaticEmbedding cannot be copied, and so not be saved: {error}") from None


def _row(ids: list[list[int]]) -> Features:
    """Return one row of the tokens of all texts, and the place of the first token of each."""
    offsets = np.cumsum([0, *map(len, ids)])[:-1]
    tokens = [token for sentence in ids for token in sentence]
    return {"input_ids": torch.tensor(tokens, dtype=torch.long), "offsets": torch.from_numpy(offsets)}


def _embeddings(weights: dict[str, Tensor]) -> Tensor:
    """Return the embedding of each token id. model2vec may store fewer rows, with a row and a weight for each token."""
    if "embedding.weight" in weights:
        return weights["embedding.weight"]
    embeddings = weights["embeddings"]
    if "mapping" in weights:
        embeddings = embeddings[weights["mapping"].long()]
    if "weights" in weights:
        embeddings = embeddings.to(torch.promote_types(embeddings.dtype, torch.float32))
        embeddings = (embeddings * weights["weights"].unsqueeze(1)).to(embeddings.dtype)
    return embeddings.contiguous()
