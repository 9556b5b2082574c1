"""Read the sentences that a command searches in, with their labels if there are any, and embed them."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from tercet.cli.console import shows_progress
from tercet.cli.stored_vectors import check_stored_vectors, read_parts, read_stored_vectors
from tercet.errors import listed

if TYPE_CHECKING:
    import numpy as np

    from tercet.encoder.sentence_transformer import SentenceTransformer

logger = logging.getLogger(__name__)

PromptName = Annotated[
    str | None,
    typer.Option(
        help="The name of the prompt of the model to put before each sentence of DATA. [default: the default prompt of "
        "the model, if it has one]"
    ),
]


@dataclass(frozen=True)
class SearchableRows:
    """Sentences and their labels.

    Attributes:
        source: the file or data set, for messages.
        texts: the sentences.
        labels: the label of each one as a string, "" where it is missing; several labels of a cell are sorted and
            joined. None without a column of labels.
        numbers: the number of each row in the file or data set, if only some are read; None if all are.
        vectors: the stored embeddings, scaled to length 1, float32 `(n, dim)`; None if the sentences must be embedded.
    """

    source: str
    texts: list[str]
    labels: list[str] | None
    numbers: Sequence[int] | None = None
    vectors: "np.ndarray | None" = None

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
    vector_column: str | None = None,
    **reading: Any,
) -> SearchableRows:
    """Read sentences and their labels; with `vector_column`, their vectors, too.

    Rows without a text are left out with a warning. Labels are optional: without `label_column`, they are read if one
    column has a usual name. If none or several have one, that is logged.

    Raises:
        DataError: the data cannot be read, a column is not found, a text is invalid, or no row has one.
    """
    from tercet.data.cleaning.incomplete_rows import texts_of_rows
    from tercet.data.columns.guessing import find_text
    from tercet.data.columns.labelled import find_labelled_columns
    from tercet.data.columns.names import ColumnError
    from tercet.data.reading.options import ReadOptions
    from tercet.data.reading.selection import read_data
    from tercet.data.tables.cells import plain_values

    options = ReadOptions.of(locals())
    parts, files = (data, []) if vector_column is None else read_parts(data, options)
    table = read_data(parts, options)
    column = find_text(table, text_column)
    labels = None
    if label_column is not None or len(table.columns) > 1:
        try:
            _, found = find_labelled_columns(table.columns, table.source, column, label_column)
            labels = [_label_text(label) for label in plain_values(table.columns[found])]
        except ColumnError as error:
            if label_column is not None:
                raise
            logger.info(f"no labels are shown: {error}")
    kept, texts = texts_of_rows(table, column)
    numbers = None if table.rows is None and len(kept) == len(table) else [table.row_number(row) for row in kept]
    labels = None if labels is None else [labels[row] for row in kept]
    vectors = None if vector_column is None else read_stored_vectors(files, vector_column, numbers)
    return SearchableRows(table.source, texts, labels, numbers, vectors)


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


def vectors_of(
    model: "SentenceTransformer",
    rows: SearchableRows,
    prompt_name: str | None = None,
    *,
    task: Literal["query", "document"] | None = None,
    batch_size: int | None = None,
    quiet: bool = False,
) -> "np.ndarray":
    """Return the stored embeddings of sentences, or compute them as `embed` does.

    Raises:
        DataError: the stored embeddings are not those of the model.
    """
    if rows.vectors is None:
        return embed(model, rows.texts, prompt_name, task=task, batch_size=batch_size, quiet=quiet)
    check_stored_vectors(rows.vectors, embed(model, rows.texts[:1], prompt_name, task=task, quiet=True), rows.source)
    return rows.vectors
