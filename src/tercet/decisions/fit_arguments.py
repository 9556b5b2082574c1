"""The rows of `LabelClassifier.fit`: all arguments are checked before a sentence is encoded, then they are embedded."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tercet._labels import plain_labels, warn_of_forms
from tercet.data.cleaning.copies import first_occurrences
from tercet.decisions import inputs
from tercet.decisions.calibration_data import calibration_rows, read_pair
from tercet.decisions.candidates import METHODS, candidate_names
from tercet.decisions.seen import seen_fraction
from tercet.decisions.training_rows import TrainingRows, check_length, number_labels, with_levels
from tercet.errors import DataError, listed

if TYPE_CHECKING:
    from tercet.encoder.sentence_transformer import SentenceTransformer


def read_fit_arguments(
    X: Any,
    y: Any,
    calibration_data: tuple[Any, Any] | None,
    unknown_sentences: Any,
    *,
    model: "SentenceTransformer | str | Path | None",
    device: str | None,
    method: str,
    unseen_rows: bool,
    batch_size: int | None,
    label_levels: str | None,
) -> "tuple[SentenceTransformer | None, TrainingRows]":
    """Return the encoder, and the embedded rows to fit a classifier to.

    The arguments and errors are those of `LabelClassifier` and its method `fit`.
    """
    labels = plain_labels(y, "y", error=DataError)
    if len(set(labels)) < 2:
        raise DataError(f"y has {listed(set(labels)) or 'no label'}; a classifier needs two labels or more")
    if method not in ("auto", *METHODS):
        raise DataError(f"method must be one of {listed(['auto', *METHODS], 10)}, got {method!r}")
    labels = with_levels(labels, label_levels)
    warn_of_forms(labels, "y")
    given = inputs.read(X, "X")  # all arguments are checked before a sentence is encoded
    check_length(given, labels, "X", "y")
    pair = None if calibration_data is None else read_pair(calibration_data, labels, label_levels)
    none_of_these = None if unknown_sentences is None else inputs.read(unknown_sentences, "unknown_sentences")
    if none_of_these is not None and not len(none_of_these):
        raise DataError("unknown_sentences has no rows; pass sentences, or None")
    encoder = inputs.load_encoder(model, device)
    training = inputs.embed(given, "X", encoder, batch_size=batch_size)
    if method not in ("auto", *candidate_names(training.spaces)):
        raise DataError(f"method={method!r} needs sentences and an encoder that ends in a linear head")
    seen = seen_fraction(encoder, training.texts)
    if seen is None and unseen_rows:
        seen = 0.0
    names, label_ids = number_labels(labels, training)
    calibration, calibration_ids, unknown = None, None, None
    if pair is not None:
        calibration, calibration_ids = calibration_rows(pair, names, training, encoder, batch_size=batch_size)
        assert calibration.numbers is not None
        first = training.next_number
        calibration = replace(
            calibration, numbers=first + calibration.numbers, num_source_rows=first + calibration.next_number
        )
    if none_of_these is not None:
        found = inputs.embed(
            none_of_these, "unknown_sentences", encoder, batch_size=batch_size,
            dimension=training.spaces.embeddings.shape[1],
        )  # fmt: skip
        found = found.select(first_occurrences(found.keys))  # Copies are not independent.
        unknown = inputs.like(found, training.spaces, "unknown_sentences").spaces
    return encoder, TrainingRows(
        rows=training, label_ids=label_ids, names=names, calibration=calibration, calibration_ids=calibration_ids,
        unknown=unknown, seen=seen,
    )  # fmt: skip
