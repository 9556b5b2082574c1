"""Check and embed what the user passes to a classifier: sentences or embeddings, labels, the encoder."""

import logging
from collections import Counter
from collections.abc import Sequence, Sized
from dataclasses import dataclass, replace
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from tercet._labels import plain_labels
from tercet._nested_labels import check_separator, normalize_nested
from tercet._texts import check_texts, text_key
from tercet.decisions.embedding import Spaces, embed_texts, spaces
from tercet.decisions.seen import seen_rows
from tercet.distances import as_embeddings
from tercet.encoder.names import resolve_model
from tercet.errors import DataError, EmbeddingError

if TYPE_CHECKING:
    from tercet.encoder.sentence_transformer import SentenceTransformer

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Embedded:
    """Rows that the user passed.

    Attributes:
        spaces: their embeddings.
        keys: a key of each row; copies of a text have the same one.
        texts: the texts; None for embeddings.
        numbers: the number of each row in what the user passed `(n,)`; None for all rows, in their order.
    """

    spaces: Spaces
    keys: list[str]
    texts: list[str] | None
    numbers: Tensor | None = None

    def __len__(self) -> int:
        return len(self.keys)

    def select(self, rows: Sequence[int] | np.ndarray) -> "Embedded":
        """Return some of the rows, which keep their numbers."""
        index = torch.as_tensor(np.asarray(rows))
        return Embedded(
            spaces=self.spaces[index],
            keys=[self.keys[row] for row in rows],
            texts=None if self.texts is None else [self.texts[row] for row in rows],
            numbers=index if self.numbers is None else self.numbers[index],
        )


def load_encoder(model: Any, device: str | None) -> "SentenceTransformer | None":
    """Return the encoder; None for embeddings."""
    if model is None or not isinstance(model, (str, Path)):
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
    first = next(iter(values), None) if isinstance(values, (list, tuple, np.ndarray)) else None
    if isinstance(first, (list, tuple, np.ndarray)):
        return not any(isinstance(value, str) for value in first)
    return hasattr(first, "detach")


def _given_embeddings(values: Any, name: str) -> Embedded:
    if isinstance(values, (list, tuple)) and len({np.shape(row) for row in values}) > 1:
        raise DataError(f"{name} has embeddings of different dimensions; pass an array of shape (n, dim)")
    if len(values) == 0 and getattr(values, "ndim", 1) == 2:  # no row of a known dimension
        return Embedded(spaces=Spaces(embeddings=torch.empty(0, values.shape[1])), keys=[], texts=None)
    if isinstance(values, np.ndarray) and not values.flags.writeable:  # as joblib passes them to its processes
        values = values.copy()
    try:
        rows = as_embeddings(values, name).detach().cpu().float()
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
    keys = [blake2b(row.tobytes(), digest_size=16).hexdigest() for row in rows.embeddings.numpy()]
    return Embedded(spaces=rows, keys=keys, texts=None)


def _listed(values: Any, name: str) -> list[Any]:
    if not hasattr(values, "__iter__") or isinstance(values, (dict, set)):
        raise DataError(f"{name} must be a list of sentences or an array of embeddings, got {type(values).__name__}")
    values = getattr(values, "tolist", values.__iter__)()
    found = list(values)
    if found and isinstance(found[0], list):  # a column (n, 1)
        found = [row[0] if isinstance(row, list) and len(row) == 1 else row for row in found]
    return found


def number_labels(labels: Sequence[Any], embedded: Embedded) -> tuple[list[Any], Tensor]:
    """Return the labels in an order that depends on the content of their rows alone, and the label id of each row.

    So the ids depend neither on the order of the rows nor on the names of the labels. Only labels that have exactly the
    same rows are in the order of their names.
    """
    rows_of: dict[Any, list[tuple[str, str]]] = {}
    for label, content in zip(labels, _contents(embedded), strict=True):
        rows_of.setdefault(label, []).append(content)
    names = sorted(rows_of, key=lambda name: (sorted(rows_of[name]), name))
    number = {name: at for at, name in enumerate(names)}
    return names, torch.tensor([number[label] for label in labels])


def canonical_order(embedded: Embedded, label_ids: Tensor) -> Tensor:
    """Return the row numbers in an order that depends on the content of the rows and their labels alone `(n,)`."""
    contents, ids = _contents(embedded), label_ids.tolist()
    return torch.tensor(sorted(range(len(ids)), key=lambda row: (contents[row], ids[row])), dtype=torch.long)


def _contents(embedded: Embedded) -> list[tuple[str, str]]:
    """Return the key and the text of each row. Rows with the same ones have the same embedding."""
    return list(zip(embedded.keys, embedded.texts or embedded.keys, strict=True))


def check_length(rows: Sized, labels: Sequence[Any], name: str, labels_name: str) -> None:
    """Raise `DataError` if the numbers of rows and labels differ, or there is nothing to learn."""
    if len(rows) != len(labels):
        raise DataError(
            f"{name} has {len(rows):,} rows, but {labels_name} has {len(labels):,} labels; pass one for each"
        )
    if len(labels) == 0:
        raise DataError(f"{name} has no rows; pass labelled sentences")


def check_levels(labels: list[Any], label_levels: str | None) -> None:
    """Raise `DataError` if `label_levels` is not the separator of the levels of these labels."""
    check_separator(label_levels)
    if label_levels is None:
        return
    if not isinstance(labels[0], str):
        raise DataError("label_levels needs labels that are strings; leave it out for integers")
    normalize_nested(labels, label_levels, "y")


def check_label_type(labels: Sequence[Any], expected: Any, name: str) -> None:
    """Raise `DataError` if labels have another type than that of a label of `fit`: "1" and 1 are two labels."""
    if labels and type(labels[0]) is not type(expected):
        raise DataError(
            f"{name} has labels of type {type(labels[0]).__name__}, but y of fit has labels of type "
            f"{type(expected).__name__}; convert them"
        )


def read_pair(data: Any, y: Sequence[Any]) -> tuple[Embedded | list[str], list[Any]]:
    """Return the rows of `calibration_data`, of which nothing is encoded yet, and their labels.

    Args:
        data: what the user passed.
        y: the labels of the training rows.

    Raises:
        DataError: the data are no pair of rows and as many labels of the type of `y`, or a row is invalid.
    """
    if not isinstance(data, (tuple, list)) or len(data) != 2:
        raise DataError("calibration_data must be a pair: sentences (or embeddings) and their labels")
    labels = plain_labels(data[1], "the labels of calibration_data", error=DataError)
    rows = read(data[0], "calibration_data")
    check_length(rows, labels, "calibration_data", "its second part")
    check_label_type(labels, y[0], "calibration_data")
    return rows, list(labels)


def calibration_rows(
    data: tuple[Embedded | list[str], list[Any]],
    names: Sequence[Any],
    training: Embedded,
    model: "SentenceTransformer | None",
    *,
    batch_size: int | None = None,
) -> tuple[Embedded, Tensor]:
    """Return the calibration rows that can be used, and their label ids.

    Rows with a label that the training rows do not have, copies of training rows, and rows that the encoder was trained
    on are left out with a warning.

    Args:
        data: the rows and labels, as `read_pair` returns them.
        names: the labels of the training rows, by label id.
        training: the training rows.
        model: the encoder; None for embeddings.
        batch_size: number of sentences to encode at a time.

    Raises:
        DataError: no row can be used, or the encoder was trained on all of them.
    """
    given, labels = data
    rows = embed(given, "calibration_data", model, batch_size=batch_size, dimension=training.spaces.embeddings.shape[1])
    seen = seen_rows(model, rows.texts)
    if seen is not None and seen.all():
        raise DataError(
            "the encoder was trained on 100% of calibration_data, so they cannot show how sure it is about new "
            "sentences; pass rows that it was not trained on"
        )
    number, copies = {name: at for at, name in enumerate(names)}, set(training.keys)
    kept, why_not = [], Counter[str]()
    for row, (label, key) in enumerate(zip(labels, rows.keys, strict=True)):
        if label not in number:
            why_not["a label that is not in y"] += 1
        elif key in copies:
            why_not["a text that is also in X"] += 1
        elif seen is not None and seen[row]:
            why_not["a text that the encoder was trained on"] += 1
        else:
            kept.append(row)
    for what, count in sorted(why_not.items()):
        logger.warning(f"{count:,} of {len(labels):,} rows of calibration_data are left out: {what}")
    if not kept:
        raise DataError("no row of calibration_data can be used; pass rows with labels of y and texts that X lacks")
    return like(rows.select(kept), training.spaces, "calibration_data"), torch.tensor(
        [number[labels[row]] for row in kept]
    )


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


def why_uncalibrated(seen: float | None) -> str:
    """Return a warning that confidences are too high."""
    why = (
        "whether the encoder was trained on the rows of fit cannot be known"
        if seen is None
        else f"the encoder was trained on {'less than 1%' if seen < 0.01 else f'{seen:.0%}'} of the rows of fit"
    )
    return (
        f"{why}, so confidences may be too high and no precision can be promised; pass calibration_data, labelled rows "
        "that it was not trained on, or unseen_rows=True if it was trained on none of the rows"
    )
