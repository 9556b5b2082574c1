import copy
import logging
import os
from dataclasses import replace

import numpy as np
import pytest
import torch
from datasets import Dataset

from tercet import LabelClassifier, load_model
from tercet.data.splits.trained_texts import decode_hashes
from tercet.data.tables.text_hashes import hashes_of
from tercet.decisions.calibration_data import why_uncalibrated
from tercet.decisions.seen import seen_fraction
from tercet.decisions.summary import record_of
from tercet.errors import DataError
from tercet.heads import LinearHead, append_head
from tercet.runs import RunSettings, train
from tests.conftest import EVALUATION_TOPICS, TOPICS, build_bert

SETTINGS = RunSettings(max_steps=2, batch_size=8, samples_per_label=2, learning_rate=1e-3)
EVALUATION = [text for texts in EVALUATION_TOPICS.values() for text in texts]
EVALUATION_LABELS = [label for label, texts in EVALUATION_TOPICS.items() for _ in texts]


def _topics(topics):
    rows = [(text, label) for label, texts in topics.items() for text in texts]
    return Dataset.from_dict({"text": [text for text, _ in rows], "label": [label for _, label in rows]})


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The folder of a tiny encoder that `tercet.train` trained on TOPICS."""
    folder = tmp_path_factory.mktemp("trained")
    bert = build_bert(folder / "bert")
    train(
        _topics(TOPICS), folder / "m", model=bert, settings=SETTINGS, eval_data=_topics(EVALUATION_TOPICS), device="cpu"
    )
    return folder / "m"


@pytest.fixture
def model(trained):
    return load_model(str(trained), device="cpu")


def test_a_trained_model_knows_its_texts(model, sentences, tmp_path):
    assert set(decode_hashes(model.training_record.text_hashes)) == set(hashes_of(sentences))
    assert seen_fraction(model, sentences) == 1
    assert seen_fraction(model, [text.upper() + "  " for text in sentences]) == 1
    assert seen_fraction(model, [f"{text}!" for text in sentences]) == 0  # other texts, as the docs say
    assert seen_fraction(model, EVALUATION) == 0
    assert seen_fraction(model, [*sentences[:3], EVALUATION[0]]) == 0.75
    model.save_pretrained(tmp_path / "copy")
    assert seen_fraction(load_model(str(tmp_path / "copy"), device="cpu"), sentences) == 1


@pytest.mark.slow
def test_a_second_training_adds_its_texts(trained, sentences, tmp_path):
    train(
        _topics(EVALUATION_TOPICS), tmp_path / "again", model=trained, settings=SETTINGS, device="cpu", eval_fraction=0
    )
    again = load_model(str(tmp_path / "again"), device="cpu")
    assert seen_fraction(again, sentences) == 1
    assert seen_fraction(again, EVALUATION) == 1
    assert seen_fraction(again, ["another sentence"]) == 0


def test_rows_of_the_training_support_no_promise(model, sentences, labels, caplog):
    with caplog.at_level(logging.WARNING, "tercet"):
        classifier = LabelClassifier(model).fit(sentences, labels)
    assert (
        "the encoder was trained on 100% of the training rows of the classifier, so confidences may be too high"
        in caplog.text
    )
    assert not classifier.calibrated_
    for call in (
        lambda: classifier.promise(min_precision=0.5),
        lambda: classifier.predict(EVALUATION, min_precision=0.5),
    ):
        with pytest.raises(
            DataError, match="min_precision cannot be promised: the encoder was trained on the training rows of"
        ):
            call()
    assert len(classifier.predict(EVALUATION, threshold=0.3)) == 12


def test_unseen_rows_does_not_overrule_the_record(model, sentences, labels, caplog):
    with caplog.at_level(logging.WARNING, "tercet"):
        classifier = LabelClassifier(model, unseen_rows=True).fit(sentences, labels)
    assert "the encoder was trained on 100% of the training rows of the classifier" in caplog.text
    assert not classifier.calibrated_


def test_calibration_data_support_a_promise(model, sentences, labels, caplog, tmp_path):
    pair = EVALUATION, EVALUATION_LABELS
    with caplog.at_level(logging.WARNING, "tercet"):
        classifier = LabelClassifier(model).fit(sentences, labels, calibration_data=pair)
    assert not caplog.records
    assert classifier.calibrated_
    assert classifier.promise(min_precision=0.1).rows == 12
    classifier.save(tmp_path / "saved")
    assert LabelClassifier.load(tmp_path / "saved", device="cpu").promise(min_precision=0.1).rows == 12
    with pytest.raises(DataError, match="the encoder was trained on 100% of calibration_data, so they cannot show"):
        LabelClassifier(model).fit(*pair, calibration_data=(sentences, labels))


def test_single_calibration_rows_of_the_training_are_left_out(model, sentences, labels, caplog):
    data = [*EVALUATION[:6], sentences[0].upper()], [*EVALUATION_LABELS[:6], labels[0]]
    with caplog.at_level(logging.WARNING, "tercet"):
        classifier = LabelClassifier(model).fit(sentences[1:], labels[1:], calibration_data=data)
    assert "1 of 7 rows of calibration_data are left out: a text that the encoder was trained on" in caplog.text
    assert classifier.calibrated_
    assert classifier.num_calibration_rows_ == 6


def test_a_small_fraction_of_seen_rows_is_not_shown_as_0():
    assert "trained on less than 1% of the training rows of the classifier" in why_uncalibrated(0.002)


def test_unseen_rows_are_offered_only_if_nothing_is_known():
    assert why_uncalibrated(None).endswith("or unseen_rows=True if it was trained on none of the rows")
    assert why_uncalibrated(0.5).endswith("pass calibration_data, labelled rows that it was not trained on")


def test_other_texts_support_a_promise(model):
    classifier = LabelClassifier(model).fit(EVALUATION, EVALUATION_LABELS)
    assert classifier.calibrated_
    assert classifier.promise(min_precision=0.1).rows == 12


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mine", "sentence-transformers/mine"])
def test_of_another_encoder_nothing_is_known(tmp_path, monkeypatch, sentences, labels, caplog, name):
    build_bert(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    for path in (tmp_path / name, f".{os.sep}{name}", name):
        model = load_model(str(path), device="cpu")
        assert seen_fraction(model, sentences) is None
    classifier = LabelClassifier(model).fit(sentences, labels)
    assert "whether the encoder was trained on the training rows of the classifier cannot be known" in caplog.text
    with pytest.raises(DataError, match="min_precision cannot be promised"):
        classifier.promise(min_precision=0.5)
    assert LabelClassifier(model, unseen_rows=True).fit(sentences, labels).promise(min_precision=0.5).rows == 16


def test_after_a_training_loop_of_ones_own_nothing_is_known(model, sentences, tmp_path):
    assert seen_fraction(model, EVALUATION) == 0
    with torch.no_grad():
        next(model.parameters()).add_(0.01)
    assert seen_fraction(model, EVALUATION) is None
    model.save_pretrained(tmp_path / "m")
    assert seen_fraction(load_model(str(tmp_path / "m"), device="cpu"), EVALUATION) is None


@pytest.mark.slow
def test_a_published_encoder_is_known_until_a_training_loop_changes_it():
    model = load_model("bundled", device="cpu")
    assert seen_fraction(model, EVALUATION) == 0
    assert seen_fraction(copy.deepcopy(model).bfloat16(), EVALUATION) == 0
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-5)
    model(model.tokenize(EVALUATION))["sentence_embedding"].square().mean().backward()
    optimizer.step()
    assert seen_fraction(model, EVALUATION) is None
    assert not LabelClassifier(model).fit(EVALUATION, EVALUATION_LABELS).calibrated_


def test_an_old_record_knows_nothing(model, sentences):
    model.training_record = replace(model.training_record, text_hashes=None)
    assert seen_fraction(model, sentences) is None
    assert seen_fraction(model, EVALUATION) is None


def test_of_embeddings_nothing_is_known():
    rows = np.eye(8, dtype=np.float32)
    classifier = LabelClassifier().fit(rows, [0, 1] * 4)
    assert not classifier.calibrated_
    with pytest.raises(DataError, match="min_precision cannot be promised"):
        classifier.promise(min_precision=0.5)


@pytest.mark.slow
def test_the_bundled_encoder_was_trained_on_other_texts(sentences, labels):
    classifier = LabelClassifier("bundled", device="cpu").fit(sentences, labels)
    assert classifier.calibrated_
    assert classifier.promise(min_precision=0.5).describe()
    assert classifier.predict(["the goalkeeper saved the match"]).tolist() == ["sport"]


@pytest.mark.parametrize(("trained_on", "remark"), [(True, ", so it is too high"), (False, " (too high if")])
def test_an_accuracy_on_training_rows_of_the_encoder_is_said_to_be_too_high(model, trained_on, remark, caplog):
    texts = [text for group in TOPICS.values() for text in group]
    if not trained_on:
        model.training_record = replace(model.training_record, text_hashes=None)  # Now nothing is known.
    classifier = LabelClassifier(model).fit(texts, [label for label, group in TOPICS.items() for _ in group])
    line = record_of(classifier).describe()[1]
    where = "rows that the encoder was trained on" if trained_on else "the training rows"
    assert f" on 16 out-of-fold predictions for {where}{remark}" in line


@pytest.mark.slow
def test_of_an_appended_head_nothing_is_known(model, sentences):
    head = LinearHead(torch.eye(model.get_sentence_embedding_dimension()))
    append_head(model, head)
    assert seen_fraction(model, EVALUATION) is None
    bundled = load_model("bundled", device="cpu")
    assert seen_fraction(bundled, sentences) == 0
    append_head(bundled, LinearHead(torch.eye(384)[:64]))
    assert seen_fraction(bundled, sentences) is None
