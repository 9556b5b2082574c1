"""Embed many sentences in batches with a maximum number of tokens."""

import sys
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from tqdm.auto import tqdm

from tercet.encoder.ahead import map_ahead
from tercet.encoder.devices import warn_of_emulation
from tercet.encoder.encode_arguments import EncodeRequest
from tercet.encoder.features import Features
from tercet.encoder.modules.base import embedding_dimension
from tercet.encoder.packing.packing import pack
from tercet.encoder.quantization import quantize_embeddings
from tercet.encoder.row_writer import RowWriter
from tercet.encoder.threads import no_gradients
from tercet.encoder.token_outputs import token_outputs
from tercet.encoder.token_stats import TokenStats, report_token_stats

# Number of sentences that are tokenized and sorted together. It limits the memory that the token ids need.
_WINDOW = 4096
# On other devices than a CPU, a thread prepares this number of windows while the device computes.
_WINDOWS_AHEAD = 2
# Larger batches are not faster. On a CPU, the hidden states of a layer should fit into the cache.
_MAX_TOKENS_ON_CPU, _MAX_TOKENS_ON_GPU = 1024, 32768


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
    """Return float embeddings `(num_sentences, dim)` in the precision and the type that `encode` was asked for.

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


def _batches_by_length(lengths: list[int], max_tokens: int, max_sentences: int | None) -> Iterator[list[int]]:
    """Yield the indices of the sentences of each batch; the longest sentences are in the first batch."""
    rows = sorted(range(len(lengths)), key=lambda row: -lengths[row])
    start = 0
    while start < len(rows):
        size = max(1, max_tokens // max(1, lengths[rows[start]]))
        size = size if max_sentences is None else min(size, max_sentences)
        yield rows[start : start + size]
        start += size
