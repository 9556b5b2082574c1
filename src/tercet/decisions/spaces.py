"""Compute the embeddings that a classifier of labels works on.

A model that ends in a linear head gives two embeddings of a sentence: that of the model, and the input of the head. The
head brings sentences of a label together, and loses some of what distinguishes other sentences. A logistic regression
is often better before the head, and so is the detection of sentences that are unlike the training data.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from tercet.distances.points import unit_rows
from tercet.heads.models import find_head

if TYPE_CHECKING:
    from tercet.encoder.sentence_transformer import SentenceTransformer

# Rows with a larger value, or only with values below its inverse, are scaled before their length is computed.
_LARGEST = 1e15


@dataclass(frozen=True, kw_only=True)
class Spaces:
    """The embeddings of n sentences, with rows of length 1, on the CPU.

    The values are those that float16 can hold, because a saved classifier has them in float16. So a saved classifier
    decides as it did before it was saved.

    Attributes:
        embeddings: the embeddings by the model `(n, dim)`, float32.
        before_head: the inputs of the linear head at the end of the model `(n, dim_before)`; None without a head.
    """

    embeddings: Tensor
    before_head: Tensor | None = None

    def __len__(self) -> int:
        return len(self.embeddings)

    def __getitem__(self, rows: Tensor | slice) -> "Spaces":
        """Return the embeddings of some rows."""
        before = None if self.before_head is None else self.before_head[rows]
        return Spaces(embeddings=self.embeddings[rows], before_head=before)

    def items(self) -> list[tuple[str, Tensor]]:
        """Return the name and the embeddings of each space."""
        named = [("embeddings", self.embeddings), ("before_head", self.before_head)]
        return [(name, values) for name, values in named if values is not None]

    def __add__(self, other: "Spaces") -> "Spaces":
        """Return the rows of both."""
        before = None
        if self.before_head is not None and other.before_head is not None:
            before = torch.cat([self.before_head, other.before_head])
        return Spaces(embeddings=torch.cat([self.embeddings, other.embeddings]), before_head=before)


def spaces(embeddings: Tensor, before_head: Tensor | None = None) -> Spaces:
    """Return embeddings with rows of length 1, rounded to float16."""
    return Spaces(embeddings=_rounded(embeddings), before_head=None if before_head is None else _rounded(before_head))


def embed_texts(
    model: "SentenceTransformer",
    texts: Sequence[str],
    *,
    batch_size: int | None = None,
    show_progress_bar: bool = False,
) -> Spaces:
    """Return the embeddings of texts. The encoder runs once, also for a model with a head.

    Args:
        model: the model.
        texts: the n texts.
        batch_size: number of sentences to encode at a time; None adapts it to their length.
        show_progress_bar: whether to show a progress bar.
    """
    head, before = find_head(model), without_head(model)
    if head is None or before is None:
        return spaces(_encode(model, texts, batch_size, show_progress_bar=show_progress_bar))
    inputs = _encode(before, texts, batch_size, show_progress_bar=show_progress_bar)
    return with_head(inputs, head.linear.weight)


def without_head(model: "SentenceTransformer") -> "SentenceTransformer | None":
    """Return the model up to the inputs of its head. It shares its modules. None without a head, or if it is cut off.

    Args:
        model: the model.
    """
    if find_head(model) is None or model.truncate_dim is not None:
        return None
    before = type(model)(modules=list(model)[:-2], device=model.device)
    before.prompts, before.default_prompt_name = model.prompts, model.default_prompt_name
    return before


def dimensions(model: "SentenceTransformer") -> list[int]:
    """Return the dimension of the embeddings of a model and, if there are inputs of a head, that of these."""
    before = without_head(model)
    return [part.get_sentence_embedding_dimension() for part in (model, before) if part is not None]


def with_head(inputs: Tensor, weight: Tensor) -> Spaces:
    """Return both spaces of a model with a head, from the inputs of the head `(n, dim_before)`.

    Args:
        inputs: the inputs of the head.
        weight: the matrix of the head `(dim, dim_before)`.
    """
    return spaces(inputs.float() @ weight.detach().float().to(inputs.device).T, inputs)


def _encode(
    model: "SentenceTransformer", texts: Sequence[str], batch_size: int | None, *, show_progress_bar: bool
) -> Tensor:
    return model.encode(
        list(texts), batch_size=batch_size, convert_to_tensor=True, show_progress_bar=show_progress_bar
    ).cpu()


def _rounded(x: Tensor) -> Tensor:
    x = x.detach().cpu()
    largest = x.abs().amax(dim=1, keepdim=True)
    # The squares of such values do not fit in float32, so their length would be infinite or 0.
    is_extreme = (largest > _LARGEST) | ((largest < 1 / _LARGEST) & (largest > 0))
    if bool(is_extreme.any()):
        x = torch.where(is_extreme, x / largest.masked_fill(~is_extreme, 1), x)
    return from_half(unit_rows(x.float()).half())


def from_half(x: Tensor) -> Tensor:
    """Return float32 rows of length 1 from rows in float16, whose lengths are not exactly 1."""
    return unit_rows(x.float())


def as_half(x: Tensor) -> Tensor:
    """Return rows in float16 from which `from_half` makes exactly these rows, if such float16 rows were their source.

    Scaled to length 1, the rows are no float16 numbers any more; some of a few dimensions even round to others. One of
    the lengths near 1 gives the source.
    """
    best = x.half()
    wrong = (from_half(best) != x).any(dim=1)
    for step in range(-16, 17):
        if not wrong.any():
            break
        tried = (x * (1 + step / 2**14)).half()
        right = wrong & (from_half(tried) == x).all(dim=1)
        best[right] = tried[right]
        wrong &= ~right
    return best
