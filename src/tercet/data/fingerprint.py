"""Facts about a data set for records: the number of rows, labels and copies, and a digest of all texts and labels."""

import hashlib
import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from tercet._multi_labels import number_label_sets
from tercet.data.cleaning.copies import copy_groups
from tercet.data.labels.numbering import label_values
from tercet.data.tables.dataset_columns import texts_of

if TYPE_CHECKING:
    from datasets import Dataset


def fingerprint(data: "Dataset", multi_label: str | None = None) -> dict[str, Any]:
    """Return facts about the rows of a data set, which identify its content without its texts.

    Args:
        data: a data set with the columns `sentence` and `label`, or `anchor`, `positive` and `negative`.
        multi_label: the separator of the labels in a name of `label`, if rows have several.

    Returns:
        The number of `rows`, of `labels` (not for triplets) and of `copies` (rows that repeat an earlier text, or for
        triplets an earlier anchor), and `sha256`, the digest of the rows in their order. Each row goes into the digest
        as the JSON list [text, label], or [anchor, positive, negative], in ASCII with Python's default separators.
    """
    labelled = "label" in data.column_names
    columns = [texts_of(data, "sentence"), label_values(data)] if labelled else [
        texts_of(data, name) for name in ("anchor", "positive", "negative")
    ]  # fmt: skip
    different = len(np.unique(copy_groups(columns[0])))
    names = set(columns[1]) if labelled else set()
    number = len(names) if multi_label is None else len(number_label_sets(list(names), multi_label)[1])
    labels = {"labels": number} if labelled else {}
    return {"rows": len(data), **labels, "copies": len(data) - different, "sha256": digest_rows(columns)}


def digest_rows(columns: Iterable[Iterable[Any]], start: bytes = b"") -> str:
    """Return the SHA-256 digest of `start` and of the rows of a table in their order, each as a JSON list in ASCII."""
    digest = hashlib.sha256(start)
    for row in zip(*columns, strict=True):
        digest.update(json.dumps(row).encode())
    return digest.hexdigest()
