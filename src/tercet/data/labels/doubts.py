"""Warn about rows that are probably wrong, but that can be used.

warn_of_doubtful_labels    texts with several labels, and a label that nearly all rows have
warn_of_doubtful_triplets  triplets in which two texts are copies, and triplets that contradict each other
equal_texts                the rows of triplets in which two texts are copies
exchanged_triplets         the rows of triplets that also occur with the positive and the negative exchanged
"""

from collections.abc import Mapping, Sequence

import numpy as np

from tercet._display import shown_beside
from tercet._events import WarningKind, emit_warning
from tercet._texts import kind_of_place
from tercet.data.cleaning.copies import copy_groups
from tercet.data.labels.labelled_sentences import LabelledSentences
from tercet.data.tables.text_hashes import hashes_of
from tercet.errors import short_repr

# From this fraction of the rows on, texts with several labels are a warning.
_CONFLICTS_TO_WARN = 0.01
# From this fraction of the rows on, a label is so frequent that a random ranking is nearly always right.
_DOMINANT = 0.9


def warn_of_doubtful_labels(data: LabelledSentences, source: str) -> None:
    """Emit a warning if texts have several labels, and if one label has nearly all rows.

    Args:
        data: the rows that are used.
        source: the file or data set, for messages.
    """
    groups = copy_groups(data.sentences)
    # Numbers of pairs of a text and a label are sorted ten times as fast as the pairs.
    pairs = np.sort(groups * len(data.label_names) + data.label_ids)
    text_of_pair, label_of_pair = np.divmod(pairs[np.diff(pairs, prepend=-1) > 0], len(data.label_names))
    conflicting = np.bincount(text_of_pair)[groups] > 1
    if conflicting.any() and conflicting.sum() >= _CONFLICTS_TO_WARN * len(data):
        first = int(np.argmax(conflicting))
        names = [data.label_names[label_id] for label_id in label_of_pair[text_of_pair == groups[first]]]
        emit_warning(
            WarningKind.DOUBTFUL_DATA,
            f"{source}: {conflicting.sum():,} of {len(data):,} rows have a text that also occurs with another label, "
            f"such as {short_repr(data.sentences[first])} with {' and '.join(map(short_repr, names[:2]))}. A model "
            "cannot get all of them right, which lowers the metrics; decide which label is correct",
        )
    largest = np.bincount(data.label_ids)
    fraction = largest.max() / len(data)
    if fraction >= _DOMINANT and np.count_nonzero(largest) > 1:
        emit_warning(
            WarningKind.DOUBTFUL_DATA,
            f"{source}: {shown_beside(fraction, 1, '.0%')} of the rows have the label "
            f"{short_repr(data.label_names[largest.argmax()])}, so a model that has learned nothing reaches about "
            f"{fraction:.2f} in recall@1 and kNN accuracy; add rows of the other labels, or compare the metrics with "
            "this number",
        )


def equal_texts(columns: Sequence[np.ndarray]) -> np.ndarray:
    """Return the rows of the triplets in which two of the three texts are copies, ascending.

    Args:
        columns: the hashes (see `text_hashes.py`) of the anchors, the positives and the negatives.
    """
    anchor, positive, negative = map(np.asarray, columns)
    return np.flatnonzero((anchor == positive) | (anchor == negative) | (positive == negative))


def exchanged_triplets(columns: Sequence[np.ndarray]) -> np.ndarray:
    """Return the rows of the triplets of which another row exchanges the positive and the negative, ascending.

    Args:
        columns: the hashes (see `text_hashes.py`) of the anchors, the positives and the negatives.

    Example:
        >>> exchanged_triplets([["a", "a", "a"], ["p", "n", "x"], ["n", "p", "n"]]).tolist()
        [0, 1]
    """
    values, numbers = np.unique(np.concatenate(columns), return_inverse=True)
    anchor, positive, negative = numbers.reshape(len(columns), -1)
    # Numbers of pairs, and then of triplets, fit into 64 bits for a billion rows.
    forth, back = positive * len(values) + negative, negative * len(values) + positive
    pairs, numbers = np.unique(np.concatenate((forth, back)), return_inverse=True)
    forth, back = (anchor * len(pairs) + pair for pair in numbers.reshape(2, -1))
    return np.flatnonzero((positive != negative) & np.isin(back, forth))


def warn_of_doubtful_triplets(texts: Mapping[str, Sequence[str]], source: str, lines: Sequence[int] | None) -> None:
    """Emit a warning if two texts of a triplet are copies, and one if triplets contradict each other.

    Args:
        texts: the columns `anchor`, `positive` and `negative`.
        source: the file or data set, for messages.
        lines: the line number of each row in its file, for messages; None names the row instead.
    """
    columns = [hashes_of(column) for column in texts.values()]
    findings = (
        (
            equal_texts(columns),
            "have a text twice",
            "A positive that is the anchor is always nearest, and a negative that is the anchor or the positive never "
            "farther; correct or remove them",
        ),
        (
            exchanged_triplets(columns),
            "also occur with the positive and the negative exchanged",
            "No model can get both right, and their gradients cancel; decide which text is the positive",
        ),
    )
    for rows, problem, advice in findings:
        if len(rows):
            first = f"{kind_of_place(lines)} {rows[0] if lines is None else lines[rows[0]]}"
            emit_warning(
                WarningKind.DOUBTFUL_DATA,
                f"{source}: {len(rows):,} of {len(columns[0]):,} triplets {problem}, for example {first}. {advice}",
            )
