"""Many sentences through a model, in batches of so many tokens, without a gradient."""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from tqdm.auto import tqdm

from tercet.encoder.packing.packing import pack

# Sentences are tokenized and sorted so many at a time, so that memory does not grow with their number.
_WINDOW = 4096
# More tokens at a time are not quicker: on a CPU the states of a layer should stay in the cache.
_TOKENS_ON_CPU, _TOKENS_ON_GPU = 1024, 32768


def embed(
    model: Any,
    texts: Sequence[str],
    prefix: str,
    prompt_length: int,
    tokens: int | None,
    *,
    most: int | None = None,
    show_progress_bar: bool = False,
) -> Tensor:
    """The embeddings `(texts, dim)` of texts with a prefix, in their order, on the model's device.

    In each window the longest texts come first, so that memory runs out at once or never.

    Args:
        prompt_length: tokens of the prefix, for poolings that leave them out.
        tokens: the most tokens at a time, counting each text as long as the longest with it, as a model that cannot
            run packed may pad it so far.
        most: the most texts at a time.
    """
    device = model.device
    tokens = tokens or (_TOKENS_ON_CPU if device.type == "cpu" else _TOKENS_ON_GPU)
    embeddings = torch.zeros(len(texts), model.get_sentence_embedding_dimension(), device=device)
    with tqdm(total=len(texts), desc="Encode", unit="sentence", disable=not show_progress_bar) as bar:
        for start in range(0, len(texts), _WINDOW):
            ids = model.token_ids([prefix + text for text in texts[start : start + _WINDOW]])
            for rows in _batches_by_length([len(part) for part in ids], tokens, most):
                features = pack([ids[row] for row in rows])
                features["input_ids"] = features["input_ids"].to(device)
                output = model({**features, "prompt_length": prompt_length})["sentence_embedding"]
                embeddings[[start + row for row in rows]] = output.to(embeddings.dtype)
                bar.update(len(rows))
    return embeddings


def _batches_by_length(lengths: list[int], tokens: int, most: int | None) -> Iterator[list[int]]:
    order = sorted(range(len(lengths)), key=lambda row: -lengths[row])
    start = 0
    while start < len(order):
        number = max(1, tokens // max(1, lengths[order[start]]))
        number = number if most is None else min(number, most)
        yield order[start : start + number]
        start += number
