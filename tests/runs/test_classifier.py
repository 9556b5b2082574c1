"""The classifier of a training run: calibrated on rows that the encoder has not seen, saved with the model."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from datasets import Dataset

from tercet import SentenceTransformer
from tercet.decisions import LabelClassifier
from tercet.decisions.seen import seen_fraction
from tercet.decisions.spaces import embed_texts, spaces
from tercet.heads import LinearHead, append_head
from tercet.records import RunRecord
from tercet.runs import RunSettings, train
from tercet.runs.classifier import RememberingEncoder
from tests.runs.interruption import interrupted_at

SETTINGS = RunSettings(train="head", max_steps=4, batch_size=8, samples_per_label=2, learning_rate=1e-3)
FILES = ("label_classifier.json", "label_classifier.safetensors")


@pytest.fixture
def many(tmp_path):
    """A file with forty sentences of each of four labels, of which one has no text."""
    words = ["match", "soup", "bank", "rain"]
    rows = [f"the {word} number {number} {'today' * (number % 3)},{word}\n" for number in range(40) for word in words]
    rows[7] = ",rain\n"
    path = tmp_path / "many.csv"
    path.write_text("text,label\n" + "".join(rows))
    return path


def _train(many, output, model, settings=SETTINGS, **options):
    return train(many, output, model=model, device="cpu", settings=settings, drop_missing=True, **options)


def _texts(many):
    return [line.split(",")[0] for line in many.read_text().splitlines()[1:]]


def test_rows_that_are_added_after_a_training_are_numbered_after_its_file(bert, many, tmp_path):
    with many.open("a") as file:
        file.write(",rain\n" * 3)  # the last rows have no text
    _train(many, tmp_path / "m", bert)
    loaded = LabelClassifier.load(tmp_path / "m", device="cpu")
    loaded.partial_fit(["a new label", "one more row of it"], ["new", "new"])
    found = loaded.decision(["one more row of it"], explain=True)
    assert (found.neighbours[0, 0], found.neighbour_labels[0, 0]) == (160 + 3 + 1, "new")


def test_held_out_rows_calibrate_the_classifier_and_join_the_training_rows(bert, many, tmp_path):
    run = _train(many, tmp_path / "m", bert, keep_texts=True)
    record = run.record.classifier
    assert record.calibrated
    assert record.calibration_rows == run.record.evaluation["against_reference"].rows.measured == 32
    assert (record.rows, record.labels, record.has_texts) == (159, 4, True)
    assert [promise["min_precision"] for promise in record.promises] == [0.9, 0.95, 0.98]
    assert "classifier" in run.record.run["parts"]
    saved = json.loads((tmp_path / "m/metrics.json").read_text())
    assert RunRecord.from_dict(saved).classifier == record
    loaded = LabelClassifier.load(tmp_path / "m", device="cpu")
    texts = ["the match number 50", "soup", "zz qq"]
    np.testing.assert_allclose(loaded.predict_proba(texts), run.classifier.predict_proba(texts), atol=1e-3)
    assert loaded.classes_.tolist() == ["bank", "match", "rain", "soup"]
    # A training row is named by its number in the file.
    in_file = _texts(many)
    decisions = loaded.decision(in_file[:3] + in_file[-3:], explain=True)
    for numbers, neighbours in zip(decisions.neighbours, decisions.neighbour_texts, strict=True):
        assert [in_file[number] for number in numbers] == list(neighbours)
    held_out = run.record.data["eval"]["held_out_rows"]
    assert set(run.classifier._numbers.tolist()) == set(range(160)) - {7}
    assert sorted(run.classifier._numbers[-32:].tolist()) == sorted(held_out)


def test_without_held_out_rows_the_validation_rows_calibrate(bert, many, tmp_path):
    settings = RunSettings(train="auto", epochs=1, batch_size=8, samples_per_label=2)
    run = _train(many, tmp_path / "m", bert, settings, eval_fraction=0)
    validation = run.record.choices["validation"]["rows"]
    assert (run.record.classifier.calibrated, run.record.classifier.calibration_rows) == (True, len(validation))
    assert sorted(run.classifier._numbers[-len(validation) :].tolist()) == sorted(validation)


def test_without_any_unseen_row_no_precision_is_promised(bert, many, tmp_path, caplog):
    settings = replace(SETTINGS, train="encoder")
    with caplog.at_level("INFO", logger="tercet"):
        run = _train(many, tmp_path / "m", bert, settings, eval_fraction=0)
    assert (run.record.classifier.calibrated, run.record.classifier.promises) == (False, [])
    assert "it promises no precision; hold rows out with eval_fraction" in caplog.text
    assert not LabelClassifier.load(tmp_path / "m", device="cpu").calibrated_


def test_rows_of_an_evaluation_file_do_not_calibrate(bert, many, eval_file, tmp_path):
    eval_file.write_text("text,label\nthe match today,match\nthe soup today,soup\na match,match\na soup,soup\n")
    run = _train(many, tmp_path / "m", bert, eval_data=eval_file)
    assert run.record.classifier.rows == 159
    assert not run.record.classifier.calibrated


def test_no_classifier_is_saved_if_it_is_not_wanted_or_there_are_no_labels(bert, many, tmp_path):
    _train(many, tmp_path / "m", bert)
    assert all((tmp_path / "m" / name).exists() for name in FILES)
    run = _train(many, tmp_path / "m", bert, classifier=False, overwrite=True)
    assert run.classifier is run.record.classifier is None
    assert not any((tmp_path / "m" / name).exists() for name in FILES)  # that of the earlier model has gone
    rows = [["the match", "a match", "the soup"], ["the soup", "a soup", "the match"]] * 4
    triplets = Dataset.from_dict(dict(zip(("anchor", "positive", "negative"), zip(*rows, strict=True), strict=True)))
    run = train(triplets, tmp_path / "t", model=bert, device="cpu", settings=RunSettings(loss="triplet", max_steps=1))
    assert run.record.classifier is None
    assert not any((tmp_path / "t" / name).exists() for name in FILES)


def test_the_sentences_are_kept_only_if_asked(bert, many, tmp_path):
    run = _train(many, tmp_path / "m", bert)
    assert not run.record.classifier.has_texts
    assert "the match number" not in (tmp_path / "m" / FILES[0]).read_text()


def test_a_model_is_saved_even_if_its_classifier_cannot_be_fitted(bert, many, tmp_path, monkeypatch):
    def fail(*arguments, **options):
        raise RuntimeError("no memory")

    monkeypatch.setattr(LabelClassifier, "fit_embedded", fail)
    run = _train(many, tmp_path / "m", bert)
    (warning,) = [warning for warning in run.record.warnings if warning["kind"] == "no-classifier"]
    assert warning["message"].endswith("which cannot be fitted: RuntimeError: no memory")
    assert SentenceTransformer(tmp_path / "m", device="cpu").label_names == ["bank", "match", "rain", "soup"]
    assert not (tmp_path / "m" / FILES[0]).exists()


def test_a_resumed_run_has_the_same_classifier(bert, many, tmp_path, monkeypatch):
    settings = RunSettings(train="encoder", max_steps=6, save_every=2, batch_size=8, samples_per_label=2)
    whole = _train(many, tmp_path / "whole", bert, settings)
    with interrupted_at(3, monkeypatch):
        _train(many, tmp_path / "m", bert, settings)
    resumed = _train(many, tmp_path / "m", bert, settings, resume=True)
    assert resumed.record.classifier == whole.record.classifier
    for name in FILES:
        assert (tmp_path / "m" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


@pytest.mark.parametrize("has_head", [False, True])
def test_the_encoder_remembers_the_embeddings_before_and_after_the_head(has_head, bert, sentences):
    model = SentenceTransformer(bert, device="cpu")
    if has_head:
        append_head(model, LinearHead(torch.randn(8, 32, generator=torch.Generator().manual_seed(0))))
    encoder = RememberingEncoder(model)
    found = encoder.encode(sentences, convert_to_tensor=True)
    torch.testing.assert_close(found, model.encode(sentences, convert_to_tensor=True))
    (call,) = encoder.calls
    assert torch.equal(call[0], found)
    expected = embed_texts(model, sentences)
    for (name, values), (other, wanted) in zip(spaces(*call).items(), expected.items(), strict=True):
        assert name == other
        torch.testing.assert_close(values, wanted, atol=1e-3, rtol=0)


def test_rows_of_an_earlier_run_do_not_calibrate(bert, many, tmp_path):
    first = _train(many, tmp_path / "first", bert)
    again = _train(many, tmp_path / "again", tmp_path / "first", replace(SETTINGS, seed=1), keep_texts=True)
    rows = again.classifier._fitted.calibration.rows.tolist()
    assert 0 < len(rows) < 32
    texts = [again.classifier._texts[row] for row in rows]
    assert seen_fraction(first.model, texts) == 0
    assert seen_fraction(again.model, texts) == 0
