"""Check and embed what the user passes to a classifier: sentences or embeddings, labels, the encoder."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from tercet._texts import check_texts, text_key
from tercet.data.loading.vectors import vector_keys
from tercet.decisions.spaces import Spaces, embed_texts, spaces
from tercet.distances import as_embeddings
from tercet.encoder.names import resolve_model
from tercet.errors import DataError, EmbeddingError

if TYPE_CHECKING:
    from tercet.encoder.sentence_transformer import SentenceTransformer


@dataclass(frozen=True, kw_only=True)
class Embedded:
    """Rows that the user passed.

    Attributes:
        spaces: their embeddings.
        keys: a key of each row; copies of a text have the same one.
        texts: the texts; None for embeddings.
        numbers: the number of each row in what the user passed `(n,)`; None for all rows, in their order.
        num_source_rows: the number of rows that the user passed, with those that were left out; None if none was.
    """

    spaces: Spaces
    keys: list[str]
    texts: list[str] | None
    numbers: Tensor | None = None
    num_source_rows: int | None = None

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def next_number(self) -> int:
        """The number that a row after all these has, also after those that were left out."""
        last = len(self) if self.numbers is None else int(self.numbers.max()) + 1
        return last if self.num_source_rows is None else self.num_source_rows

    def select(self, rows: Sequence[int] | np.ndarray) -> "Embedded":
        """Return some of the rows, which keep their numbers."""
        index = torch.as_tensor(np.asarray(rows))
        return Embedded(
            spaces=self.spaces[index],
            keys=[self.keys[row] for row in rows],
            texts=None if self.texts is None else [self.texts[row] for row in rows],
            numbers=index if self.numbers is None else self.numbers[index],
            num_source_rows=self.next_number,
        )


def load_encoder(model: Any, device: str | None) -> "SentenceTransformer | None":
    """Return the encoder; None for embeddings. Raise `DataError` if it is no encoder."""
    if model is None or not isinstance(model, (str, Path)):
        if model is not None and not hasattr(model, "encode"):
            raise DataError(
                f"model must be a SentenceTransformer, a folder, a name on the hub or None, got {type(model).__name__}"
            )
        return model
    from tercet.encoder.loading import load_model

    return load_model(str(resolve_model(model, str(model))), device=device)


def embed(
    values: Any,
    name: str,
    model: "SentenceTransformer | None",
    *,
    batch_size: int | None = None,
    dimension: int | None = None,
    show_progress_bar: bool = False,
) -> Embedded:
    """Return the embeddings of sentences, or the given embeddings.

    Args:
        values: sentences, embeddings `(n, dim)`, or rows that are `Embedded` already.
        name: the name of the argument, for messages.
        model: the encoder; None if only embeddings can be passed.
        batch_size: number of sentences to encode at a time.
        dimension: the dimension that embeddings must have; None for any.
        show_progress_bar: whether to show a progress bar.

    Raises:
        DataError: a text is invalid, there is no encoder for texts, or embeddings have a wrong shape or values.
    """
    given = read(values, name)
    if isinstance(given, Embedded):
        if dimension is None and model is not None:
            dimension = model.get_sentence_embedding_dimension()
        if dimension is not None and (found := given.spaces.embeddings.shape[1]) != dimension:
            raise DataError(f"{name} has embeddings of dimension {found}, but dimension {dimension} is expected")
        return given
    if model is None:
        if not given:  # no sentence, or no embedding
            return Embedded(spaces=Spaces(embeddings=torch.empty(0, dimension or 0)), keys=[], texts=None)
        raise DataError(
            f"{name} has sentences, but the classifier has no encoder; pass embeddings, or LabelClassifier(model)"
        )
    rows = embed_texts(model, given, batch_size=batch_size, show_progress_bar=show_progress_bar)
    if dimension is not None and rows.embeddings.shape[1] != dimension:
        raise DataError(
            f"the encoder has embeddings of dimension {rows.embeddings.shape[1]}, but the classifier was fitted to "
            f"dimension {dimension}; fit it again with this encoder"
        )
    return embedded(rows, given)


def read(values: Any, name: str) -> Embedded | list[str]:
    """Return the sentences as a list, or the given embeddings. Nothing is encoded.

    Args:
        values: sentences, embeddings `(n, dim)`, or rows that are `Embedded` already.
        name: the name of the argument, for messages.

    Raises:
        DataError: a text is invalid, or embeddings have a wrong shape or values.
    """
    if isinstance(values, Embedded):
        return values
    if isinstance(values, (str, bytes)):
        raise DataError(f"{name} must be a list of sentences, got one string; pass [{name}]")
    if getattr(values, "ndim", None) == 2 and hasattr(values, "to_numpy"):  # a table of pandas
        values = values.to_numpy()
    if (
        not hasattr(values, "dtype")
        and not isinstance(values, (list, tuple, dict, set))
        and hasattr(values, "__iter__")
    ):
        values = list(values)  # such as a column of a data set
    if _are_embeddings(values):
        return _given_embeddings(values, name)
    return check_texts(_listed(values, name), name)


def _are_embeddings(values: Any) -> bool:
    """Return whether values are embeddings: an array or a tensor of numbers, or lists of numbers."""
    if hasattr(values, "detach"):
        return True
    kind = getattr(getattr(values, "dtype", None), "kind", None)
    if kind is not None and kind != "O":
        return kind in "fiub"
    first = next(iter(values), None) if kind == "O" or isinstance(values, (list, tuple)) else None
    if isinstance(first, (list, tuple, np.ndarray)):
        return not any(isinstance(value, str) for value in first)
    return hasattr(first, "detach")


def _given_embeddings(values: Any, name: str) -> Embedded:
    if isinstance(values, (list, tuple)) and len({np.shape(row) for row in values}) > 1:
        raise DataError(f"{name} has embeddings of different dimensions; pass an array of shape (n, dim)")
    if len(values) == 0 and getattr(values, "ndim", 1) == 2:  # no row of a known dimension
        return Embedded(spaces=Spaces(embeddings=torch.empty(0, values.shape[1])), keys=[], texts=None)
    try:
        rows = as_embeddings(values, name).detach().cpu()
    except EmbeddingError as error:
        raise DataError(str(error)) from None
    if bad := (~rows.isfinite().all(dim=1)).nonzero().flatten().tolist():
        raise DataError(f"{name}, row {bad[0]}: the embedding has NaN or infinite values; remove or recompute the row")
    if zero := (rows == 0).all(dim=1).nonzero().flatten().tolist():
        raise DataError(f"{name}, row {zero[0]}: the embedding is zero, so it has no direction; remove the row")
    return embedded(spaces(rows))


def embedded(rows: Spaces, texts: Sequence[str] | None = None) -> Embedded:
    """Return rows whose embeddings exist already, with the texts if they are known."""
    if texts is not None:
        return Embedded(spaces=rows, keys=[text_key(text) for text in texts], texts=list(texts))
    return Embedded(spaces=rows, keys=vector_keys(rows.embeddings.numpy()), texts=None)


def _listed(values: Any, name: str) -> list[Any]:
    if not hasattr(values, "__iter__") or isinstance(values, (dict, set)):
        raise DataError(f"{name} must be a list of sentences or an array of embeddings, got {type(values).__name__}")
    values = getattr(values, "tolist", values.__iter__)()
    found = list(values)
    if found and isinstance(found[0], list):  # a column (n, 1)
        found = [row[0] if isinstance(row, list) and len(row) == 1 else row for row in found]
    return found


def like(rows: Embedded, spaces: Spaces, name: str) -> Embedded:
    """Return rows with the same spaces of embeddings as those of the training rows.

    Raises:
        DataError: the training rows have the inputs of the head too, but only embeddings were passed.
    """
    if (rows.spaces.before_head is None) == (spaces.before_head is None):
        return rows
    if spaces.before_head is None:
        return replace(rows, spaces=replace(rows.spaces, before_head=None))
    raise DataError(
        f"{name} has embeddings, but the classifier was fitted to sentences and also uses what comes before the head "
        "of the encoder; pass sentences"
    )
