"""Compute what a model returns besides sentence embeddings: the token embeddings and features of each sentence."""

from typing import Any

from torch import Tensor
from tqdm.auto import tqdm

from tercet.encoder.features import on_device
from tercet.encoder.modules import StaticEmbedding
from tercet.errors import EmbeddingError

# The number of sentences per batch, as in sentence-transformers. Each batch is padded.
_BATCH_SIZE = 32


def token_outputs(
    model: Any,
    texts: list[str],
    prompt: str,
    output_value: str | None,
    batch_size: int | None,
    truncate_dim: int | None,
    *,
    task: str | None = None,
    show_progress_bar: bool = False,
) -> list[Any]:
    """Return the token embeddings `(num_tokens, hidden_size)`, or all features, of each text in their order.

    The batches are padded, so that the features are those that each module receives.

    Args:
        model: a `SentenceTransformer` in evaluation mode.
        prompt: a string that is prepended to every text. Its tokens are included.
        output_value: "token_embeddings", or None for a dictionary with the row of each feature: `input_ids`,
            `attention_mask`, `token_embeddings`, `sentence_embedding`, and others of the tokenizer. They include
            padding.
        batch_size: the number of texts per batch; 32 by default.
        truncate_dim: the number of dimensions of `sentence_embedding`; None for all.
        task: chooses the route of a `Router`.

    Raises:
        EmbeddingError: the model has no token embeddings.
    """
    if output_value == "token_embeddings" and isinstance(model.input_module.for_task(task), StaticEmbedding):
        raise EmbeddingError("StaticEmbedding has no token embeddings; use output_value='sentence_embedding'")
    order = sorted(range(len(texts)), key=lambda row: -len(texts[row]))
    size = batch_size or _BATCH_SIZE
    results: list[Any] = [None] * len(texts)
    with tqdm(total=len(texts), desc="Encode", unit="sentence", disable=not show_progress_bar) as bar:
        for start in range(0, len(texts), size):
            rows = order[start : start + size]
            features = model.preprocess([texts[row] for row in rows], prompt=prompt, task=task)
            features = model(on_device(features, model.device))
            if truncate_dim is not None:
                features["sentence_embedding"] = features["sentence_embedding"][:, :truncate_dim]
            for index, row in enumerate(rows):
                if output_value is None:
                    results[row] = {name: _row(value, index, len(rows)) for name, value in features.items()}
                else:
                    is_token = features["attention_mask"][index].bool()
                    results[row] = features[output_value][index][is_token]
            bar.update(len(rows))
    return results


def _row(value: Any, index: int, rows: int) -> Any:
    """Return the row of a feature that has one row per text, or the whole feature."""
    return value[index] if isinstance(value, Tensor) and value.dim() > 0 and len(value) == rows else value
