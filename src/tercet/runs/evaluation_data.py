"""Load the rows to evaluate on, and the reference rows that are ranked for them."""

import re
from pathlib import Path
from typing import TYPE_CHECKING

from tercet._files.model_files import classifier_labels
from tercet.data.reading.options import ReadOptions
from tercet.errors import DataError

if TYPE_CHECKING:
    from tercet.data.labels.labelled_sentences import LabelledSentences
    from tercet.data.reading.sources import Source


def load_reference(reference: "Source", options: ReadOptions) -> "LabelledSentences":
    """Load the reference rows. Messages about their columns name the arguments of the reference."""
    from tercet.data.columns.names import ColumnError
    from tercet.data.loading.labelled import load_labelled
    from tercet.data.reading.selection import NoSplitsError

    try:
        return load_labelled(reference, options, several_labels=True)
    except (ColumnError, NoSplitsError) as error:
        raise DataError(_of_reference(str(error))) from None


def load_queries(
    data: "Source", options: ReadOptions, gallery: "LabelledSentences | None", classifier: Path | None
) -> "LabelledSentences":
    """Load the rows to evaluate on. Their labels are matched with those of the gallery, or else of the classifier.

    Args:
        data: the evaluation data.
        options: how to read them.
        gallery: the reference data; None for none.
        classifier: the folder of the model, if its classifier is judged.
    """
    from tercet.data.loading.labelled import load_labelled

    if gallery is not None:
        return load_labelled(data, options, known_labels=gallery.label_names, known_from="the reference data")
    known = None if classifier is None else classifier_labels(classifier) or None
    return load_labelled(data, options, known_labels=known, known_from="the classifier", several_labels=True)


def _of_reference(message: str) -> str:
    """Return a message about columns or splits with the arguments that name those of the reference data."""
    changed = re.sub(r"(?<![\w'\"])((text|label|split)_column|(?<=`)split(?=`))(?![\w'\"])", r"reference_\1", message)
    more = "; name its columns with reference_text_column and reference_label_column" if changed == message else ""
    return f"{changed}{more}"
