"""The commands as a user runs them: real processes, real files, one line for each error."""

import json
import os
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from pyarrow import parquet

from tercet import SentenceTransformer
from tercet.encoder.devices import cpu_has_bfloat16
from tests.child import ENVIRONMENT
from tests.cli.command import run, train_arguments
from tests.forked import ForkedProcess, command_line


@pytest.fixture(scope="module")
def trained(tmp_path_factory, bert):
    from tests.conftest import EVALUATION_TOPICS, TOPICS

    folder = tmp_path_factory.mktemp("trained")
    for file, topics in (("data.csv", TOPICS), ("eval.csv", EVALUATION_TOPICS)):
        rows = "".join(f"{text},{name}\n" for name, topic in topics.items() for text in topic)
        (folder / file).write_text("text,label\n" + rows)
    done = run(
        *train_arguments(folder / "data.csv", bert, folder / "model", "--epochs", 8, "--eval-data", folder / "eval.csv")
    )
    return folder, done


def test_train_prints_before_and_after_and_writes_a_model_with_its_metrics(trained):
    folder, done = trained
    assert re.search(r"MAP@R +│ +0\.\d{4} │ +0\.\d{4} │ +-?0\.\d{4}", done.stdout)
    metrics = json.loads((folder / "model/metrics.json").read_text())
    headline, second = metrics["evaluation"].values()
    assert list(metrics["evaluation"]) == ["against_reference", "among_themselves"]
    assert done.stdout.index("Evaluation sentences against the training sentences") < done.stdout.index(
        "Evaluation sentences among themselves"
    )
    assert headline["after"]["map@r"] > headline["before"]["map@r"]
    assert headline["rows"]["measured"] == second["rows"]["measured"] == 12
    assert metrics["settings"]["loss"] == "batch-semi-hard"
    assert metrics["settings"]["steps"] == 16
    assert sorted(os.listdir(folder)) == ["data.csv", "eval.csv", "model"]
    model = SentenceTransformer(folder / "model", device="cpu")
    assert model.label_names == ["food", "money", "sport", "travel"]
    card = (folder / "model/README.md").read_text()
    for block in (headline, second):
        assert f"| MAP@R | {block['before']['map@r']:.4f} | {block['after']['map@r']:.4f} |" in card


def test_evaluate_gives_the_numbers_of_the_training_run(trained):
    folder, _ = trained
    evaluation = json.loads((folder / "model/metrics.json").read_text())["evaluation"]
    arguments = ("evaluate", folder / "model", folder / "eval.csv")
    for more, protocol in (((), "among_themselves"), (("--reference", folder / "data.csv"), "against_reference")):
        found = json.loads(run(*arguments, *more, "--json").stdout)
        assert found["protocol"] == protocol
        assert found["metrics"] == pytest.approx(evaluation[protocol]["after"], abs=1e-6)
        assert found["rows"] == evaluation[protocol]["rows"]
    done = run(*arguments, "--reference", folder / "data.csv")
    assert "against the reference sentences" in " ".join(done.stdout.split())
    refused = run("evaluate", folder / "model", folder / "data.csv", "--reference", folder / "data.csv", expect=2)
    assert "all 16 texts of data.csv are also in data.csv, so nothing is left to evaluate on" in refused.stderr


def test_encode_writes_npy_and_parquet_in_order(trained):
    folder, _ = trained
    run("encode", folder / "model", folder / "data.csv", "--output", folder / "e.npy")
    run("encode", folder / "model", folder / "data.csv", "--output", folder / "e.parquet", "--normalize")
    array, table = np.load(folder / "e.npy"), parquet.read_table(folder / "e.parquet")
    texts = table["text"].to_pylist()
    np.testing.assert_allclose(array, SentenceTransformer(folder / "model", device="cpu").encode(texts), atol=1e-6)
    vectors = np.array(table["embedding"].to_pylist())
    np.testing.assert_allclose(vectors, array / np.linalg.norm(array, axis=1, keepdims=True), atol=1e-6)
    done = run("encode", folder / "model", folder / "data.csv", "--output", folder / "e.npy", expect=2)
    assert "already exists; choose another --output or add --overwrite" in done.stderr
    options = ("--output", folder / "e.npy", "--overwrite", "--quiet", "--device", "cpu")
    assert run("encode", folder / "model", folder / "data.csv", *options).stderr == ""
    for name in ("e.npy", "e.parquet"):
        (folder / name).unlink()


def test_the_same_seed_gives_the_same_numbers_and_json_is_all_of_standard_output(csv_file, bert, tmp_path):
    outputs = [
        json.loads(
            run(
                *train_arguments(csv_file, bert, tmp_path / name, "--json", "--eval-fraction", 0.5, "--epochs", 4)
            ).stdout
        )
        for name in ("one", "two")
    ]
    assert outputs[0] == json.loads((tmp_path / "one/metrics.json").read_text())
    assert outputs[0].pop("run").keys() == outputs[1].pop("run").keys() == {"started", "seconds", "parts"}
    assert outputs[0] == outputs[1]
    headline = outputs[0]["evaluation"]["against_reference"]
    assert headline["after"] != headline["before"]


def test_train_on_triplets(sentences, bert, tmp_path):
    rows = zip(sentences, sentences[1:], sentences[5:], strict=False)
    lines = "".join(json.dumps(dict(zip(("anchor", "positive", "negative"), row, strict=True))) + "\n" for row in rows)
    (tmp_path / "t.jsonl").write_text(lines)
    done = run(*train_arguments(tmp_path / "t.jsonl", bert, tmp_path / "model", "--loss", "triplet"))
    assert "held out 2 of 11 triplets" in done.stderr
    assert "triplet accuracy (cosine)" in done.stdout


def test_columns_that_are_not_used_are_reported(csv_file, bert, tmp_path):
    lines = csv_file.read_text().splitlines()
    csv_file.write_text("\n".join(["id,utterance,intent", *(f"{n},{line}" for n, line in enumerate(lines[1:]))]))
    done = run(*train_arguments(csv_file, bert, tmp_path / "model", "--eval-fraction", 0))
    assert "text from 'utterance', labels from 'intent'; not used: 'id'" in done.stderr
    assert json.loads((tmp_path / "model/metrics.json").read_text())["evaluation"] == {}


def _content(tmp_path, text, name="bad.csv"):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no file"),
        ("a,b\n1,2\n", "which column is the text? the columns are 'a', 'b'; pass --text-column"),
        ("text,label\na,x\nb,y\n", "has no label twice (2 labels, 2 rows)"),
        ("text,label\na,x\nb,x\n", "has one label only ('x')"),
        ("text,label\na,x\n,x\nc,y\n", "1 of 3 rows has no text (line 3); fill them in, or pass --drop-missing"),
        ("text,label\na,x\nb,\n", "1 of 2 rows has no label (line 3); fill them in, or pass --drop-missing"),
        (b"text,label\n\xe9\xe9\xe9,x\n", "is not UTF-8: byte 0xe9 on line 2, and several encodings are possible"),
        ("text,label\na,b,c\n", "line 2: 3 fields, but the header has 2"),
        ("name;place,kind\na b;c,x\n", "may be separated by commas or by semicolons"),
        (
            "anchor,positive,negative\na,b,c\n",
            "has the columns of triplets (anchor, positive, negative); train on it with --loss triplet, or pass",
        ),
        ("text,label\na,0.5\nb,1.5\nc,0.5\n", "the labels are decimal numbers ('0.5', '1.5')"),
    ],
)
def test_bad_data_is_one_line_and_code_2(content, message, bert, tmp_path):
    path = tmp_path / "missing.csv" if content is None else _content(tmp_path, content)
    done = run(*train_arguments(path, bert, tmp_path / "model"), "--strict", expect=2)
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--model", "./nowhere"), "no model directory at nowhere"),
        (("--text-column", "title"), "has no column 'title'; it has 'text', 'label'"),
        (("--margin", "-1"), "the margin must be a finite number of at least 0, got -1.0"),
        (("--epochs", "0"), "--epochs must be above 0, got 0.0"),
        (
            ("--batch-size", "9"),
            "--batch-size must be a multiple of --samples-per-label 2 and at least 4, got 9",
        ),
        (("--eval-fraction", "1"), "--eval-fraction must be at least 0 and below 1"),
        (("--eval-fraction", "0.1", "--eval-data", "x.csv"), "--eval-data and --eval-fraction exclude each other"),
        (("--seed", "-1"), "--seed must be from 0 to 4294967295, got -1"),
        (("--epochs", "inf"), "--epochs must be above 0, got inf"),
        pytest.param(
            ("--bf16",),
            "--bf16 needs a GPU with bfloat16 or a processor with avx512_bf16",
            marks=pytest.mark.skipif(cpu_has_bfloat16(), reason="this processor computes in bfloat16"),
        ),
        (("--fsdp",), "--fsdp needs several processes; start the training with `torchrun`, or leave out --fsdp"),
        (("--loss", "triplet"), "the triplet loss needs the columns 'anchor', 'positive', 'negative'"),
        (("--output", "/proc/nowhere/model"), "cannot write /proc/nowhere/model: "),
    ],
)
def test_bad_options_are_one_line_and_code_2(more, message, csv_file, bert, tmp_path):
    done = run(*train_arguments(csv_file, bert, tmp_path / "model", *more), expect=2)
    assert message in done.stderr
    errors = [line for line in done.stderr.splitlines() if line.startswith("tercet: error: ")]
    assert len(errors) == 1
    assert os.listdir(tmp_path) == ["data.csv"]


def test_an_existing_model_is_not_overwritten_without_the_flag(csv_file, bert, tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model/mine.txt").write_text("mine")
    done = run(*train_arguments(csv_file, bert, tmp_path / "model"), expect=2)
    assert "already exists" in done.stderr
    run(*train_arguments(csv_file, bert, tmp_path / "model", "--overwrite"))
    assert (tmp_path / "model/mine.txt").read_text() == "mine"
    assert (tmp_path / "model/modules.json").exists()


@pytest.mark.slow
def test_ctrl_c_leaves_a_complete_checkpoint_and_says_how_to_resume(csv_file, bert, tmp_path):
    arguments = train_arguments(csv_file, bert, tmp_path / "model", "--epochs", 24, "--eval-fraction", 0)
    process = ForkedProcess(command_line, *map(str, arguments))
    checkpoints = tmp_path / "model.checkpoints"
    deadline = time.time() + 120
    while not list(checkpoints.glob("checkpoint-*/trainer_state.json")):
        assert time.time() < deadline
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    errors = process.communicate(timeout=120)[1]
    assert process.returncode == 130, errors
    assert "is complete. Resume with:" in errors
    assert "--resume" in errors
    assert not (tmp_path / "model").exists()
    again = run(*arguments, expect=2)
    assert "pass --resume to continue that run, or remove the folder" in again.stderr
    # A run without an interruption ends in the same weights.
    assert "the training of the encoder resumes from checkpoint-" in run(*arguments, "--resume").stderr
    run(*train_arguments(csv_file, bert, tmp_path / "whole", "--epochs", 24, "--eval-fraction", 0))
    texts = ["the team won", "the bank"]
    resumed, whole = (SentenceTransformer(tmp_path / name, device="cpu").encode(texts) for name in ("model", "whole"))
    np.testing.assert_array_equal(resumed, whole)
    assert not checkpoints.exists()


def test_help_and_version():
    assert "on labelled sentences" in run("--help").stdout
    assert len(run("--help").stdout.splitlines()) < 25
    assert run("--version").stdout.startswith("tercet 0.")
    for command in ("inspect", "train", "compare", "evaluate", "encode", "demo"):
        assert "--help" in run(command, "--help").stdout
    assert "No such option" in run("train", "x.csv", "--outptu", "y", expect=2).stderr


def test_the_shell_completes_the_names_of_losses():
    environment = {**ENVIRONMENT, "COMP_WORDS": "tercet train --loss batch-h", "COMP_CWORD": "3"}
    code = "import sys; sys.argv[0] = 'tercet'; from tercet.cli.app import app; app()"
    for instruction, expected in (
        ("complete_bash", "batch-hard\nbatch-hard-soft-margin"), ("source_bash", "complete -o default"),
    ):  # fmt: skip
        done = subprocess.run(
            [sys.executable, "-c", code], env={**environment, "_TERCET_COMPLETE": instruction},
            capture_output=True, text=True,
        )  # fmt: skip
        assert expected in done.stdout


def test_quiet_prints_the_results_alone(trained):
    folder, _ = trained
    loud = run("evaluate", folder / "model", folder / "data.csv", "--json", "--device", "cpu")
    quiet = run("evaluate", folder / "model", folder / "data.csv", "--json", "--quiet")
    assert "finished in" in loud.stderr
    assert "Encode" not in loud.stderr  # progress bars are for terminals
    assert quiet.stderr == ""
    assert quiet.stdout == loud.stdout


@pytest.mark.parametrize("device", ["nonsense", "cuda:97"])
def test_a_device_that_cannot_be_used_is_one_line_and_code_2(device, trained):
    folder, _ = trained
    done = run("evaluate", folder / "model", folder / "data.csv", "--device", device, expect=2)
    assert done.stderr.startswith(f"tercet: error: cannot compute on --device {device}: ")
    assert done.stderr.endswith("; try --device cpu\n")
    assert done.stderr.count("\n") == 1


def test_evaluate_lists_its_metrics():
    text = " ".join(run("evaluate", "--help").stdout.split())
    assert "MAP@R, R-precision, recall@1, recall@5, recall@10, kNN accuracy" in text


@pytest.mark.slow
def test_the_demo_on_the_real_encoder_makes_every_metric_better(tmp_path):
    done = run("demo", "--epochs", 1, "--output", tmp_path / "demo")
    metrics = json.loads((tmp_path / "demo/metrics.json").read_text())
    headline = metrics["evaluation"]["against_reference"]
    # Twice the standard error of a fraction of 200 rows is 0.07.
    for name in ("map@r", "recall@1", "knn_accuracy"):
        assert headline["after"][name] > headline["before"][name] + 0.07
    assert "The most similar training docstring has the right label" in " ".join(done.stdout.split())
    assert "the label of a docstring is the first word" in " ".join(done.stderr.split())
    assert done.stderr.endswith("next:\n  tercet train YOUR.csv --output my-model\n")
