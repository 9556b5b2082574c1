"""The arguments of `SentenceTransformer.encode`: their types, and checks before the work."""

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from numbers import Integral
from typing import Any, Literal, Protocol, TypedDict

import numpy as np
import torch

from tercet._texts import check_texts, has_lone_surrogate
from tercet.errors import EmbeddingError, ModelError, listed

# The values that `output_value` of `encode` may have; None is for all features.
OUTPUT_VALUES = ("sentence_embedding", "token_embeddings", None)

# The array types that `SentenceTransformer.encode` returns: one embedding `(dim,)`, or many `(num_sentences, dim)`.
Vector = np.ndarray[tuple[int], np.dtype[np.float32]]
Matrix = np.ndarray[tuple[int, int], np.dtype[np.float32]]


class Sentences(Protocol):
    """A type for sized iterables of strings that excludes `str`.

    A type checker rejects `str` here because `str.__contains__` does not accept every object.
    """

    def __contains__(self, value: object, /) -> bool: ...
    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[str]: ...


class EncodeOptions(TypedDict, total=False):
    """The keyword arguments of `SentenceTransformer.encode` that do not change the type of its result."""

    prompt: str | None
    batch_size: int | None
    show_progress_bar: bool | None
    normalize_embeddings: bool
    device: str | torch.device | Sequence[str | torch.device] | None
    truncate_dim: int | None
    pool: dict[str, Any] | None
    chunk_size: int | None
    batch_tokens: int | None
    task: Literal["query", "document"] | None


@dataclass(frozen=True, kw_only=True)
class EncodeRequest:
    """The arguments of `SentenceTransformer.encode` that each process needs, checked.

    Attributes:
        on_cpu: whether the embeddings are returned on the CPU, instead of on the device of the model.

    Raises:
        EmbeddingError: `batch_size` or `batch_tokens` is not a positive integer, or `output_value` or `task` is
            unknown.
    """

    prompt: str
    output_value: str | None
    batch_size: int | None
    batch_tokens: int | None
    normalize_embeddings: bool
    truncate_dim: int | None
    show_progress_bar: bool
    task: str | None = None
    on_cpu: bool = False

    def __post_init__(self) -> None:
        check_count("batch_size", self.batch_size)
        check_count("batch_tokens", self.batch_tokens)
        if self.output_value not in OUTPUT_VALUES:
            raise EmbeddingError(
                f"unknown output_value {self.output_value!r}; choose one of {', '.join(map(repr, OUTPUT_VALUES))}"
            )
        if self.task is not None and not isinstance(self.task, str):
            raise EmbeddingError(f"task must be 'query', 'document' or None, got {self.task!r}")


def given_sentences(sentences: Any, inputs: Any) -> Any:
    """Return the sentences to encode, whose argument has two names; raise `EmbeddingError` if both are given."""
    if sentences is not None and inputs is not None:
        raise EmbeddingError("inputs is another name of sentences; pass them once")
    return inputs if sentences is None else sentences


def as_texts(sentences: Any) -> list[str]:
    """Return the argument `sentences` of `encode` as a list of strings.

    Lists, tuples, arrays, columns of tables and generators are accepted.

    Raises:
        EmbeddingError: `sentences` is a table, a dictionary or a set, whose names, keys or random order would be
            embedded, or a sentence is not a string or contains a lone surrogate.
    """
    if isinstance(sentences, str):
        return check_texts([sentences], "sentences", allow_empty=True, error=EmbeddingError)
    kind = type(sentences).__name__
    columns = getattr(sentences, "column_names", getattr(sentences, "columns", None))
    if isinstance(sentences, Mapping):
        raise EmbeddingError(
            f"sentences is a {kind} with the keys {listed(sentences)}; pass the sentences as a list, such as "
            "list(sentences.values())"
        )
    if columns is not None:
        raise EmbeddingError(f"sentences is a {kind} with the columns {listed(columns)}; pass one column of it")
    if isinstance(sentences, (Set, bytes, bytearray)):
        raise EmbeddingError(f"sentences is a {kind}; pass the sentences as a list, in the order of the embeddings")
    try:
        texts = list(sentences)
    except TypeError:
        raise EmbeddingError(f"sentences must be one string, or a list of strings; got {kind}") from None
    return check_texts(texts, "sentences", allow_empty=True, error=EmbeddingError)


def find_prompt(prompts: dict[str, str], name: str | None, text: str | None) -> str:
    """Return the prompt to prepend to every sentence.

    Returns:
        `text` if it is not None; else the prompt called `name`; else, if `name` is None, the empty string.

    Raises:
        ModelError: `prompts` has no prompt called `name`, or the prompt is not a valid string.
    """
    if text is None and name is None:
        return ""
    if text is None and (not isinstance(name, str) or name not in prompts):
        raise ModelError(f"no prompt named {name!r}; the prompts of this model: {listed(prompts) or 'none'}")
    prompt = prompts[name] if text is None and name is not None else text
    if not isinstance(prompt, str):
        raise ModelError(f"a prompt must be a string, got {prompt!r}")
    if has_lone_surrogate(prompt):
        raise ModelError(f"the prompt {prompt!r} contains a lone surrogate (half of a character); remove it")
    return prompt


def check_count(name: str, value: object) -> None:
    """Raise `EmbeddingError` unless a value is a positive integer or None."""
    if value is not None and not isinstance(value, Integral):
        raise EmbeddingError(f"{name} must be an integer, got {value!r}")
    if value is not None and int(value) < 1:
        raise EmbeddingError(f"{name} must be at least 1, got {value}")
