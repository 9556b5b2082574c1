"""Read the sentences that a command searches in, with their labels if there are any, and embed them."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from tercet.cli.console import shows_progress
from tercet.errors import DataError, listed

if TYPE_CHECKING:
    import numpy as np

    from tercet.encoder.sentence_transformer import SentenceTransformer

logger = logging.getLogger(__name__)

# A vector of a file and the embedding of its sentence: a smaller cosine similarity than this is another model.
# Half precision and other processors differ by less than 0.001.
_SAME_MODEL = 0.99


@dataclass(frozen=True)
class SearchableRows:
    """Sentences and their labels.

    Attributes:
        source: the file or data set, for messages.
        texts: the sentences.
        labels: the label of each one as a string, "" where it is missing; several labels of a cell are sorted and
            joined. None without a column of labels.
        numbers: the number of each row in the file or data set, if only some are read; None if all are.
    """

    source: str
    texts: list[str]
    labels: list[str] | None
    numbers: Sequence[int] | None = None

    def fields(self, row: int, prefix: str = "") -> dict[str, Any]:
        """Return the number, the text and, if there are labels, the label of a row, as fields of a result."""
        number = row if self.numbers is None else self.numbers[row]
        found: dict[str, Any] = {f"{prefix}row": number, f"{prefix}text": self.texts[row]}
        return found if self.labels is None else {**found, f"{prefix}label": self.labels[row]}


def read_rows(
    data: str,
    *,
    text_column: str | None = None,
    label_column: str | None = None,
    split: str = "train",
    header: bool | None = None,
    with_labels: bool = True,
    **reading: Any,
) -> SearchableRows:
    """Read sentences and, unless `with_labels` is False, their labels.

    Labels are optional: without `label_column`, they are read if one column has a usual name. If none or several have
    one, that is logged.

    Raises:
        DataError: the data cannot be read, a column is not found, or a text is invalid.
    """
    from tercet._texts import check_texts
    from tercet.data.columns.guessing import find_text
    from tercet.data.columns.labelled import find_labelled_columns
    from tercet.data.columns.names import ColumnError
    from tercet.data.reading.options import ReadOptions
    from tercet.data.reading.selection import read_data
    from tercet.data.tables.cells import plain_values

    table = read_data(data, ReadOptions.of(locals()))
    column = find_text(table, text_column)
    labels = None
    if label_column is not None or (with_labels and len(table.columns) > 1):
        try:
            _, found = find_labelled_columns(table.columns, table.source, column, label_column)
            labels = [_label_text(label) for label in plain_values(table.columns[found])]
        except ColumnError as error:
            if label_column is not None:
                raise
            logger.info(f"no labels are shown: {error}")
    texts = check_texts(table.columns[column], table.source, table.lines)
    return SearchableRows(table.source, texts, labels, table.rows)


def _label_text(label: Any) -> str:
    """Return a label as a string. Several labels in a cell have no order, so they are sorted."""
    return "" if label is None else ", ".join(sorted(label)) if isinstance(label, tuple) else str(label).strip()


def warn_of_unused_prompts(model: "SentenceTransformer", name: str, given: Sequence[str | None], remedy: str) -> None:
    """Warn if a model has prompts, but none of them is put before the sentences.

    Args:
        model: the model.
        name: its name, for the message.
        given: the names of the prompts that the user has chosen; None for none.
        remedy: the arguments that choose a prompt.
    """
    prompts = [prompt for prompt, text in model.prompts.items() if text]
    if prompts and model.default_prompt_name is None and not any(given):
        logger.warning(
            f"{name} has the prompts {listed(prompts)} and no default prompt, so the sentences are embedded without "
            f"one; if the model was trained with them, pass {remedy}"
        )


def embed(
    model: "SentenceTransformer",
    texts: list[str],
    prompt_name: str | None = None,
    *,
    task: Literal["query", "document"] | None = None,
    batch_size: int | None = None,
    quiet: bool = False,
) -> "np.ndarray":
    """Return the embeddings of sentences, scaled to length 1, float32 `(n, dim)`; `task` is the route of a `Router`."""
    vectors: np.ndarray = model.encode(
        texts,
        prompt_name,
        task=task,
        batch_size=batch_size,
        show_progress_bar=shows_progress(quiet),
        normalize_embeddings=True,
    )
    return vectors


def read_stored_vectors(data: str, column: str, numbers: Sequence[int] | None = None) -> "np.ndarray":
    """Return the vectors of a .parquet file, such as `tercet encode` writes, scaled to length 1, float32 `(n, dim)`.

    Args:
        data: the file.
        column: the column of the vectors.
        numbers: the numbers of the n rows to return; None returns all rows.

    Raises:
        DataError: the vectors cannot be read.
    """
    import numpy as np

    from tercet.data.formats.vector_files import read_complete_vectors

    vectors = read_complete_vectors(data, column).astype(np.float32)
    vectors = vectors if numbers is None else vectors[numbers]
    vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), np.finfo(np.float32).tiny)
    return vectors


def check_stored_vectors(vectors: "np.ndarray", expected: "np.ndarray", data: str) -> None:
    """Raise `DataError` if stored vectors are not those of this model.

    Args:
        vectors: the stored vectors `(n, dim)`.
        expected: the embedding of the first sentence by the model `(1, dim)`.
        data: the file of the vectors, for messages.
    """
    if vectors.shape[1] != expected.shape[1]:
        raise DataError(
            f"{data}: the vectors have {vectors.shape[1]} dimensions, but the model has {expected.shape[1]}; embed the "
            "sentences again with tercet encode"
        )
    similarity = float(vectors[0] @ expected[0])
    if similarity < _SAME_MODEL:
        raise DataError(
            f"{data}: the vectors are not those of this model (row 0: the cosine similarity to the embedding of its "
            f"text is {similarity:.3f}); embed the sentences again with tercet encode, without a head or another prompt"
        )
