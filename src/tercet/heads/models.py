"""Append a linear head to a model, as the modules Dense and Normalize of a `SentenceTransformer`, and find it there."""

from dataclasses import replace

import torch
from torch import nn

from tercet.encoder.modules import Dense, Normalize
from tercet.encoder.sentence_transformer import SentenceTransformer
from tercet.heads.linear import LinearHead


def append_head(model: SentenceTransformer, head: LinearHead) -> None:
    """Append a head to a model, so that `encode` returns `head(embeddings)`. Modifies the model in place.

    The head becomes a `Dense` module without bias and activation, followed by `Normalize`. If the model already ends in
    two such modules, as after an earlier training, the two matrices are multiplied, so that the model does not grow.
    The saved model is loaded by sentence-transformers, too.

    On which texts the head was trained is unknown, so the training record of the model, if any, loses its text hashes.

    Args:
        model: the model. If it has a `truncate_dim`, the head takes the truncated embeddings, and `truncate_dim` is set
            to None, because the head returns all its dimensions.
        head: a head that was trained on embeddings of this model.

    Raises:
        EmbeddingError: the head takes embeddings of another dimension than `model.encode` returns. The model is not
            changed.

    Example:
        >>> import torch
        >>> from tercet import load_model
        >>> model = load_model("bundled")
        >>> append_head(model, LinearHead(torch.eye(384)[:128]))
        >>> model.encode(["a sentence"]).shape
        (1, 128)
    """
    head.check_dimension(model.get_sentence_embedding_dimension(), "the embeddings of the model")
    weight = head.weight.double()
    model.truncate_dim, full = None, model.truncate_dim
    if full is not None:  # The dimensions that were cut off have no influence.
        weight = nn.functional.pad(weight, (0, model.get_sentence_embedding_dimension() - weight.shape[1]))
    last = find_head(model)
    if last is not None:
        weight = weight @ last.linear.weight.detach().double().cpu()
    parameter = next(model.parameters())
    dense = LinearHead(weight).to_dense().to(parameter.device, parameter.dtype).train(model.training)
    if last is None:
        model.append(dense)
        model.append(Normalize().train(model.training))
    else:
        model[len(model) - 2] = dense
    if model.training_record is not None:
        model.training_record = replace(model.training_record, text_hashes=None)


def find_head(model: SentenceTransformer) -> Dense | None:
    """Return the `Dense` module of the head at the end of a model, or None if the model does not end in a head."""
    if len(model) < 2:
        return None
    dense, normalize = model[-2], model[-1]
    is_head = (
        type(normalize) is Normalize
        and type(dense) is Dense
        and dense.linear.bias is None
        and type(dense.activation) is torch.nn.Identity
    )
    return dense if is_head else None
