import contextlib
import copy
import json
import re
import shutil

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from tercet import LabelClassifier, load_model
from tercet.errors import DataError, ModelError, TercetError
from tests.conftest import EVALUATION_TOPICS, build_bert
from tests.decisions.data import blobs, names_of

JSON, TENSORS = "label_classifier.json", "label_classifier.safetensors"
EVALUATION = [text for texts in EVALUATION_TOPICS.values() for text in texts]


def _same(found, expected, queries):
    """Assert that two classifiers decide the same, to the last bit."""
    assert np.array_equal(found.predict_proba(queries), expected.predict_proba(queries))
    assert found.classes_.tolist() == expected.classes_.tolist()
    assert found.members_ == expected.members_
    assert found.added_labels_ == expected.added_labels_
    assert found.calibrated_ == expected.calibrated_
    for limits in ({}, {"threshold": 0.9}, {"coverage": 0.5}, {"max_novelty": "auto"}):
        one, other = found.decision(queries, explain=True, **limits), expected.decision(queries, explain=True, **limits)
        assert one.labels.tolist() == other.labels.tolist()
        assert np.array_equal(one.novelty, other.novelty, equal_nan=True)
        assert one.neighbours.tolist() == other.neighbours.tolist()
        assert one.unfamiliar == other.unfamiliar
        if limits:
            assert repr(found.promise(**limits)) == repr(expected.promise(**limits))
    settings = ("method", "unseen_rows", "keep_texts", "batch_size", "random_state", "label_levels")
    assert [getattr(found, name) for name in settings] == [getattr(expected, name) for name in settings]


@pytest.mark.slow
@pytest.mark.parametrize("dim", [2, 3, 8, 100])
@pytest.mark.parametrize("method", ["auto", "nearest_neighbours", "class_means", "shared_covariance"])
def test_a_loaded_classifier_decides_the_same(tmp_path, dim, method):
    x, ids = blobs(120, dim=dim)
    classifier = LabelClassifier(unseen_rows=True, method=method, random_state=3).fit(x, names_of(ids))
    classifier.save(tmp_path / "saved")
    assert sorted(path.name for path in (tmp_path / "saved").iterdir()) == [JSON, TENSORS]
    loaded = LabelClassifier.load(tmp_path / "saved")
    _same(loaded, classifier, blobs(60, dim=dim, seed=1)[0])
    loaded.save(tmp_path / "again")
    for name in (JSON, TENSORS):
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / "saved" / name).read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize(
    "labels", [lambda ids: ids, lambda ids: [label_id == 0 for label_id in ids], lambda ids: [f"ü {i}" for i in ids]]
)
def test_all_kinds_of_labels_are_saved(tmp_path, labels):
    x, ids = blobs(60)
    classifier = LabelClassifier(unseen_rows=True).fit(x, labels(ids))
    classifier.save(tmp_path / "saved")
    loaded = LabelClassifier.load(tmp_path / "saved")
    assert loaded.classes_.dtype == classifier.classes_.dtype
    _same(loaded, classifier, x)


@pytest.mark.slow
def test_all_parts_are_saved(tmp_path):
    x, ids = blobs(90)
    unknown = blobs(20, means_seed=4)[0]
    classifier = LabelClassifier().fit(x, ids, calibration_data=blobs(60, seed=2), unknown_sentences=unknown)
    classifier.partial_fit(blobs(5, means_seed=9)[0], [7] * 5)
    classifier.save(tmp_path / "saved")
    loaded = LabelClassifier.load(tmp_path / "saved")
    _same(loaded, classifier, blobs(60, seed=1)[0])
    more = blobs(10, seed=5)[0], [8] * 10
    _same(loaded.partial_fit(*more), classifier.partial_fit(*more), blobs(60, seed=1)[0])


def test_a_classifier_of_two_rows_is_saved(tmp_path):
    classifier = LabelClassifier(unseen_rows=True).fit([[1.0, 0.2], [0.1, 1.0]], [0, 1])
    classifier.save(tmp_path / "saved")
    loaded = LabelClassifier.load(tmp_path / "saved")
    assert np.array_equal(loaded.predict_proba([[1.0, 0.9]]), classifier.predict_proba([[1.0, 0.9]]))


@pytest.mark.parametrize("labels", ["aab", "aabc", "aabbc", "aaaabbbbcd"])
def test_a_label_with_one_row_does_not_prevent_loading(tmp_path, labels):
    points = np.random.default_rng(0).normal(size=(len(labels), 8))
    fitted = LabelClassifier(None).fit(points, list(labels))
    fitted.save(tmp_path / "saved")
    assert LabelClassifier.load(tmp_path / "saved").predict(points).tolist() == fitted.predict(points).tolist()


@pytest.mark.slow
def test_a_classifier_is_saved_with_its_encoder(tmp_path, encoder, sentences, labels):
    classifier = LabelClassifier(encoder, unseen_rows=True, keep_texts=True).fit(sentences, labels)
    classifier.save(tmp_path / "saved")
    assert load_model(str(tmp_path / "saved")).encode(["the team"]).shape == (1, 32)
    loaded = LabelClassifier.load(tmp_path / "saved", device="cpu")
    _same(loaded, classifier, EVALUATION)
    found = loaded.decision([sentences[3]], explain=True)
    assert found.neighbour_texts[0, 0] == sentences[3]


def test_texts_are_saved_only_if_they_are_kept(tmp_path, encoder, sentences, labels):
    LabelClassifier(encoder, unseen_rows=True).fit(sentences, labels).save(tmp_path / "saved")
    everything = b"".join(path.read_bytes() for path in (tmp_path / "saved").rglob("*") if path.is_file())
    assert sentences[0].encode() not in everything


def test_texts_and_embeddings_are_mixed(tmp_path, encoder, sentences, labels):
    classifier = LabelClassifier(encoder, keep_texts=True)
    classifier.fit(sentences, labels, calibration_data=(encoder.encode(EVALUATION[:2]), ["sport", "sport"]))
    classifier.partial_fit(encoder.encode(EVALUATION[2:3]), ["sport"])
    classifier.save(tmp_path / "saved")
    for found in (classifier, LabelClassifier.load(tmp_path / "saved", encoder)):
        texts = found.decision([EVALUATION[0], EVALUATION[2], sentences[0]], explain=True).neighbour_texts
        assert texts[:, 0].tolist() == [None, None, sentences[0]]


def test_an_existing_folder_is_kept_whole(tmp_path, fitted, bert):
    folder = tmp_path / "saved"
    fitted.save(folder)
    fitted.save(folder)
    with pytest.raises(DataError, match="overwrite"):
        fitted.save(folder, overwrite=False)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("keep")
    with pytest.raises(TercetError):
        fitted.save(tmp_path / "mine", overwrite=False)
    assert (tmp_path / "mine" / "notes.txt").read_text() == "keep"
    model = shutil.copytree(bert, tmp_path / "model")
    with pytest.raises(DataError, match="is the folder of a model; choose another folder"):
        fitted.save(model)


# ---- damaged files


@pytest.fixture
def folder(tmp_path, fitted):
    fitted.save(tmp_path / "saved")
    return tmp_path / "saved"


def _fails(folder, message, **settings):
    with pytest.raises(ModelError, match=message) as caught:
        LabelClassifier.load(folder, **settings)
    assert str(folder.name) in str(caught.value)


def test_missing_files(folder, tmp_path):
    _fails(tmp_path / "none", "does not exist, so there is no classifier; fit one with LabelClassifier")
    (folder / TENSORS).rename(tmp_path / "moved")
    _fails(folder, f"{TENSORS} is missing, so the classifier is not complete")
    (tmp_path / "moved").rename(folder / TENSORS)
    (folder / JSON).unlink()
    _fails(folder, f"has no file {JSON}, so there is no classifier")


def test_a_model_without_a_classifier(bert):
    _fails(bert, f"has no file {JSON}, so there is no classifier")


@pytest.mark.parametrize("length", [0, 5, 100, -1])
def test_truncated_tensors(folder, length):
    content = (folder / TENSORS).read_bytes()
    (folder / TENSORS).write_bytes(content[:length])
    _fails(folder, f"{TENSORS} is not a valid file")


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "3", '"text"', '{"a": 1}', '{"format_version": "1"}'])
def test_damaged_json(folder, text):
    (folder / JSON).write_text(text)
    _fails(folder, JSON)


def test_a_newer_version(folder):
    _change(folder, lambda content: content.update(format_version=99))
    _fails(folder, "has the format version 99, which a newer Tercet wrote; update Tercet")


def _change(folder, change):
    content = json.loads((folder / JSON).read_text())
    change(content)
    (folder / JSON).write_text(json.dumps(content))


def _set(*path, value):
    def change(content):
        for key in path[:-1]:
            content = content[key]
        content[path[-1]] = value

    return change


def _first_member(content):
    return next(iter(content["choice"]["temperatures"]))


CHANGES = [
    lambda content: content["labels"].pop(),
    lambda content: content["labels"].append("delta"),
    _set("labels", value=["alpha", "alpha", "beta"]),
    _set("labels", value=["alpha", 2, "beta"]),
    _set("labels", value=[None, None, None]),
    _set("labels", value=[[1], [2], [3]]),
    _set("labels", value=[0.5, 1.5, 2.5]),
    _set("labels", value="abc"),
    _set("labels", value={}),
    _set("added_labels", value=3),
    _set("texts", value=["one"]),
    _set("texts", value=[3] * 150),
    _set("models", value={}),
    _set("models", value=[]),
    _set("settings", value={"colour": "red"}),
    _set("settings", value=None),
    _set("choice", value={}),
    _set("choice", "temperature", value=0),
    _set("choice", "temperature", value=-1.0),
    _set("choice", "temperature", value=None),
    _set("choice", "temperature", value=float("nan")),
    _set("choice", "temperature", value=1e300),
    _set("choice", "temperature", value=1e-300),
    lambda content: content["choice"]["temperatures"].update({_first_member(content): 1e300}),
    lambda content: content["choice"]["penalties"].update({_first_member(content): 1e300}),
    lambda content: content["choice"]["accuracy"].update({_first_member(content): 7}),
    _set("settings", "batch_size", value=-1),
    _set("settings", "unseen_rows", value=1),
    _set("settings", "random_state", value="one"),
    _set("calibration", "held_out", value="yes"),
    _set("calibration", "basis", value=3),
    _set("max_novelty", value=7),
    _set("test_embedding", value=[100.0, 0.0]),
    _set("choice", "temperatures", value={}),
    _set("choice", "temperatures", value={"class_means": "hot"}),
    _set("choice", "penalties", value={}),
    _set("calibration", value={}),
    _set("calibration", "unseen", value="yes"),
    _set("max_novelty", value="high"),
    lambda content: content.pop("max_novelty"),
    lambda content: content.pop("test_embedding"),
    lambda content: content["choice"]["temperatures"].update({_first_member(content): 0.0}),
    lambda content: content["models"].update(dict.fromkeys(content["models"], "Oracle")),
]


@pytest.mark.parametrize("number", range(len(CHANGES)))
def test_changed_json(folder, number):
    _change(folder, CHANGES[number])
    _fails(folder, "do not belong together, or are damaged")


def _tensor_changes():
    first = "models.logistic_regression"
    return {
        "no gallery": lambda t: [t.pop(name) for name in list(t) if name.startswith("gallery")],
        "empty gallery": lambda t: t.update({name: t[name][:0] for name in list(t) if name.startswith("gallery")}),
        "shorter gallery": lambda t: t.update({"gallery.embeddings": t["gallery.embeddings"][:-1]}),
        "narrower gallery": lambda t: t.update({"gallery.embeddings": t["gallery.embeddings"][:, 1:].contiguous()}),
        "label id": lambda t: t.update({"gallery.label_ids": t["gallery.label_ids"] + 1}),
        "negative id": lambda t: t.update({"gallery.label_ids": t["gallery.label_ids"] - 1}),
        "nan gallery": lambda t: t["gallery.embeddings"][0].fill_(float("nan")),
        "zero gallery": lambda t: t["gallery.embeddings"][0].fill_(0),
        "weights": lambda t: t.update({f"{first}.weights": t[f"{first}.weights"][1:]}),
        "bias": lambda t: t.update({f"{first}.bias": t[f"{first}.bias"][1:]}),
        "nan weights": lambda t: t[f"{first}.weights"].fill_(float("nan")),
        "infinite bias": lambda t: t[f"{first}.bias"].fill_(float("inf")),
        "no weights": lambda t: t.pop(f"{first}.weights"),
        "confidence": lambda t: t.update({"calibration.confidence": t["calibration.confidence"][1:]}),
        "nan confidence": lambda t: t["calibration.confidence"].fill_(float("nan")),
        "correct": lambda t: t.update({"calibration.correct": t["calibration.correct"].double()}),
        "ranked": lambda t: t.update({"familiarity.ranked": t["familiarity.ranked"].flip(0)}),
        "mean": lambda t: t.update({"familiarity.mean": t["familiarity.mean"][:1]}),
        "nan std": lambda t: t["familiarity.std"].fill_(float("nan")),
    }


@pytest.mark.parametrize("name", _tensor_changes())
def test_changed_tensors(folder, name):
    _change(folder, lambda content: content.pop("sha256_of_tensors"))  # as in files of an earlier version
    tensors = load_file(folder / TENSORS)
    _tensor_changes()[name](tensors)
    save_file(tensors, folder / TENSORS)
    _fails(folder, "do not belong together, or are damaged")


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_changed_byte_is_an_error_or_leaves_a_classifier(folder, data):
    content = (folder / JSON).read_bytes()
    at = data.draw(st.integers(0, len(content) - 1))
    changed = content[:at] + bytes([data.draw(st.integers(0, 255))]) + content[at + 1 :]
    (folder / JSON).write_bytes(changed)
    try:
        with contextlib.suppress(ModelError):
            assert np.isfinite(LabelClassifier.load(folder).predict_proba(blobs(5)[0])).all()
    finally:
        (folder / JSON).write_bytes(content)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_changed_bit_of_a_tensor_is_an_error(folder, data):
    content = (folder / TENSORS).read_bytes()
    start = 8 + int.from_bytes(content[:8], "little")  # after the header
    at, bit = data.draw(st.integers(start, len(content) - 1)), data.draw(st.integers(0, 7))
    (folder / TENSORS).write_bytes(content[:at] + bytes([content[at] ^ 1 << bit]) + content[at + 1 :])
    try:
        _fails(folder, "do not belong together, or are damaged")
    finally:
        (folder / TENSORS).write_bytes(content)


def test_files_of_two_classifiers_are_not_mixed(folder, tmp_path, fitted):
    x, ids = blobs(150, seed=3)
    LabelClassifier(unseen_rows=True).fit(x, names_of((ids + 1) % 3)).save(tmp_path / "other")
    shutil.copy(tmp_path / "other" / TENSORS, folder / TENSORS)
    _fails(folder, "do not belong together, or are damaged")


def test_files_of_an_earlier_version_are_read(folder, fitted):
    _change(folder, lambda content: [content.pop(name) for name in ("sha256_of_tensors", "next_row_number")])
    _change(folder, lambda content: content["settings"].pop("unseen_rows"))
    loaded = LabelClassifier.load(folder)
    assert not loaded.unseen_rows
    loaded.unseen_rows = True
    _same(loaded, fitted, blobs(60, seed=1)[0])
    assert loaded.partial_fit(*_named(1, seed=4)).decision(blobs(1, seed=4)[0], explain=True).neighbours[0, 0] == 150


def _named(rows, **settings):
    x, ids = blobs(rows, **settings)
    return x, names_of(ids)


# ---- the encoder


@pytest.mark.slow
def test_another_encoder_is_refused(tmp_path, encoder, sentences, labels):
    LabelClassifier(encoder, unseen_rows=True).fit(sentences, labels).save(tmp_path / "saved")
    other = load_model(str(build_bert(tmp_path / "other", seed=7)), device="cpu")
    _fails(tmp_path / "saved", "was fitted with another encoder: it has other embeddings; fit it again", model=other)
    smaller = load_model(str(tmp_path / "saved"), device="cpu")
    smaller.truncate_dim = 16
    _fails(tmp_path / "saved", "it has dimension 16, expected 32; fit it again", model=smaller)
    assert LabelClassifier.load(tmp_path / "saved", model=encoder).model_ is encoder


def test_the_encoder_is_loaded_by_its_name(tmp_path, encoder, sentences, labels):
    LabelClassifier(encoder, unseen_rows=True).fit(sentences, labels).save(tmp_path / "saved")
    loaded = LabelClassifier.load(tmp_path / "saved", str(tmp_path / "saved"))
    assert loaded.predict(sentences).shape == (16,)


@pytest.mark.slow
def test_a_loaded_classifier_is_fitted_again(tmp_path, encoder, sentences, labels):
    LabelClassifier(encoder, unseen_rows=True).fit(sentences, labels).save(tmp_path / "saved")
    loaded = LabelClassifier.load(tmp_path / "saved", device="cpu")
    assert loaded.fit(sentences[:8], labels[:8]).classes_.tolist() == ["money", "sport"]


def test_a_message_names_the_file(folder):
    (folder / TENSORS).write_bytes(b"nothing")
    with pytest.raises(ModelError, match=re.escape(str(folder / TENSORS))):
        LabelClassifier.load(str(folder))


@pytest.mark.slow
def test_many_kept_texts_are_read_again(fitted, tmp_path):
    classifier = copy.copy(fitted)
    classifier._texts = ["x" * 500_000] * 150  # more than the 64 MiB of another JSON file of a model
    classifier.save(tmp_path / "saved")
    assert LabelClassifier.load(tmp_path / "saved")._texts == classifier._texts
