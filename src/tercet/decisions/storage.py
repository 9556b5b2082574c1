"""Write a classifier, and read it: in the folder of its encoder, or in a folder of its own for embeddings.

label_classifier.json          labels, choice, settings, and the texts of the gallery if they are kept
label_classifier.safetensors   gallery (float16), fitted vectors and biases, and the answers for the calibration rows

The JSON file has a test sentence's embedding, so that a classifier is not used with another encoder, and the SHA-256 of
the other file, so that files of two classifiers are not mixed.
"""

from dataclasses import asdict, replace
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load as from_bytes
from safetensors.torch import save as to_bytes
from torch import Tensor

from tercet._files import atomic_directory, check_format_version, expand_path, read_json, resolve_path, write_file
from tercet._files.model_files import (
    CLASSIFIER_FILE,
    CLASSIFIER_WEIGHTS,
    MAX_CLASSIFIER_BYTES,
    has_classifier,
    is_model_folder,
)
from tercet._version import __version__
from tercet.decisions.candidates import Rows
from tercet.decisions.choice import Choice
from tercet.decisions.encoder_check import check_encoder, embed_test_sentence
from tercet.decisions.fitting import Calibration, Fitted
from tercet.decisions.models import LinearScores, Model, NeighbourVote
from tercet.decisions.novelty import Familiarity
from tercet.decisions.spaces import Spaces, as_half, from_half
from tercet.decisions.validation import check_content, check_fitted
from tercet.encoder.pretrained.files import check_regular_files
from tercet.errors import DataError, ModelError

if TYPE_CHECKING:
    from tercet.decisions.classifier import LabelClassifier
    from tercet.encoder.sentence_transformer import SentenceTransformer

_FORMAT_VERSION = 1
_LINEAR = ("weights", "bias")
_CALIBRATION = ("confidence", "correct", "predicted_ids", "runner_up_ids", "novelty", "rows", "ancestor_confidence")
_CALIBRATION_FACTS = ("held_out", "unseen", "basis")
_FAMILIARITY = ("mean", "std", "weights", "ranked")

C = TypeVar("C", bound="LabelClassifier")


def classifier_files(classifier: "LabelClassifier") -> dict[str, Any]:
    """Return the files of a fitted classifier: bytes, or the content of a JSON file, by file name."""
    weights = to_bytes(_tensors(classifier))
    content = {**_content(classifier), "sha256_of_tensors": sha256(weights).hexdigest()}
    return {CLASSIFIER_WEIGHTS: weights, CLASSIFIER_FILE: content}


def save(classifier: "LabelClassifier", folder: Path, *, overwrite: bool) -> None:
    """Write a classifier, with its encoder if it has one. See `LabelClassifier.save`."""
    files = classifier_files(classifier)
    if classifier.model_ is not None:
        classifier.model_.save_pretrained(folder, more_files=files, overwrite=overwrite)
        return
    folder = resolve_path(folder)
    if is_model_folder(folder):
        raise DataError(f"{folder} is the folder of a model; choose another folder for a classifier of embeddings")
    with atomic_directory(folder, owns=files.__contains__, last=(CLASSIFIER_FILE,), overwrite=overwrite) as staging:
        for name, content in files.items():
            write_file(staging / name, content)


def load(cls: type[C], folder: Path, model: "SentenceTransformer | None", *, device: str | None = None) -> C:
    """Read a classifier, and its encoder if there is one. See `LabelClassifier.load`."""
    classifier = read(cls, folder)
    attach_encoder(classifier, folder, model, device=device)
    return classifier


def attach_encoder(
    classifier: "LabelClassifier",
    folder: Path,
    model: "SentenceTransformer | None" = None,
    *,
    device: str | None = None,
) -> None:
    """Give a classifier that was read from a folder its encoder: `model`, or that of the folder if there is one.

    Raises:
        ModelError: the encoder cannot be loaded, or is not the one that the classifier was fitted with.
    """
    folder = expand_path(folder)
    if model is None and is_model_folder(folder):
        from tercet.encoder.loading import load_model

        model = load_model(str(folder), device=device)
    classifier.model = classifier.model_ = model
    if model is not None:
        check_encoder(model, classifier._test_embedding, folder)


def read(cls: type[C], folder: Path) -> C:
    """Read a classifier without its encoder. It can say what it promises, but not embed sentences.

    Raises:
        ModelError: the folder has no classifier, or a file is missing or damaged.
    """
    folder = expand_path(folder)
    path = folder / CLASSIFIER_FILE
    if not has_classifier(folder):
        what = "does not exist" if not folder.exists() else f"has no file {CLASSIFIER_FILE}"
        raise ModelError(f"{folder} {what}, so there is no classifier; fit one with LabelClassifier(model).fit(…)")
    check_regular_files(folder)
    content = read_json(path, max_bytes=MAX_CLASSIFIER_BYTES)
    check_format_version(path, content.get("format_version"), _FORMAT_VERSION, "the file of a classifier")
    try:
        weights = (folder / CLASSIFIER_WEIGHTS).read_bytes()
        tensors = from_bytes(weights)
    except FileNotFoundError:
        raise ModelError(f"{folder / CLASSIFIER_WEIGHTS} is missing, so the classifier is not complete") from None
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{folder / CLASSIFIER_WEIGHTS} is not a valid file: {error}; copy it again") from error
    try:
        # Files of an earlier version have no checksum.
        if content.get("sha256_of_tensors") not in (None, sha256(weights).hexdigest()):
            raise ValueError("the checksum differs")
        classifier = _build(cls, content, tensors)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, RuntimeError) as error:
        raise ModelError(
            f"{path} and {CLASSIFIER_WEIGHTS} do not belong together, or are damaged ({error}); copy both again"
        ) from error
    classifier.model, classifier._test_embedding = None, content["test_embedding"]
    return classifier


def _content(classifier: "LabelClassifier") -> dict[str, Any]:
    fitted, choice = classifier._fitted, classifier._fitted.choice
    return {
        "format_version": _FORMAT_VERSION,
        "tercet_version": __version__,
        "labels": classifier._names,
        "added_labels": classifier.added_labels_,
        "settings": {
            name: getattr(classifier, name)
            for name in ("method", "unseen_rows", "keep_texts", "batch_size", "random_state", "label_levels")
        },
        "models": {name: type(model).__name__ for name, model in fitted.models.items()},
        "choice": asdict(choice),
        "calibration": {name: getattr(fitted.calibration, name) for name in _CALIBRATION_FACTS},
        "max_novelty": fitted.max_novelty,
        "test_embedding": None if classifier.model_ is None else embed_test_sentence(classifier.model_).tolist(),
        "next_row_number": classifier._next_number,
        "texts": classifier._texts,
    }


def _tensors(classifier: "LabelClassifier") -> dict[str, Tensor]:
    fitted = classifier._fitted
    tensors = {f"gallery.{name}": as_half(values) for name, values in fitted.rows.spaces.items()}
    tensors |= {"gallery.label_ids": fitted.rows.label_ids.int(), "gallery.numbers": classifier._numbers.int()}
    for name, model in fitted.models.items():
        if isinstance(model, LinearScores):
            tensors |= {f"models.{name}.{field}": getattr(model, field) for field in _LINEAR}
    tensors |= {
        f"calibration.{field}": torch.from_numpy(np.asarray(getattr(fitted.calibration, field)))
        for field in _CALIBRATION
    }
    if fitted.familiarity is not None:
        tensors |= {
            f"familiarity.{field}": torch.from_numpy(getattr(fitted.familiarity, field)) for field in _FAMILIARITY
        }
    return {name: values.contiguous() for name, values in tensors.items()}


def _build(cls: type[C], content: dict[str, Any], tensors: dict[str, Tensor]) -> C:
    """Return the classifier without its encoder. Raise `KeyError`, `ValueError` and so on for damaged files."""
    label_ids, numbers = tensors["gallery.label_ids"].long(), tensors["gallery.numbers"].long()
    check_content(content, len(label_ids))
    names, before = content["labels"], tensors.get("gallery.before_head")
    embedded = Spaces(
        embeddings=from_half(tensors["gallery.embeddings"]), before_head=None if before is None else from_half(before)
    )
    rows = Rows(spaces=embedded, label_ids=label_ids, num_labels=len(names))
    if not len(label_ids) or not len(label_ids) == len(embedded) == len(numbers):
        raise ValueError(f"the gallery has {len(embedded)} rows and {len(label_ids)} labels")
    if int(label_ids.max()) >= len(names) or int(label_ids.min()) < 0:
        raise ValueError("the labels do not match the gallery")
    # Files of a version without nested labels have no confidence of ancestors.
    tensors.setdefault("calibration.ancestor_confidence", torch.zeros(0, len(tensors["calibration.rows"])))
    calibration: dict[str, Any] = {field: tensors[f"calibration.{field}"].numpy() for field in _CALIBRATION}
    if not set(calibration["rows"].tolist()) <= set(range(len(label_ids))):
        raise ValueError("the calibration rows do not match the gallery")
    familiarity = None
    if "familiarity.mean" in tensors:
        familiarity = Familiarity(**{field: tensors[f"familiarity.{field}"].numpy() for field in _FAMILIARITY})
    fitted = Fitted(
        rows=rows,
        models={name: _model(name, kind, rows, tensors) for name, kind in content["models"].items()},
        choice=Choice(**content["choice"]),
        calibration=Calibration(**calibration, **{name: content["calibration"][name] for name in _CALIBRATION_FACTS}),
        familiarity=familiarity,
        max_novelty=content["max_novelty"],
    )
    classifier = cls(**content["settings"])
    fitted = replace(fitted, ancestors=classifier._ancestors(names))
    check_fitted(fitted)
    classifier.model_, classifier.added_labels_ = None, list(content["added_labels"])
    # Files of an earlier version have no next number.
    next_number = content.get("next_row_number") or int(numbers.max()) + 1
    classifier._set(fitted, names, numbers, content["texts"], next_number)
    return classifier


def _model(name: str, kind: str, rows: Rows, tensors: dict[str, Tensor]) -> Model:
    if kind == NeighbourVote.__name__:
        return NeighbourVote(rows=rows.spaces.embeddings, label_ids=rows.label_ids, num_labels=rows.num_labels)
    if kind != LinearScores.__name__:
        raise ValueError(f"{name} is of the unknown type {kind!r}")
    model = LinearScores(**{field: tensors[f"models.{name}.{field}"] for field in _LINEAR})
    if model.weights.shape[0] != rows.num_labels or model.bias.shape != (rows.num_labels,):
        raise ValueError(f"{name} has {model.weights.shape[0]} labels, expected {rows.num_labels}")
    return model
