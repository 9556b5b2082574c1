"""Inspect labelled sentences before training.

Texts and labels are counted without a model. With a model, `inspect` also counts tokens and finds label issues. If
the data can be used for training, it then measures batches and suggests settings.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

import numpy as np
import torch

from tercet.data.labels.labelled_sentences import LabelledSentences
from tercet.data.labels.trainable import check_trainable
from tercet.data.loading.labelled import load_labelled
from tercet.data.reading.options import FileArguments, ReadOptions, takes_file_arguments
from tercet.data.reading.sources import name_of
from tercet.data.sampling.sampler import check_sizes
from tercet.errors import DataError
from tercet.inspection.model_findings import find_with_model
from tercet.inspection.results import Inspection
from tercet.inspection.texts import TextSummary, summarize_texts

if TYPE_CHECKING:
    from tercet.data.reading.sources import Source
    from tercet.encoder.sentence_transformer import SentenceTransformer


@takes_file_arguments
def inspect(
    data: "LabelledSentences | Source",
    model: "SentenceTransformer | str | Path | None" = None,
    *,
    text_column: str | None = None,
    label_column: str | Sequence[str] | None = None,
    split: str = "train",
    header: bool | None = None,
    combined_labels: str | None = None,
    similar_labels: str | None = None,
    drop_missing: bool | None = None,
    label_levels: str | None = None,
    multi_label: str | None = None,
    device: "str | torch.device | None" = None,
    trust_remote_code: bool = False,
    source: str | None = None,
    model_name: str | None = None,
    batch_size: int = 64,
    samples_per_label: int = 4,
    seed: int = 0,
    show_progress_bar: bool = False,
    **reading: Unpack[FileArguments],
) -> Inspection:
    """Inspect labelled sentences before training; the same seed gives the same result.

    Args:
        data: a file, the name of a data set on the hub, one of the tables that `train` takes, or labelled sentences.
            Texts may be empty.
        model: a model, a folder, a name on the hub, or `"bundled"`. If None, only texts and labels are counted.
        text_column: the name of the sentence column; None finds it by a usual name, such as `text` or `sentence`.
        label_column: the name of the label column, or of several with the levels of nested labels, the coarsest first;
            None finds it by a usual name, such as `label` or `intent`.
        split: the split to read if `data` is the name of a data set on the hub or a dictionary of tables.
        header: whether the first line of .csv and .tsv files contains the column names; False names the columns "0",
            "1" and so on. None reads the names, unless the line looks like data.
        combined_labels: what to do with cells that contain several labels: `"keep"` uses each combination as a label,
            `"first"` uses the first label, `"drop"` leaves the rows out. None counts them.
        similar_labels: what to do with labels that differ only in form, such as "Billing" and "billing": `"merge"` uses
            the most frequent form, `"keep"` keeps them apart. None counts them.
        drop_missing: what to do with rows without a text or a label: None counts them, True leaves them out, False is
            an error.
        label_levels: the separator of the levels of nested labels, such as "/" in "billing/refund"; None for labels
            without levels, or "/" with several label columns.
        multi_label: the separator of the labels of a row, such as ";" in "billing;refund", if rows have several; a
            column of lists needs none. The labels that sentences probably lack are then listed, instead of label
            issues, and no batch is measured.
        device: the device to compute on, if `model` is loaded here; None uses a GPU if there is one.
        trust_remote_code: whether to run Python code from the model's repository.
        source: the name of the data in messages; None uses the file or name in `data`, or "the data".
        model_name: the name of the model in messages; None uses the name in `model`, or "the model".
        batch_size: the number of sentences in each measured batch; fewer if the data have fewer.
        samples_per_label: the number of sentences of each label in a measured batch.
        seed: the seed of the folds and the batches; at least 0.
        show_progress_bar: whether to show progress bars for the embedding and the check of the labels.
        reading: more on how to read files: `csv_separator`, `encoding`, `split_column`, `limit`, `sample` and
            `label_file`, see `tercet.data.ReadOptions`.

    Raises:
        DataError: the data cannot be read or have no rows; `seed` is below 0; or batches are measured, but `batch_size`
            and `samples_per_label` do not give a P×K batch.
        EmbeddingError: a model is given, and a text of `LabelledSentences` contains a lone surrogate.
        ModelError: the model cannot be loaded, or its embeddings are not finite or too large for float32 distances.

    Example:
        >>> _ = Path("d.csv").write_text("text,label\\nthe soup is hot,food\\nthe bank is shut,money\\n")
        >>> inspect("d.csv").texts.labels.count
        2
    """
    if not isinstance(data, LabelledSentences):
        source = source or name_of(data)
        options = ReadOptions.of(locals())
        data = load_labelled(data, options, incomplete=True, several_labels=True)
        label_levels = options.label_levels
    if isinstance(model, (str, Path)):
        from tercet.encoder.loading import load_model  # slow to import, and not needed without a model

        model_name = model_name or str(model)
        model = load_model(str(model), device=device, trust_remote_code=trust_remote_code)
    source, model_name = source or "the data", model_name or "the model"
    if len(data) == 0:
        raise DataError(f"{source} has no rows")
    texts = summarize_texts(data.sentences, data.label_ids, data.label_names, data.multi_label)
    if label_levels is not None:  # A label with levels is one label.
        texts = replace(texts, combined_labels=[], combined_separator=None)
    complete = np.setdiff1d(np.arange(len(data)), [*texts.empty, *texts.missing_labels])
    sentences, texts = data.take(complete), _with_row_numbers(texts, data.rows)
    sentences = replace(sentences, rows=data.row_numbers[complete])
    inspection = Inspection(source=source, texts=texts, obstacle=_obstacle(sentences, source, texts.missing_labels))
    if model is None or len(sentences) == 0:
        return inspection
    if seed < 0:
        raise DataError(f"seed must be at least 0, got {seed}")
    if inspection.obstacle is None and data.multi_label is None:
        check_sizes(batch_size, samples_per_label)
    findings = find_with_model(
        sentences, model, model_name, label_levels=label_levels, trainable=inspection.obstacle is None,
        batch_size=batch_size, samples_per_label=samples_per_label, seed=seed, show_progress_bar=show_progress_bar,
    )  # fmt: skip
    return replace(inspection, with_model=findings)


def _with_row_numbers(texts: TextSummary, numbers: np.ndarray | None) -> TextSummary:
    """Return the counts with the numbers of the rows in the file that the data come from; None changes nothing."""
    if numbers is None:
        return texts

    def of_file(rows: list[int]) -> list[int]:
        found: list[int] = numbers[rows].tolist()
        return found

    return replace(
        texts,
        empty=of_file(texts.empty),
        duplicates=of_file(texts.duplicates),
        missing_labels=of_file(texts.missing_labels),
        contradictions=[replace(one, rows=of_file(one.rows)) for one in texts.contradictions],
    )


def _obstacle(data: LabelledSentences, source: str, missing_labels: list[int]) -> str | None:
    """Return the reason why the sentences cannot be used for training, or None if they can."""
    if len(data) == 0:
        return f"{source} has no row with a text{' and a label' if missing_labels else '; all texts are empty'}"
    try:
        check_trainable(data.label_ids, data.label_names, source, data.multi_label)
    except DataError as error:
        return str(error)
    return None
