"""The two stages of a training: the head, then the encoder with the head; what `auto` chooses; time limits."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from datasets import Dataset
from safetensors.torch import load_file

from tercet import LabelClassifier, SentenceTransformer
from tercet.errors import DataError, EmbeddingError, ModelError
from tercet.heads import HeadChoice
from tercet.runs import RunSettings, evaluate, run_stages, train
from tercet.runs.margin import NUM_MEASURED
from tercet.runs.recipe import choose_schedule
from tercet.runs.stages import plan_stages, use_margin_after_head
from tercet.trainer.checkpoints.best_state import KeepBest
from tercet.trainer.checkpoints.whole_checkpoints import latest_checkpoint
from tests.runs.interruption import interrupted_at

SETTINGS = RunSettings(train="both", max_steps=4, batch_size=8, samples_per_label=2, learning_rate=1e-3)


@pytest.fixture
def many():
    """Twenty sentences of each of four labels. Each sentence contains its label."""
    words = ["match", "soup", "bank", "rain"]
    rows = [(f"the {word} number {number} {'today' * (number % 3)}", word) for word in words for number in range(20)]
    return Dataset.from_dict({"sentence": [text for text, _ in rows], "label": [label for _, label in rows]})


def _weights(path):
    return dict(load_file(path / "model.safetensors"))


def test_a_head_alone_leaves_the_encoder_as_it_is(bert, many, tmp_path):
    run = train(many, tmp_path / "m", model=bert, device="cpu", settings=replace(SETTINGS, train="head"))
    start, saved = SentenceTransformer(bert, device="cpu"), SentenceTransformer(tmp_path / "m", device="cpu")
    assert [type(module).__name__ for module in saved][-2:] == ["Dense", "Normalize"]
    before, after = start[0].state_dict(), saved[0].state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert run.record.choices["trained_encoder"] is False
    assert run.record.choices["head"]["steps"] > 0
    assert run.record.settings["steps"] == 0
    assert run.record.after["map@r"] > run.record.before["map@r"]
    assert "- Trained: `a linear head`" in (tmp_path / "m/README.md").read_text()
    used = {name: run.record.settings[name] for name in ("margin", "epochs", "learning_rate")}
    assert used == {"margin": None, "epochs": None, "learning_rate": None}
    assert run.record.trained_with["margin"] == run.record.choices["head"]["margin"] == 0.2
    assert saved.label_names == ["bank", "match", "rain", "soup"]


@pytest.mark.parametrize("has_head", [True, False])
def test_the_model_card_says_what_is_in_the_weights(has_head, bert, many, tmp_path, monkeypatch):
    """Validation rows may choose the state before the training of the encoder, or a later one."""
    add_head, no_head = run_stages.add_head, HeadChoice(head=None, settings=None, scores=[], reason="no head")

    def add(*args):
        *others, stages = args
        return add_head(*others, replace(stages, chooses=False)) if has_head else no_head

    monkeypatch.setattr(run_stages, "add_head", add)
    settings = RunSettings(epochs=2, batch_size=8, samples_per_label=2)
    with monkeypatch.context() as patched:
        patched.setattr(KeepBest, "best_step", property(lambda keep: 0))
        run = train(many, tmp_path / "first", model=bert, device="cpu", settings=settings)
    card = (tmp_path / "first/README.md").read_text()
    trained = "a linear head" if has_head else "nothing: the weights are those before the training"
    assert f"- Trained: `{trained}`" in card
    assert ("trained with Tercet" in card, "- Loss: " in card) == (has_head, has_head)
    assert "- Epochs: " not in card
    assert run.record.trained_with["loss"] == ("batch-semi-hard" if has_head else None)
    with monkeypatch.context() as patched:
        patched.setattr(KeepBest, "best_step", property(lambda keep: max(keep.scores)))
        run = train(many, tmp_path / "last", model=bert, device="cpu", settings=settings)
    card = (tmp_path / "last/README.md").read_text()
    assert f"- Step of the saved weights: `{run.record.settings['steps']}`" in card
    assert ("- Linear head trained first: `dropout " in card) is has_head
    assert "- Trained: " not in card
    assert run.record.trained_with["margin"] == run.record.settings["margin"]


@pytest.mark.parametrize("has_eval_data", [True, False])
def test_a_head_alone_encodes_each_sentence_once(has_eval_data, bert, many, tmp_path, monkeypatch):
    def counted(self, sentences, *args, **options):
        encoded.extend(sentences)
        return encode(self, sentences, *args, **options)

    encode, encoded = SentenceTransformer.encode, []
    held_out = many.select(range(0, 80, 4))
    options = {"eval_data": held_out} if has_eval_data else {"eval_fraction": 0}
    data = many.select([row for row in range(80) if row % 4])
    with monkeypatch.context() as patched:
        patched.setattr(SentenceTransformer, "encode", counted)
        settings = replace(SETTINGS, train="head")
        run = train(data, tmp_path / "m", model=bert, device="cpu", settings=settings, **options)
    encoded = Counter(encoded)
    assert {encoded[text] for text in held_out["sentence"]} == {int(has_eval_data)}
    # The first sentences are encoded before, to choose the margin.
    assert {encoded[text] - (row < NUM_MEASURED) for row, text in enumerate(data["sentence"])} == {1}
    loaded = LabelClassifier.load(tmp_path / "m", device="cpu")
    texts = held_out["sentence"][:]
    np.testing.assert_allclose(loaded.predict_proba(texts), run.classifier.predict_proba(texts), atol=1e-3)
    if has_eval_data:
        again = evaluate(tmp_path / "m", held_out, reference=data, device="cpu").metrics
        assert again == pytest.approx(run.record.after, abs=1e-6)


def test_both_train_the_encoder_from_the_head(bert, many, tmp_path):
    run = train(many, tmp_path / "m", model=bert, device="cpu", settings=SETTINGS)
    saved = SentenceTransformer(tmp_path / "m", device="cpu")
    start = SentenceTransformer(bert, device="cpu")
    assert any(not torch.equal(a, b) for a, b in zip(start[0].parameters(), saved[0].parameters(), strict=True))
    assert torch.allclose(saved.encode("the match", convert_to_tensor=True).norm(), torch.tensor(1.0))
    assert run.record.choices["trained_encoder"] is True
    again = train(many, tmp_path / "again", model=bert, device="cpu", settings=SETTINGS)
    assert again.record.after == run.record.after


@pytest.mark.parametrize("part", ["head", "auto"])
def test_a_dimension_above_that_of_the_encoder_is_refused_before_the_work(part, bert, many, tmp_path, monkeypatch):
    monkeypatch.setattr(SentenceTransformer, "encode", lambda *args, **options: pytest.fail("too early"))
    with pytest.raises(EmbeddingError, match="dimension must be at most 32, the dimension of the embeddings, got 999"):
        train(many, tmp_path / "m", model=bert, device="cpu", settings=RunSettings(train=part, dimension=999))


def test_texts_cannot_be_kept_without_a_classifier(bert, many, tmp_path, caplog):
    with pytest.raises(DataError, match="keep_texts needs the classifier"):
        train(many, tmp_path / "m", model=bert, device="cpu", classifier=False, keep_texts=True)
    several = many.map(lambda row: {"label": [row["label"], f"{row['label']} too"]})
    train(several, tmp_path / "m", model=bert, device="cpu", settings=SETTINGS, keep_texts=True)
    assert "keep_texts=True is not used, because no classifier is fitted" in caplog.text


def test_a_smaller_dimension(bert, many, tmp_path):
    settings = replace(SETTINGS, dimension=5, cross_batch_memory=16)
    run = train(many, tmp_path / "m", model=bert, device="cpu", settings=settings, keep_embeddings=True)
    assert [part.shape[1] for part in run.embeddings] == [32, 5]
    assert SentenceTransformer(tmp_path / "m", device="cpu").get_sentence_embedding_dimension() == 5


def test_auto_holds_out_validation_rows_and_keeps_the_best_state(bert, many, tmp_path):
    settings = RunSettings(train="auto", epochs=3, batch_size=8, samples_per_label=2)
    run = train(many, tmp_path / "m", model=bert, device="cpu", settings=settings)
    choices = run.record.choices
    validation, by_step = choices["validation"], choices["validation"]["map@r_by_step"]
    assert len(set(validation["rows"])) == len(validation["rows"]) == 8  # two of each label
    assert not set(validation["rows"]) & set(run.record.data["eval"]["held_out_rows"])
    assert {many[row]["label"] for row in validation["rows"]} == {"match", "soup", "bank", "rain"}
    assert next(iter(by_step)) == "0"
    assert by_step[str(validation["best_step"])] == max(by_step.values())
    saved = SentenceTransformer(tmp_path / "m", device="cpu")
    probe = saved.encode(many["sentence"][:4], convert_to_tensor=True)
    assert torch.allclose(run.model.encode(many["sentence"][:4], convert_to_tensor=True), probe, atol=1e-6)
    assert not (tmp_path / "m.checkpoints").exists()


def test_auto_with_few_rows_has_no_validation_rows_and_a_gentle_rate(bert, sentences, labels, tmp_path):
    data = Dataset.from_dict({"sentence": sentences, "label": labels})
    settings = RunSettings(train="auto", max_steps=2, batch_size=8, samples_per_label=2)
    run = train(data, tmp_path / "m", model=bert, device="cpu", settings=settings, eval_fraction=0.5)
    assert "validation" not in run.record.choices
    assert run.record.settings["learning_rate"] == 1e-4  # half of the highest rate
    assert plan_stages(settings, data).few_rows


def _repeated(sentences, labels, times):
    """Return different sentences, `times` as many of each label."""
    texts = [f"{text} {number}" for number in range(times) for text in sentences]
    return Dataset.from_dict({"sentence": texts, "label": labels * times})


def test_what_a_head_needs_with_few_rows_is_logged(bert, sentences, labels, tmp_path, caplog):
    data = _repeated(sentences, labels, 2)
    settings = RunSettings(train="auto", batch_size=8, samples_per_label=2)
    with caplog.at_level("INFO", logger="tercet"):
        train(data, tmp_path / "m", model=bert, device="cpu", settings=settings, eval_fraction=0)
    assert (
        "a head helps the encoder only if it finds about as many labels in cross-validation as a logistic regression "
        "on the untouched encoder" in caplog.text
    )


def test_with_less_than_eight_rows_a_label_auto_trains_the_encoder_alone(bert, sentences, labels, tmp_path, caplog):
    few = Dataset.from_dict({"sentence": sentences, "label": labels})
    for part in ("auto", "encoder"):
        settings = RunSettings(train=part, batch_size=8, samples_per_label=2)
        with caplog.at_level("INFO", logger="tercet"):
            run = train(few, tmp_path / part, model=bert, device="cpu", settings=settings, eval_fraction=0.25)
        reason = run.record.choices.get("reason", "")
        assert reason.startswith("no head, because half of the labels have fewer than 8 sentences") == (part == "auto")
        assert caplog.text.count("no head, because half of the labels have fewer than 8 sentences") == 1
    for name, weight in _weights(tmp_path / "auto").items():
        assert torch.equal(weight, _weights(tmp_path / "encoder")[name])


@pytest.mark.parametrize(
    ("times", "changes", "tried"),
    [
        (1, {}, False),
        (2, {}, True),
        (1, {"train": "both"}, True),
        (1, {"epochs": 2}, True),
        (1, {"time_limit": 60}, True),
        (1, {"dimension": 8}, True),
        (1, {"multi_label": ";"}, True),
    ],
)
def test_when_auto_tries_a_head(times, changes, tried, sentences, labels):
    stages = plan_stages(RunSettings(**{"train": "auto", **changes}), _repeated(sentences, labels, times))
    assert stages.head == tried
    assert (stages.no_head_because is None) == tried


@pytest.mark.parametrize(
    ("changes", "must"),
    [
        ({}, True),
        ({"epochs": 20}, True),  # as a repeated run has it
        ({"epochs": 2}, False),
        ({"max_steps": 5}, False),
        ({"time_limit": 60}, False),
        ({"train": "both"}, False),
        ({"train": "head"}, False),
        ({"multi_label": ";"}, False),  # A head has no accuracy.
    ],
)
def test_with_few_rows_a_head_before_the_whole_training_must_beat_a_regression(changes, must, sentences, labels):
    few, many = (_repeated(sentences, labels, times) for times in (2, 4))
    settings = RunSettings(**{"train": "auto", **changes})
    assert plan_stages(settings, few).beat_regression == must
    assert not plan_stages(settings, many).beat_regression


def test_few_rows_after_a_head_get_a_larger_margin(bert, sentences, labels, tmp_path):
    def trained(name, **changes):
        settings = RunSettings(**{"train": "both", "batch_size": 8, "samples_per_label": 2, **changes})
        return train(few, tmp_path / name, model=bert, device="cpu", settings=settings).record.settings["margin"]

    few = Dataset.from_dict({"sentence": sentences, "label": labels})
    assert trained("chosen") == 0.5
    assert trained("larger", margin=0.5) == 0.5
    assert trained("smaller", margin=0.3) == 0.3
    weights = {name: _weights(tmp_path / name)["embeddings.word_embeddings.weight"] for name in
               ("chosen", "larger", "smaller")}  # fmt: skip
    assert torch.equal(weights["chosen"], weights["larger"])
    assert not torch.equal(weights["chosen"], weights["smaller"])


@pytest.mark.parametrize(
    "changes",
    [{"epochs": 1}, {"max_steps": 5}, {"loss": "batch-hard"}, {"distance": "cosine"}, {"multi_label": ";"}],
)
def test_the_larger_margin_is_for_the_whole_training_by_the_default_loss(changes, sentences, labels):
    few = Dataset.from_dict({"sentence": sentences, "label": labels})
    settings = RunSettings(**{"train": "both", "distance": "euclidean", "margin": 0.3, **changes})
    stages, no_trainer = plan_stages(settings, few), None
    assert use_margin_after_head(no_trainer, settings, stages, margin_chosen=True) is settings


def test_triplets_have_no_head(sentences):
    rows = Dataset.from_dict({"anchor": sentences[:2], "positive": sentences[2:4], "negative": sentences[4:6]})
    assert not plan_stages(RunSettings(loss="triplet", train="auto"), rows).head
    for wrong in ({"train": "both"}, {"train": "auto", "dimension": 8}):
        with pytest.raises(DataError, match="a head is trained on labelled sentences, not on triplets"):
            plan_stages(RunSettings(loss="triplet", **wrong), rows)


def test_the_schedule_is_gentle_for_wide_encoders_and_few_rows():
    assert choose_schedule(RunSettings(), few_rows=False, width=384).learning_rate == 1e-4
    assert choose_schedule(RunSettings(), few_rows=True, width=768).learning_rate == 2.5e-5
    assert choose_schedule(RunSettings(time_limit=60), few_rows=False, width=384).epochs == 10
    given = choose_schedule(RunSettings(epochs=2, learning_rate=1e-5), few_rows=True, width=384)
    assert (given.epochs, given.learning_rate) == (2, 1e-5)


@pytest.mark.slow
def test_a_time_limit_sets_the_number_of_steps_and_a_rerun_repeats_it(bert, many, tmp_path):
    settings = RunSettings(train="encoder", time_limit=8, epochs=1000, batch_size=8, samples_per_label=2)
    run = train(many, tmp_path / "m", model=bert, device="cpu", settings=settings)
    steps = run.record.settings["steps"]
    assert 10 <= steps < 8000
    assert run.record.run["seconds"] < 60  # all 1,000 epochs take minutes; the machine of the test may be busy
    recorded = {"max_steps": run.record.settings["max_steps"], "time_limit": run.record.settings["time_limit"]}
    assert recorded == {"max_steps": steps, "time_limit": None}
    again = train(many, tmp_path / "again", model=bert, device="cpu", settings=replace(settings, **recorded))
    assert again.record.after == run.record.after


def test_a_time_limit_that_is_too_short(bert, many, tmp_path):
    settings = RunSettings(train="encoder", time_limit=0.01, epochs=100, batch_size=8, samples_per_label=2)
    with pytest.raises(DataError, match=r"time_limit=0.01 is too short to train the encoder; at least \d+ s"):
        train(many, tmp_path / "m", model=bert, device="cpu", settings=settings)
    assert not (tmp_path / "m").exists()
    run = train(many, tmp_path / "m", model=bert, device="cpu", settings=replace(settings, train="auto"))
    assert run.record.choices["trained_encoder"] is False
    with pytest.raises(DataError, match="time_limit and max_steps exclude each other"):
        replace(settings, max_steps=3).check()


@pytest.mark.parametrize("part", ["auto", "both"])
def test_an_interrupted_run_is_resumed_to_the_same_model(part, bert, many, tmp_path, monkeypatch):
    settings = RunSettings(train=part, epochs=3, batch_size=8, samples_per_label=2, save_every=4)
    options = {"model": bert, "device": "cpu", "settings": settings, "show_progress_bar": False}
    expected = train(many, tmp_path / "whole", **options)
    with interrupted_at(11, monkeypatch):
        train(many, tmp_path / "m", **options)
    assert latest_checkpoint(tmp_path / "m.checkpoints").name == "checkpoint-11"
    resumed = train(many, tmp_path / "m", **options, resume=True)
    assert resumed.record.run["resumed_from"] == "checkpoint-11"
    assert "resumed_from" not in expected.record.run
    one, two = _weights(tmp_path / "whole"), _weights(tmp_path / "m")
    assert one.keys() == two.keys()
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert resumed.record.after == expected.record.after
    assert resumed.record.choices.get("validation") == expected.record.choices.get("validation")


def test_a_run_whose_model_could_not_be_saved_is_resumed_to_the_same_model(bert, many, tmp_path, monkeypatch):
    """The best state must stay on disk until the model is saved, because it need not be the last one."""
    settings = RunSettings(train="auto", epochs=3, batch_size=8, samples_per_label=2)
    options = {"model": bert, "device": "cpu", "settings": settings, "show_progress_bar": False}
    expected = train(many, tmp_path / "whole", **options)
    assert expected.record.choices["validation"]["best_step"] < 21
    save = SentenceTransformer.save_pretrained

    def save_if_there_is_space(self, path, **more):
        if Path(path) == tmp_path / "m":
            raise ModelError("cannot write the model: no space left on device")
        save(self, path, **more)

    with monkeypatch.context() as patched:
        patched.setattr(SentenceTransformer, "save_pretrained", save_if_there_is_space)
        with pytest.raises(ModelError, match="the run is complete in .*: add resume=True to repeat only the saving"):
            train(many, tmp_path / "m", **options)
    resumed = train(many, tmp_path / "m", **options, resume=True)
    one, two = _weights(tmp_path / "whole"), _weights(tmp_path / "m")
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert resumed.record.choices.get("validation") == expected.record.choices.get("validation")
    assert not (tmp_path / "m.checkpoints").exists()


def test_a_resumed_run_keeps_the_margin_after_the_head(bert, sentences, labels, tmp_path, monkeypatch):
    data = _repeated(sentences, labels, 2)
    settings = RunSettings(train="both", batch_size=8, samples_per_label=2)
    options = {"model": bert, "device": "cpu", "eval_fraction": 0, "show_progress_bar": False}
    train(data, tmp_path / "whole", settings=settings, **options)
    with interrupted_at(11, monkeypatch):
        train(data, tmp_path / "m", settings=settings, **options)
    with pytest.raises(DataError, match="margin was None, now it is 0.3"):
        train(data, tmp_path / "m", settings=replace(settings, margin=0.3), resume=True, **options)
    resumed = train(data, tmp_path / "m", settings=settings, resume=True, **options)
    assert resumed.record.settings["margin"] == 0.5
    one, two = _weights(tmp_path / "whole"), _weights(tmp_path / "m")
    assert all(torch.equal(one[name], two[name]) for name in one)
