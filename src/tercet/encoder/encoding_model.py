"""The part of `SentenceTransformer` that embeds sentences and compares embeddings."""

import logging
from collections.abc import Sequence
from typing import Any, Literal, Unpack, overload

import torch
from torch import Tensor

from tercet.encoder import similarity
from tercet.encoder.devices import find_device
from tercet.encoder.encode import convert, encode_texts
from tercet.encoder.encode_arguments import (
    EncodeOptions,
    EncodeRequest,
    Matrix,
    Sentences,
    Vector,
    as_texts,
    find_prompt,
    given_sentences,
)
from tercet.encoder.modules.base import embedding_dimension
from tercet.encoder.peer_names import PeerNames
from tercet.encoder.process_pool import Pool, encode_in_pool
from tercet.encoder.quantization import check_precision
from tercet.encoder.settings import check_truncate_dim
from tercet.errors import EmbeddingError

logger = logging.getLogger("tercet")


class EncodingModel(PeerNames):
    """The part of `SentenceTransformer` that embeds sentences and compares embeddings."""

    prompts: dict[str, str]
    default_prompt_name: str | None
    truncate_dim: int | None
    similarity_fn_name: str

    def get_sentence_embedding_dimension(self) -> int:
        """Return the dimension of an embedding that `encode` returns: `truncate_dim`, or that of the last module.

        Raises:
            ModelError: `output_size` is None for every module, or a module at the end has no such attribute.
        """
        dimension = embedding_dimension(self._modules)
        return dimension if self.truncate_dim is None else min(dimension, self.truncate_dim)

    get_embedding_dimension = get_sentence_embedding_dimension

    # The return type depends on `convert_to_numpy`, `convert_to_tensor` and on whether `sentences` is one string.
    # fmt: off
    @overload
    def encode(self, sentences: str, prompt_name: str | None = None, *, convert_to_numpy: Literal[True] = True,
               convert_to_tensor: Literal[False] = False, **options: Unpack[EncodeOptions]) -> Vector: ...
    @overload
    def encode(self, sentences: Sentences, prompt_name: str | None = None, *, convert_to_numpy: Literal[True] = True,
               convert_to_tensor: Literal[False] = False, **options: Unpack[EncodeOptions]) -> Matrix: ...
    @overload
    def encode(self, sentences: str | Sentences, prompt_name: str | None = None, *, convert_to_numpy: bool = True,
               convert_to_tensor: Literal[True], **options: Unpack[EncodeOptions]) -> Tensor: ...
    @overload
    def encode(self, sentences: str, prompt_name: str | None = None, *, convert_to_numpy: Literal[False],
               convert_to_tensor: bool = False, **options: Unpack[EncodeOptions]) -> Tensor: ...
    @overload
    def encode(self, sentences: Sentences, prompt_name: str | None = None, *, convert_to_numpy: Literal[False],
               convert_to_tensor: Literal[False] = False, **options: Unpack[EncodeOptions]) -> list[Tensor]: ...
    @overload
    def encode(self, sentences: str | Sentences | None = None, prompt_name: str | None = None, *,
               output_value: str | None = "sentence_embedding", precision: str | None = "float32",
               convert_to_numpy: bool = True, convert_to_tensor: bool = False, inputs: Any = None,
               **options: Unpack[EncodeOptions]) -> Any: ...
    # fmt: on
    @torch.no_grad()
    def encode(
        self,
        sentences: str | Sentences | None = None,
        prompt_name: str | None = None,
        prompt: str | None = None,
        batch_size: int | None = None,
        show_progress_bar: bool | None = False,
        output_value: str | None = "sentence_embedding",
        precision: str | None = "float32",
        convert_to_numpy: bool = True,
        convert_to_tensor: bool = False,
        device: str | torch.device | Sequence[str | torch.device] | None = None,
        normalize_embeddings: bool = False,
        truncate_dim: int | None = None,
        pool: Pool | None = None,
        chunk_size: int | None = None,
        *,
        batch_tokens: int | None = None,
        inputs: Any = None,
        task: Literal["query", "document"] | None = None,
    ) -> Any:
        """Compute the embeddings of sentences, in the order of the sentences.

        Args:
            sentences: one string, or several strings: a list, an array, or one column of a table.
            prompt_name: name of a prompt in `prompts` to prepend to every sentence; by default `default_prompt_name`.
            prompt: string to prepend to every sentence. It overrides `prompt_name`, with a warning; an empty
                string means no prompt.
            batch_size: maximum number of sentences per batch. The limit of `batch_tokens` applies as well.
            show_progress_bar: whether to show a progress bar. If None, one is shown if the logger "tercet" logs INFO.
            output_value: "sentence_embedding"; "token_embeddings" for a tensor `(num_tokens, hidden_size)` of each
                sentence; or None for a dictionary of all features of each sentence, with padding.
            precision: "float32", or a form of `tercet.encoder.quantize_embeddings`: "int8", "uint8", "binary" or
                "ubinary". The ranges of "int8" and "uint8" are those of these sentences.
            convert_to_numpy: whether to return a NumPy array. If False, a list of one tensor `(dim,)` per sentence is
                returned, or one tensor if `sentences` is one string.
            convert_to_tensor: whether to return one tensor. It overrides `convert_to_numpy`.
            device: device to move the model to before encoding. The model stays there. A list of devices starts a
                process for each one for this call; see `start_multi_process_pool`.
            normalize_embeddings: whether to scale each embedding to Euclidean norm 1 (a zero embedding stays zero).
            truncate_dim: number of leading dimensions to return; by default the attribute `truncate_dim`.
            pool: processes to encode in, from `start_multi_process_pool`.
            chunk_size: number of sentences that a process of the pool receives at once.
            batch_tokens: maximum number of tokens per batch, counted as if every sentence were padded to the longest
                one in the batch. A longer sentence is the only one of its batch. By default 1,024 on a CPU and 32,768
                on other devices. Lower it to use less memory.
            inputs: another name of `sentences`.
            task: "query" from `encode_query`, "document" from `encode_document`. It chooses the route of a `Router`.

        Returns:
            The embeddings `(num_sentences, dim)`, by default in float32, or one embedding `(dim,)` if `sentences` is
            one string. For another `output_value`, a list with an entry for each sentence, or the entry.

        Raises:
            EmbeddingError: `sentences` is a table, a dictionary or a set, a sentence is not a string or contains a lone
                surrogate, `batch_size`, `batch_tokens` or `chunk_size` is not a positive integer, `output_value` or
                `precision` is unknown, "int8" or "uint8" has one sentence only, `precision` is given with another
                `output_value`, `pool` is not one of `start_multi_process_pool`, or a process of the pool failed.
            ModelError: no prompt is called `prompt_name`, the prompt leaves no room for a word within
                `max_seq_length`, `truncate_dim` is not a positive integer, the first module is not a `Transformer`, or
                the modules do not state the dimension; see `get_sentence_embedding_dimension`.
        """
        sentences = given_sentences(sentences, inputs)
        texts = as_texts(sentences)
        check_truncate_dim(truncate_dim)
        precision = check_precision(precision)
        if prompt is not None and prompt_name is not None:
            logger.warning(f"prompt_name={prompt_name!r} is not used, because prompt is given")
        request = EncodeRequest(
            prompt=find_prompt(self.prompts, prompt_name or self.default_prompt_name, prompt),
            output_value=output_value,
            batch_size=batch_size,
            batch_tokens=batch_tokens,
            normalize_embeddings=normalize_embeddings,
            truncate_dim=truncate_dim or self.truncate_dim,
            show_progress_bar=logger.isEnabledFor(logging.INFO) if show_progress_bar is None else show_progress_bar,
            task=task,
            on_cpu=precision != "float32" or (convert_to_numpy and not convert_to_tensor),
        )
        if precision != "float32" and output_value != "sentence_embedding":
            raise EmbeddingError(
                f"precision={precision!r} is for sentence embeddings; leave it out with output_value={output_value!r}"
            )
        result: Any
        if pool is not None or isinstance(device, (list, tuple)):
            result = encode_in_pool(self, texts, request, pool, device, chunk_size)
        elif chunk_size is not None:
            raise EmbeddingError("chunk_size is for several processes; pass it with pool or with a list of devices")
        else:
            if device is not None:
                self.to(find_device(device))  # type: ignore[arg-type]
            result = encode_texts(self, texts, request)
        if output_value == "sentence_embedding":
            result = convert(result, precision, to_numpy=convert_to_numpy, to_tensor=convert_to_tensor)
        return result[0] if isinstance(sentences, str) else result

    def similarity(self, embeddings1: Any, embeddings2: Any) -> Tensor:
        """Return the similarity of each row of `embeddings1` to each row of `embeddings2`.

        The shapes are `(n, dim), (m, dim) → (n, m)`. The attribute `similarity_fn_name` determines the similarity. A
        larger value means more similar.
        """
        return similarity.matrix(embeddings1, embeddings2, self.similarity_fn_name)

    def similarity_pairwise(self, embeddings1: Any, embeddings2: Any) -> Tensor:
        """Return the similarity of row i of `embeddings1` to row i of `embeddings2`: `(n, dim), (n, dim) → (n,)`."""
        return similarity.pairs(embeddings1, embeddings2, self.similarity_fn_name)
