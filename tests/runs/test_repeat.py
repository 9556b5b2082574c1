"""Repeat a run from its record: the arguments, and the checks of data, model and environment."""

import json
import shutil
from dataclasses import replace

import pytest
from datasets import Dataset

from tercet.errors import DataError
from tercet.records import RunRecord
from tercet.runs import RunSettings, repeat_arguments, train, train_vectors
from tercet.runs.repeat import changed_arguments, skips_encoder
from tests.conftest import build_bert

SETTINGS = RunSettings(max_steps=2, batch_size=8, samples_per_label=2, learning_rate=1e-3, max_seq_length=16)


@pytest.fixture
def first(bert, csv_file, tmp_path):
    """A run with its own model folder."""
    shutil.copytree(bert, tmp_path / "base")
    return train(
        csv_file, tmp_path / "one", model=tmp_path / "base", settings=SETTINGS, device="cpu", text_column="text"
    )


def test_a_repeated_run_is_equal(first, tmp_path):
    arguments = repeat_arguments(tmp_path / "one")
    assert arguments["text_column"] == "text"
    assert arguments["device"] == "cpu"
    assert arguments["settings"].max_seq_length == 16
    second = train(**arguments, output=tmp_path / "two")
    assert second.record.evaluation == first.record.evaluation
    assert second.record.settings == first.record.settings
    for name, value in first.model.state_dict().items():
        assert value.equal(second.model.state_dict()[name]), name


def test_what_reaches_other_machines_or_runs_code_is_not_repeated(first):
    first.record.settings |= {"report_to": "wandb", "trust_remote_code": True}
    arguments = repeat_arguments(first.record)
    assert arguments["settings"].report_to is None
    assert "trust_remote_code" not in arguments


def test_a_time_limit_is_repeated_as_the_steps_that_it_allowed(first):
    first.record.settings |= {"time_limit": 600.0, "max_steps": -1, "steps": 123}
    settings = repeat_arguments(first.record)["settings"]
    assert (settings.time_limit, settings.max_steps) == (None, 123)


def test_a_time_limit_that_an_earlier_version_did_not_use_is_not_repeated(first):
    first.record.settings |= {"time_limit": 600.0, "max_steps": -1, "steps": None, "train": "head"}
    settings = repeat_arguments(first.record)["settings"]
    settings.check()
    assert (settings.time_limit, settings.train) == (None, "head")


@pytest.fixture
def many(tmp_path):
    """A file with twenty sentences of each of four labels, enough for validation rows."""
    words = ["match", "soup", "bank", "rain"]
    rows = [{"text": f"the {word} number {number}", "label": word} for word in words for number in range(20)]
    (tmp_path / "many.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return tmp_path / "many.jsonl"


def test_a_run_that_kept_the_state_before_the_training_is_repeated(bert, many, tmp_path):
    settings = replace(SETTINGS, learning_rate=1e-12)  # so that no state is better than that before the training
    one = train(many, tmp_path / "one", model=bert, settings=settings, device="cpu")
    assert one.record.choices["validation"]["best_step"] == one.record.settings["steps"] == 0
    two = train(**repeat_arguments(tmp_path / "one"), output=tmp_path / "two")
    assert two.record.settings == one.record.settings
    assert two.record.choices == one.record.choices
    assert two.record.evaluation == one.record.evaluation


def test_a_run_without_time_for_the_encoder_is_repeated(bert, many, tmp_path, caplog):
    """The repeated run leaves out the validation rows, too, and may choose no head."""
    settings = RunSettings(time_limit=0.01, batch_size=8, samples_per_label=2)
    one = train(many, tmp_path / "one", model=bert, settings=settings, device="cpu")
    arguments = repeat_arguments(tmp_path / "one")
    caplog.set_level("INFO", "tercet")
    note = "the encoder is not trained, because the run of the record had no time for it"
    assert note not in caplog.messages
    two = train(**arguments, output=tmp_path / "two")
    assert caplog.messages.count(note) == 1
    for run in (one, two):
        assert run.record.choices["trained_encoder"] is False
        assert (run.record.settings["train"], run.record.settings["time_limit"]) == ("auto", 0.01)
    assert two.record.choices == one.record.choices
    assert two.record.evaluation == one.record.evaluation
    for name, value in one.model.state_dict().items():
        assert value.equal(two.model.state_dict()[name]), name
    longer = replace(arguments["settings"], time_limit=600.0, epochs=0.5)
    three = train(**{**arguments, "settings": longer}, output=tmp_path / "three")
    assert three.record.choices["trained_encoder"] is True
    caplog.clear()
    assert skips_encoder(one.record, set())
    assert caplog.messages == [note]
    for name in ("data", "model", "epochs", "limit", "classifier", "train", "time_limit"):
        assert not skips_encoder(one.record, {name}), name
    assert caplog.messages == [note]


def test_a_dimension_that_an_earlier_version_did_not_use_is_not_repeated(first):
    """Those versions accepted a dimension where no linear layer was trained."""
    first.record.settings |= {"train": "encoder", "dimension": 8}
    arguments = repeat_arguments(first.record)
    settings = arguments["settings"]
    settings.check()
    assert (settings.train, settings.dimension) == ("encoder", None)
    assert not {"train", "dimension"} & changed_arguments(first.record, vars(settings))


def test_the_classifier_is_repeated(bert, csv_file, tmp_path, caplog):
    caplog.set_level("INFO", "tercet")
    options = {"model": bert, "settings": SETTINGS, "device": "cpu"}
    train(csv_file, tmp_path / "none", classifier=False, **options)
    assert train(**repeat_arguments(tmp_path / "none"), output=tmp_path / "again").classifier is None
    assert "will differ from the record" not in caplog.text
    kept = train(csv_file, tmp_path / "texts", keep_texts=True, **options)
    del kept.record.settings["classifier"]  # as in older records
    assert repeat_arguments(kept.record)["keep_texts"] is True
    train(**repeat_arguments(kept.record), output=tmp_path / "once more")
    assert "will differ from the record" not in caplog.text


def test_another_start_model_at_the_same_path(first, tmp_path):
    shutil.rmtree(tmp_path / "base")
    build_bert(tmp_path / "base", seed=1)
    with pytest.raises(DataError, match="the weights of the model .*base' are not those that the run of the record"):
        train(**repeat_arguments(first.record), output=tmp_path / "two")


def test_changed_data_are_an_error_and_other_data_a_warning(first, csv_file, tmp_path, caplog):
    csv_file.write_text(csv_file.read_text() + "one more game,sport\n")
    with pytest.raises(DataError, match=r"the training data are not those of the record \(\d+ rows then, \d+ now\)"):
        train(**repeat_arguments(first.record), output=tmp_path / "two")
    other = csv_file.rename(tmp_path / "other.csv")
    train(**{**repeat_arguments(first.record), "data": other}, output=tmp_path / "two")
    assert "this run will differ from the record" in caplog.text or "the training data are not those" in caplog.text


def test_an_older_record_names_what_it_does_not_have(first, caplog):
    del first.record.settings["lora"]
    repeat_arguments(first.record)
    assert "the record, which does not have 'lora'; the defaults of this version are used" in caplog.text


def test_another_environment_is_logged(first, tmp_path, caplog):
    caplog.set_level("INFO", "tercet")
    first.record.environment["torch"] = "1.0"
    train(**repeat_arguments(first.record), output=tmp_path / "two")
    assert "the record is of another environment (torch 1.0 then, " in caplog.text


def test_records_that_cannot_be_repeated(first, tmp_path, sentences, labels):
    with pytest.raises(DataError, match="of compare, for example"):
        repeat_arguments(RunRecord(settings={"loss": "batch-all", "seed": 0}))
    (tmp_path / "other.json").write_text(json.dumps({"a": 1}))
    with pytest.raises(DataError, match=r"other.json has no settings of a training run"):
        repeat_arguments(tmp_path / "other.json")
    of_vectors = RunRecord(settings={"train": "head", "seed": 0, "data": "x.npy"})
    with pytest.raises(DataError, match="the record is that of a training on vectors, but the data are sentences"):
        train("d.csv", tmp_path / "two", repeats=of_vectors)
    with pytest.raises(DataError, match="the record is that of a training on sentences, but the data are vectors"):
        train_vectors("d.npy", tmp_path / "two", repeats=first.record)
    data = Dataset.from_dict({"sentence": sentences, "label": labels})
    run = train(data, tmp_path / "two", model=tmp_path / "base", settings=SETTINGS, device="cpu")
    arguments = repeat_arguments(run.record)
    assert "data" not in arguments  # data in memory have no name: the user passes them again
    again = train(data, **arguments, output=tmp_path / "three")
    assert again.record.evaluation == run.record.evaluation
