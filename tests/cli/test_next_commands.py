"""The commands that each command prints at its end run as they are printed, on files like those of the user."""

import json
import shlex
import shutil

import pandas as pd
import pytest
from typer.main import get_command

from tercet.cli.app import app
from tercet.cli.next_commands import classify_command, evaluate_command, fit_classifier_command, option_words
from tercet.data.reading.options import ReadOptions
from tests.cli.command import run
from tests.conftest import EVALUATION_TOPICS, TOPICS

# One step, so that the tests take seconds.
_SHORT = ("--batch-size", 8, "--samples-per-label", 2, "--train", "encoder", "--max-steps", 1)


def _rows(topics, form):
    return "".join(form.format(text=text, label=label) for label, texts in topics.items() for text in texts)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Data without a header, with a split column, with labels in another file, and new data of each form."""
    folder = tmp_path_factory.mktemp("next")
    for name, topics in (("train", TOPICS), ("TEST", EVALUATION_TOPICS), ("NEW", EVALUATION_TOPICS)):
        (folder / f"{name}.csv").write_text(_rows(topics, "{label};{text}\n"), encoding="utf-8")
        (folder / f"{name}-texts.txt").write_text(_rows(topics, "{text}\n"))
        (folder / f"{name}-LABELS.txt").write_text(_rows(topics, "{label}\n"))
    parts = _rows(TOPICS, "train,{text},{label}\n") + _rows(EVALUATION_TOPICS, "dev,{text},{label}\n")
    (folder / "parts.csv").write_text("part,text,label\n" + parts)
    (folder / "copies.csv").write_text("body,label,part\nthe soup,a,x\nthe soup,b,x\na goal,c,x\na cake,c,y\n")
    return folder


def _next(done):
    """Return the words of the printed commands."""
    assert "next:\n" in done.stderr
    lines = done.stderr.split("next:\n")[1].splitlines()
    commands = [shlex.split(line) for line in lines]
    for words in commands:
        assert words.pop(0) == "tercet"
        command = get_command(app).commands[words[0]]
        command.make_context(words[0], words[1:])  # It has these options.
    return commands


def test_after_data_without_a_header(folder, bert):
    form = ("--no-header", "--csv-separator", ";", "--text-column", "1", "--label-column", "0")
    done = done_training = run("train", "train.csv", "--model", bert, "--output", "m", *form, *_SHORT, cwd=folder)
    classify, evaluate, fit = _next(done)
    assert len((folder / "TEST.csv").read_text().splitlines()) == 12
    assert "12 rows written" in run(*classify, cwd=folder).stderr  # The first line is data here, too.
    done = run(*evaluate, cwd=folder)
    assert "12" in done.stdout
    (encode,) = _next(done)
    assert "12 embeddings" in run(*encode, cwd=folder).stderr
    # One step makes no difference, and the sentence says to take the untouched encoder.
    assert "on the untouched encoder." in done_training.stdout
    assert fit[:2] == ["fit-classifier", str(bert)]
    assert "Classifier of 4 labels from 16 sentences" in run(*fit, cwd=folder).stdout
    assert (folder / "m-untouched" / "label_classifier.json").exists()


def test_after_labels_in_another_file(folder, bert):
    labels = ("--label-file", "train-LABELS.txt")
    done = run("train", "train-texts.txt", "--model", bert, "--output", "m2", *labels, *_SHORT, cwd=folder)
    _, evaluate, fit = _next(done)
    assert fit[2:] == ["train-texts.txt", *labels, "--output", "m2-untouched"]
    assert evaluate[2:] == ["TEST.csv", "--label-file", "TEST-LABELS.txt"]
    shutil.copy(folder / "TEST-texts.txt", folder / "TEST.txt")
    run(evaluate[0], evaluate[1], "TEST.txt", *evaluate[3:], cwd=folder)


def test_options_of_the_evaluation_data_alone_are_not_those_of_the_classifier(folder):
    train = {"text": [text for texts in TOPICS.values() for text in texts]}
    train["label"] = [label for label, texts in TOPICS.items() for _ in texts]
    pd.DataFrame(train).to_parquet(folder / "train.parquet")
    options, data = ReadOptions(csv_separator=";", label_column="label"), str(folder / "train.parquet")
    words = fit_classifier_command("bundled", data, options, "m", eval_data=str(folder / "TEST.csv"))
    assert words[3:] == [data, "--label-column", "label", "--output", "m-untouched"]
    own = fit_classifier_command("bundled", str(folder / "train.csv"), options, "m", eval_data=data)
    assert {"--csv-separator", ";"} <= {*own}


def test_after_an_evaluation_with_a_baseline(folder, bert):
    """The classifier is fitted to the reference, by its own columns and split."""
    data = ("TEST.csv", "--no-header", "--csv-separator", ";", "--text-column", "1", "--label-column", "0")
    reference = ("--reference-text-column", "title", "--reference-label-column", "kind")
    frame = pd.read_csv(folder / "parts.csv").set_axis(["set", "title", "kind"], axis=1)
    frame.to_parquet(folder / "reference.parquet")
    split = ("--reference-split-column", "set")
    words = ("--reference", "reference.parquet", *reference, *split, "--baseline", bert)
    done = run("evaluate", bert, *data, *words, cwd=folder)
    assert "on the untouched encoder." in done.stdout
    _, fit = _next(done)
    own = ["--text-column", "title", "--label-column", "kind", "--split-column", "set"]
    assert fit == ["fit-classifier", str(bert), "reference.parquet", *own, "--output", f"{bert}-untouched"]
    assert "Classifier of 4 labels from 16 sentences" in run(*fit[:-1], "m-evaluated", cwd=folder).stdout
    assert len(_next(run("evaluate", bert, *data, *words[:-2], cwd=folder))) == 1


def test_after_a_split_in_the_file_the_evaluation_has_the_same_numbers(folder, bert):
    words = ("--split-column", "part", "--no-classifier", *_SHORT)
    done = run("train", "parts.csv", "--model", bert, "--output", "m3", *words, cwd=folder)
    (evaluate,) = _next(done)
    again = run(*evaluate, cwd=folder)
    row = next(line for line in done.stdout.splitlines() if "MAP@R" in line)
    assert row.split("│")[3].strip() in again.stdout
    (encode,) = _next(again)
    assert "12 embeddings" in run(*encode, "--overwrite", cwd=folder).stderr  # Those of the evaluated rows only.


def _map_at_r_after(done):
    """Return the printed MAP@R against the training rows, after the training."""
    row = next(line for line in done.stdout.splitlines() if "MAP@R" in line)
    return row.split("│")[3].strip()


@pytest.mark.parametrize(
    ("data", "options"),
    [
        ("splits", ("--split", "test", "--eval-data", "new")),
        ("splits", ("--split", "test", "--eval-data", "new/test.csv", "--limit", 9)),
        ("splits.csv", ("--split", "x", "--split-column", "part", "--eval-data", "new/test.csv")),
        ("splits", ("--split", "test")),
        ("splits", ()),
    ],
)
def test_the_evaluation_ranks_the_rows_that_were_trained_on(data, options, folder, bert, tmp_path):
    labelled = {name: _rows(topics, "{text},{label}\n") for name, topics in (("x", TOPICS), ("y", EVALUATION_TOPICS))}
    for place, names in (("splits", {"test": "x", "train": "y", "val": "y"}), ("new", {"test": "y", "train": "x"})):
        (tmp_path / place).mkdir()
        for split, name in names.items():
            if (place, split) != ("splits", "val") or options == ("--split", "test"):
                (tmp_path / place / f"{split}.csv").write_text("text,label\n" + labelled[name])
    parts = [f"{line},{name}\n" for name, lines in labelled.items() for line in lines.splitlines()]
    (tmp_path / "splits.csv").write_text("text,label,part\n" + "".join(parts))
    words = (*options, "--no-classifier", *_SHORT)
    done = run("train", data, "--model", bert, "--output", "m", *words, cwd=tmp_path)
    (evaluate,) = _next(done)
    assert _map_at_r_after(done) in run(*evaluate, cwd=tmp_path).stdout
    if options and "--eval-data" not in options:  # Another split of the same data, also after a comparison.
        done = run("compare", data, "--model", bert, "--output", "c", *options, "--steps", 1, "--seeds", 1,
                   "--grid", "margin=0.3", "--batch-size", 8, "--samples-per-label", 2, cwd=tmp_path)  # fmt: skip
        assert _next(done)[0][2:] == ["splits", "--reference", "splits", "--reference-split", "test", "--split", "val"]


def test_after_duplicates_an_inspection_and_a_correction(folder, bert, tmp_path):
    words = ("--text-column", "body", "--split-column", "part", "--split", "x", "--threshold", 0.99)
    (duplicates,) = _next(run("duplicates", bert, "copies.csv", *words, cwd=folder))
    assert "1 pair written" in run(*duplicates, cwd=folder).stderr
    shutil.copy(folder / "train.csv", tmp_path)
    form = ("--no-header", "--csv-separator", ";", "--text-column", "1", "--label-column", "0")
    issues = ("--label-issues", "issues.csv", "--trust-remote-code")
    sizes = ("--batch-size", "8", "--samples-per-label", "2")
    (fix,) = _next(run("inspect", "train.csv", "--model", bert, *form, *issues, *sizes, cwd=tmp_path))
    assert fix[:3] == ["fix", "train.csv", "issues.csv"]  # this encoder knows no words
    assert set(form) < set(fix)
    words = ("--trust-remote-code", *sizes)
    (train,) = _next(run("inspect", "train.csv", "--model", "bundled", *form, *words, cwd=tmp_path))
    assert "--trust-remote-code" in train
    assert train[train.index("--batch-size") + 1] == "8"
    assert train.count("--samples-per-label") == 1
    (again,) = _next(run("inspect", "train.csv", *form, *sizes, cwd=tmp_path))
    assert again[-4:] == list(sizes)
    names = "row,line,text,label,suggested_label,log_odds,accept"
    (tmp_path / "issues.csv").write_text(f"{names}\n0,1,the team won the game,sport,money,1,yes\n")
    (train,) = _next(run("fix", "train.csv", "issues.csv", "--output", "fixed.csv", *form, cwd=tmp_path))
    done = run("inspect", *train[1 : train.index("--output")], cwd=tmp_path)
    assert "16" in done.stdout
    # An incomplete row has no place in a .npy file.
    (tmp_path / "holes.csv").write_text("text,label\n" + _rows(TOPICS, "{text},{label}\n") + ",sport\n")
    (encode,) = _next(run("evaluate", bert, "holes.csv", cwd=tmp_path))
    assert "16 embeddings" in run(*encode, cwd=tmp_path).stderr


def test_after_a_classifier_was_fitted(folder, bert):
    form = ("--no-header", "--csv-separator", ";", "--text-column", "1", "--label-column", "0")
    (classify,) = _next(run("fit-classifier", bert, "train.csv", "--output", "m4", *form, "--unseen-rows", cwd=folder))
    run(*classify, "--overwrite", cwd=folder)


def test_the_next_command_reads_the_data_in_the_same_way():
    options = ReadOptions("0", "1", header=False, combined_labels="first", drop_missing=True)
    words = ["--text-column", "0", "--label-column", "1", "--no-header", "--combined-labels", "first", "--drop-missing"]
    assert option_words(options) == words
    assert option_words(ReadOptions()) == []
    assert option_words(ReadOptions(drop_missing=False, csv_separator=";")) == ["--strict", "--csv-separator", ";"]
    of_column = evaluate_command("m", None, "d.csv", ReadOptions(limit=3, split_column="part"))
    assert of_column[3:] == ["TEST.csv", "--reference", "d.csv", "--reference-split-column", "part"]
    assert evaluate_command("m", None, "d.csv", ReadOptions(limit=3))[-1] == "d.csv"
    assert evaluate_command("m", None, "d.csv", ReadOptions(), trust_remote_code=True)[-1] == "--trust-remote-code"
    assert "--trust-remote-code" in classify_command("m", ReadOptions(), trust_remote_code=True)
    assert evaluate_command("m", None, "d.csv", ReadOptions(header=True))[-1] == "--header"
    of_label_file = evaluate_command("m", None, "d.csv", ReadOptions(label_file="l.txt"))
    assert of_label_file[2:] == ["m", "TEST.csv", "--label-file", "TEST-LABELS.txt"]


def test_after_an_inspection_of_nested_labels_each_level_has_its_margin(tmp_path):
    (tmp_path / "nested.csv").write_text(
        "text,label\n" + _rows(TOPICS, "{text},{label}/a\nplease help me with {label},{label}/b\n")
    )
    form, sizes = ("--label-levels", "/"), ("--batch-size", 8, "--samples-per-label", 2)
    done = run("inspect", "nested.csv", "--model", "bundled", *form, *sizes, "--json", cwd=tmp_path)
    found = {one["setting"]: one["value"] for one in json.loads(done.stdout)["with_model"]["suggestions"]}
    coarse, fine = found["margin"]
    assert coarse == min(2 * fine, 1)
    (train,) = _next(run("inspect", "nested.csv", "--model", "bundled", *form, *sizes, cwd=tmp_path))
    assert train[train.index("--margin") + 1] == f"{coarse},{fine}"
    run(*train, "--train", "encoder", "--max-steps", 1, cwd=tmp_path)
    written = json.loads((tmp_path / "my-model" / "metrics.json").read_text())
    assert written["settings"]["margin"] == [coarse, fine]
