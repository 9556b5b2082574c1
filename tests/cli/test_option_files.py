"""`--config` and `--repeat`: values of files are defaults of options, which the command line overrides."""

import json
from dataclasses import fields
from pathlib import Path

import pytest
import typer

from tercet.cli.app import app
from tercet.errors import DataError
from tercet.runs import RunSettings
from tests.cli.command import run, train_arguments

COMMANDS = typer.main.get_command(app).commands


def _params(command, *args):
    """Return the values that a command would get for a command line."""
    return COMMANDS[command].make_context(command, [str(word) for word in args]).params


def _config(folder, text):
    (folder / "run.toml").write_text(text)
    return folder / "run.toml"


def test_a_file_sets_options_and_arguments_and_the_command_line_overrides_it(tmp_path):
    config = _config(
        tmp_path,
        'data = "a.csv"\noutput = "m"\nbatch_size = 128\nlearning-rate = 1\nno-packing = true\nheader = false\n'
        'time-limit = "10m"\njson = true\nseed = 3\n',
    )
    params = _params("train", "--config", config, "--seed", 4)
    assert (params["data"], Path(params["output"]), params["batch_size"]) == ("a.csv", Path("m"), 128)
    assert (params["learning_rate"], params["no_packing"], params["header"]) == (1.0, True, False)
    assert (params["time_limit"], params["as_json"], params["seed"]) == (600.0, True, 4)
    assert params["keep"] == RunSettings().keep
    assert _params("train", "b.csv", f"--config={config}", "--header")["data"] == "b.csv"
    assert _params("train", "b.csv", f"--config={config}", "--header")["header"] is True


def test_a_list_in_a_file(tmp_path):
    config = _config(tmp_path, 'grid = ["margin=0.1,0.2", "distance=cosine"]\nseeds = 5\n')
    params = _params("compare", "a.csv", "--output", "c", "--config", config)
    assert (list(params["grid"]), params["seeds"]) == (["margin=0.1,0.2", "distance=cosine"], 5)
    config = _config(tmp_path, 'grid = "margin=0.1,0.2"\n')
    assert list(_params("compare", "a.csv", "--output", "c", "--config", config)["grid"]) == ["margin=0.1,0.2"]


def test_margins_of_levels_on_the_command_line_and_in_a_file(tmp_path):
    assert _params("train", "a.csv", "--output", "m", "--margin", "0.3, 0.15")["margin"] == [0.3, 0.15]
    config = _config(tmp_path, "margin = [0.3, 0.15]\n")
    assert _params("train", "a.csv", "--output", "m", "--config", config)["margin"] == [0.3, 0.15]
    assert _params("train", "a.csv", "--output", "m", "--config", config, "--margin", "0.2")["margin"] == 0.2
    with pytest.raises(typer.BadParameter, match="expected a number, or one for each level"):
        _params("train", "a.csv", "--output", "m", "--margin", "0.3;0.1")


@pytest.mark.parametrize("setting", [item.name for item in fields(RunSettings)])
def test_train_has_an_option_for_every_setting(setting):
    assert setting in {param.name for param in COMMANDS["train"].params}


@pytest.mark.parametrize(
    ("given", "dropped"),
    [
        (("--epochs", 2), "max_steps"),
        (("--time-limit", "5m"), "max_steps"),
        (("--max-steps", 7), "time_limit"),
        (("--eval-data", "e.csv"), "eval_fraction"),
    ],
)
def test_an_option_also_replaces_options_of_the_file_that_it_contradicts(given, dropped, tmp_path):
    config = _config(tmp_path, 'max-steps = 3\ntime-limit = "10m"\neval-fraction = 0.3\n')
    params = _params("train", "a.csv", "--output", "m", "--config", config, *given)
    assert params[dropped] == getattr(RunSettings(), dropped, None)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("batchsize = 3", "tercet train has no option 'batchsize' that a file can set; did you mean 'batch-size'?"),
        ("config = 'x'", "has no option 'config' that a file can set"),
        ("grid = 'x'", "tercet train has no option 'grid'"),
        ('batch-size = "3"', "batch-size must be a whole number, got '3'"),
        ("batch-size = 3.5", "batch-size must be a whole number, got 3.5"),
        ("batch-size = true", "batch-size must be a whole number, got true"),
        ("learning-rate = [0.1]", "learning-rate must be a number, got [0.1]"),
        ("margin = [true]", "margin must be a number or a list of numbers, got [True]"),
        ("time-limit = true", "time-limit must be a number or text, got true"),
        ("lora = 1", "lora must be true or false, got 1"),
        ("model = 1", "model must be text in quotation marks, got 1"),
        ('model = " "', "model is empty; write a value, or leave out the key"),
        ("[train]\nlora = true", "has the section [train]; write the options without sections"),
        ("batch-size = 8\nbatch_size = 8", "has the option batch-size twice"),
        ("lora =", "is not valid TOML: Invalid value (at end of document)"),
    ],
)
def test_what_is_wrong_in_a_file_is_one_sentence(text, message, tmp_path):
    with pytest.raises(DataError) as caught:
        _params("train", "a.csv", "--output", "m", "--config", _config(tmp_path, text))
    assert message in str(caught.value)
    assert "run.toml" in str(caught.value)


def test_an_invalid_choice_in_a_file(tmp_path):
    config = _config(tmp_path, 'loss = "hardest"')
    done = run("train", "a.csv", "--output", "m", "--config", config, cwd=tmp_path, expect=2)
    assert "'--loss': 'hardest' is not one of 'batch-semi-hard'" in done.stderr


def test_files_that_are_missing_or_given_together(tmp_path):
    for words, message in (
        (("--config", "none.toml"), "no file 'none.toml'; check --config"),
        (("--repeat", "none.json"), "no record 'none.json'; pass the metrics.json of a trained model"),
        (("--config", "a", "--repeat", "b"), "--config and --repeat exclude each other"),
    ):
        done = run("train", "a.csv", "--output", "m", *words, cwd=tmp_path, expect=2)
        assert message in done.stderr


def test_a_repeated_run_has_the_same_weights_and_metrics(bert, csv_file, tmp_path):
    more = ("--max-steps", 3, "--eval-fraction", 0.5, "--no-packing", "--device", "cpu", "--quiet", "--lora")
    run(*train_arguments(csv_file, bert, tmp_path / "one", *more))
    done = run("train", "--repeat", tmp_path / "one", "--output", tmp_path / "two")
    assert "will differ from the record" not in done.stderr
    assert "environment" not in done.stderr
    one, two = (json.loads((tmp_path / name / "metrics.json").read_text()) for name in ("one", "two"))
    del one["run"], two["run"]
    assert one == two
    weights = [(tmp_path / name / "adapter_model.safetensors").read_bytes() for name in ("one", "two")]
    assert weights[0] == weights[1]


def test_a_repeated_run_has_no_classifier_and_no_time_for_the_encoder_either(bert, tmp_path):
    rows = [f"the {word} number {number},{word}" for word in ("match", "soup") for number in range(20)]
    (tmp_path / "d.csv").write_text("\n".join(["text,label", *rows]))
    run(*train_arguments(tmp_path / "d.csv", bert, tmp_path / "one", "--no-classifier", "--time-limit", "0.01s"))
    repeat = ("train", "--repeat", tmp_path / "one", "--output", tmp_path / "two")
    done = run(*repeat, "--dimension", 8, "--train", "encoder", expect=2)
    assert "--dimension 8 is that of the linear layer, but --train encoder trains none" in done.stderr
    done = run(*repeat)
    assert "will differ from the record" not in done.stderr
    one, two = (json.loads((tmp_path / name / "metrics.json").read_text()) for name in ("one", "two"))
    assert not (tmp_path / "two/label_classifier.json").exists()
    assert two["settings"] == one["settings"]
    assert two["choices"] == one["choices"]
    assert two["evaluation"] == one["evaluation"]


def test_an_option_overrides_the_one_of_a_file_that_it_contradicts(csv_file, bert, tmp_path):
    config = tmp_path / "run.toml"
    for given, option in (("keep-texts", "--no-classifier"), ("no-classifier", "--keep-texts")):
        config.write_text(f"{given} = true\n")
        output = tmp_path / given
        run(*train_arguments(csv_file, bert, output, "--max-steps", 1, "--config", config, option))
        assert (output / "label_classifier.json").exists() is (option == "--keep-texts")


def test_options_that_differ_from_the_record_are_printed(bert, csv_file, tmp_path):
    run(*train_arguments(csv_file, bert, tmp_path / "one", "--max-steps", 2, "--device", "cpu", "--quiet"))
    record = tmp_path / "one/metrics.json"
    done = run("train", "--repeat", record, "--output", tmp_path / "two", "--seed", 1, "--margin", 0.1)
    assert "--seed 1 instead of 0: this run will differ from the record" in done.stderr
    assert "--margin 0.1 instead of 0.3: this run will differ from the record" in done.stderr
    csv_file.write_text(csv_file.read_text() + "one more game,sport\n")
    done = run("train", "--repeat", record, "--output", tmp_path / "three", expect=2)
    assert "the training data are not those of the record (" in done.stderr
    assert "restore them, or train on the new data without a record" in done.stderr
    assert not (tmp_path / "three").exists()
