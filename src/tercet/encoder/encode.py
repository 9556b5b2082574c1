"""Embed many sentences in batches with a maximum number of tokens."""

import sys
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from itertools import chain
from numbers import Integral
from typing import Any, Literal, Protocol, TypedDict

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from tqdm.auto import tqdm

from tercet._texts import check_texts, has_lone_surrogate
from tercet.encoder.ahead import map_ahead
from tercet.encoder.devices import warn_of_emulation
from tercet.encoder.features import Features
from tercet.encoder.modules.base import embedding_dimension
from tercet.encoder.packing.packing import pack
from tercet.encoder.quantization import quantize_embeddings
from tercet.encoder.row_writer import RowWriter
from tercet.encoder.threads import no_gradients
from tercet.encoder.token_outputs import token_outputs
from tercet.encoder.token_stats import TokenStats, report_token_stats
from tercet.errors import EmbeddingError, ModelError, listed

# Number of sentences that are tokenized and sorted together. It limits the memory that the token ids need.
_WINDOW = 4096
# On other devices than a CPU, a thread prepares this number of windows while the device computes.
_WINDOWS_AHEAD = 2
# Larger batches are not faster. On a CPU, the hidden states of a layer should fit into the cache.
_MAX_TOKENS_ON_CPU, _MAX_TOKENS_ON_GPU = 1024, 32768

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


def embed(model: Any, texts: Sequence[str], request: EncodeRequest) -> Tensor:
    """Return the float32 embeddings `(num_texts, dim)` of the texts in their order.

    The texts are processed in windows of 4,096. The first batch of a window contains its longest texts, so a lack of
    memory usually shows in the first batch.

    Args:
        model: a `SentenceTransformer` in evaluation mode.
        texts: the texts.
        request: the arguments of `SentenceTransformer.encode`.
    """
    device, prompt, task = model.device, request.prompt, request.task
    if device.type == "cpu":
        warn_of_emulation(model.dtype or torch.float32)
    max_tokens = request.batch_tokens or (_MAX_TOKENS_ON_CPU if device.type == "cpu" else _MAX_TOKENS_ON_GPU)
    tokens = model.input_module.for_task(task)
    if task is None:
        model.input_module.log_default_route()
    tokens.check_prompt(prompt)
    num_prompt_tokens = tokens.prompt_length(prompt) if prompt else 0
    stats = TokenStats()
    dimension = min(embedding_dimension(model._modules), request.truncate_dim or sys.maxsize)
    embeddings = RowWriter((len(texts), dimension), torch.device("cpu") if request.on_cpu else device)

    def batches_of_window(start: int) -> list[tuple[np.ndarray, Features]]:
        ids = tokens.token_ids([prompt + text for text in texts[start : start + _WINDOW]], stats)
        batches = []
        for rows in _batches_by_length([len(sentence) for sentence in ids], max_tokens, request.batch_size):
            features = pack([ids[row] for row in rows])
            if device.type == "cuda":
                features["input_ids"] = features["input_ids"].pin_memory()
            batches.append((start + np.array(rows), features))
        return batches

    # Tokenization needs a processor that computes nothing else.
    windows = map_ahead(
        batches_of_window, range(0, len(texts), _WINDOW), ahead=0 if device.type == "cpu" else _WINDOWS_AHEAD
    )
    with tqdm(total=len(texts), desc="Encode", unit="sentence", disable=not request.show_progress_bar) as bar:
        for rows, features in chain.from_iterable(windows):
            features["input_ids"] = features["input_ids"].to(device, non_blocking=device.type == "cuda")
            output = model({**features, "prompt_length": num_prompt_tokens, "task": task})["sentence_embedding"]
            output = output[:, : request.truncate_dim].float()
            embeddings.write(rows, F.normalize(output, dim=1) if request.normalize_embeddings else output)
            bar.update(len(rows))
    report_token_stats(stats, tokens.warned)
    return embeddings.finish()


def given_sentences(sentences: Any, inputs: Any) -> Any:
    """Return the sentences to encode, whose argument has two names; raise `EmbeddingError` if both are given."""
    if sentences is not None and inputs is not None:
        raise EmbeddingError("inputs is another name of sentences; pass them once")
    return inputs if sentences is None else sentences


def encode_texts(model: Any, texts: list[str], request: EncodeRequest) -> Any:
    """Return the float embeddings `(num_texts, dim)`, or a list of other outputs of each text."""
    with no_gradients(model):
        if request.output_value != "sentence_embedding":
            return token_outputs(
                model,
                texts,
                request.prompt,
                request.output_value,
                request.batch_size,
                request.truncate_dim,
                task=request.task,
                show_progress_bar=request.show_progress_bar,
            )
        return embed(model, texts, request)


def convert(embeddings: Tensor, precision: str, *, to_numpy: bool, to_tensor: bool) -> Any:
    """Return float embeddings `(num_sentences, dim)` in the precision and the type that the caller of `encode` wants.

    Args:
        to_numpy: whether to return an array.
        to_tensor: whether to return a tensor, instead of an array or of a list of one tensor per sentence.
    """
    if precision != "float32":
        array = quantize_embeddings(embeddings, precision)
        embeddings = torch.from_numpy(array)
        return embeddings if to_tensor else array if to_numpy else list(embeddings)
    if to_tensor:
        return embeddings
    return embeddings.float().cpu().numpy() if to_numpy else list(embeddings)


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


def _batches_by_length(lengths: list[int], max_tokens: int, max_sentences: int | None) -> Iterator[list[int]]:
    """Yield the indices of the sentences of each batch; the longest sentences are in the first batch."""
    rows = sorted(range(len(lengths)), key=lambda row: -lengths[row])
    start = 0
    while start < len(rows):
        size = max(1, max_tokens // max(1, lengths[rows[start]]))
        size = size if max_sentences is None else min(size, max_sentences)
        yield rows[start : start + size]
        start += size
