"""Evaluation data that overlap with the training data, labels that nobody knows, and records that rebuild a split."""

import json

import pytest
from datasets import Dataset

from tercet import SentenceTransformer
from tercet.data.splits.evaluation_rows import measured_rows, select_triplets
from tercet.errors import DataError
from tercet.runs import RunSettings, evaluate, train
from tercet.runs.evaluation_plan import plan_evaluation
from tercet.runs.source_names import Names
from tests.conftest import EVALUATION_TOPICS, TOPICS

SETTINGS = RunSettings(max_steps=2, batch_size=8, samples_per_label=2, learning_rate=1e-3)


def _data(topics, *more):
    rows = [(text, label) for label, texts in topics.items() for text in texts] + list(more)
    return Dataset.from_dict({"sentence": [text for text, _ in rows], "label": [label for _, label in rows]})


def _kinds(warnings):
    return [warning["kind"] for warning in warnings]


def test_each_row_is_measured_or_left_out_for_one_reason():
    rows = measured_rows(
        ["A  b", "new", "NEW ", "new", "alone", "strange", "pair one", "pair two"],
        ["x", "x", "x", "y", "y", "z", "q", "q"],
        ["a b", "c", "d"],
        ["x", "x", "y"],
    )
    assert rows.kept.tolist() == [1, 3, 4, 5, 6, 7]  # "new" counts once for each label
    assert rows.known.tolist() == [True, True, True, False, False, False]
    for protocol, measured, unpaired in (("against_reference", 3, 0), ("among_themselves", 2, 1)):
        counts = rows.counts(protocol)
        assert (counts.measured, counts.unpaired, counts.unknown_labels) == (measured, unpaired, 3)
        assert (counts.overlapping, counts.copies, counts.left_out) == (1, 1, 8 - measured)


def test_triplets_overlap_if_their_positive_pair_was_trained():
    columns = {"anchor": ["a", "A", "a", "b"], "positive": ["p", "q", "q", "p"], "negative": ["n", "n", "n", "n"]}
    train = Dataset.from_dict({"anchor": ["a "], "positive": ["P"], "negative": ["other"]})
    rows = select_triplets(Dataset.from_dict(columns), train)
    assert (rows.kept.tolist(), rows.overlapping, rows.copies) == ([1, 3], 1, 1)


def test_copies_of_training_texts_are_left_out_of_the_figures(bert, tmp_path):
    copies = [(text.upper(), label) for label, texts in TOPICS.items() for text in texts[:2]]
    clean = train(_data(TOPICS), tmp_path / "a", model=bert, settings=SETTINGS, eval_data=_data(EVALUATION_TOPICS),
                  device="cpu").record  # fmt: skip
    dirty = train(_data(TOPICS), tmp_path / "b", model=bert, settings=SETTINGS, device="cpu",
                  eval_data=_data(EVALUATION_TOPICS, *copies)).record  # fmt: skip
    assert "overlap" not in _kinds(clean.warnings)
    for protocol in ("against_reference", "among_themselves"):
        assert dirty.evaluation[protocol].before == pytest.approx(clean.evaluation[protocol].before, abs=1e-6)
        assert dirty.evaluation[protocol].rows.overlapping == 8
    (warning,) = [warning for warning in dirty.warnings if warning["kind"] == "overlap"]
    assert (
        "8 of 20 rows of the evaluation data (40.0%) have texts that are also in the training data"
        in (warning["message"])
    )
    card = (tmp_path / "b/README.md").read_text()
    assert "12 of 20 rows; left out: 8 with a text that is in the training data" in card


def test_rows_with_unknown_labels_count_in_no_metric_but_their_own(bert, csv_file, eval_file):
    model = SentenceTransformer(bert, device="cpu")
    known = evaluate(model, eval_file, reference=csv_file)
    assert (known.protocol, known.rows.reference, known.warnings) == ("against_reference", 16, [])
    eval_file.write_text(eval_file.read_text() + "we lost the stock,other\nthe soup left early,none\n")
    mixed = evaluate(model, eval_file, reference=csv_file)
    assert 0 <= mixed["unknown_auroc"] <= 1
    assert {key: mixed[key] for key in known} == pytest.approx(dict(known), abs=1e-6)
    (warning,) = mixed.warnings
    assert warning["kind"] == "unknown-labels"
    assert (
        "2 of 14 rows have labels that are not in data.csv ('other', 'none'); they are left out" in warning["message"]
    )
    eval_file.write_text("text,label\nwe lost the stock,other\nthe soup left,other\nthe bus,none\n")
    with pytest.raises(DataError, match=r"none of the labels of eval.csv \('none', 'other'\) is in data.csv"):
        evaluate(model, eval_file, reference=csv_file)


def test_labels_that_differ_from_those_of_the_training_are_ranked_among_themselves(bert, tmp_path):
    """Metric learning is often evaluated on new classes."""
    held_out = _data({"shops": ["a game", "the hotel"], "home": ["bread", "the salad"]})
    run = train(_data(TOPICS), tmp_path / "m", model=bert, settings=SETTINGS, eval_data=held_out, device="cpu")
    assert list(run.record.evaluation) == ["among_themselves"]
    assert "unknown-labels" in _kinds(run.record.warnings)
    with pytest.raises(DataError, match="none of the labels of the evaluation data"):
        train(_data(TOPICS), tmp_path / "n", model=bert, settings=SETTINGS, eval_data=held_out.select([0, 2]))


@pytest.mark.parametrize(
    ("data", "reference", "message"),
    [
        ({"a": ["x", "y"], "b": ["z"]}, {"a": ["X", "y "], "b": ["z"]}, "all 3 texts of E are also in R"),
        ({"a": ["x", "y"]}, None, "E has one label only"),
        ({"a": ["x", "X "], "b": ["z"]}, None, "no two rows of E have the same label and different texts"),
        ({"a": ["x", "y"]}, {"a": ["v", "w"]}, "R has one label only"),
    ],
)
def test_what_cannot_be_measured_is_an_error_before_the_model_runs(data, reference, message):
    with pytest.raises(DataError, match=message):
        plan_evaluation(_data(data), None if reference is None else _data(reference), names=Names("E", "R"))


def test_the_record_rebuilds_the_split(bert, csv_file, tmp_path):
    run = train(csv_file, tmp_path / "m", model=bert, settings=SETTINGS, eval_fraction=0.5, device="cpu")
    content = json.loads((tmp_path / "m/metrics.json").read_text())
    held_out = content["data"]["eval"]["held_out_rows"]
    rows = [line.split(",")[0] for line in csv_file.read_text().splitlines()[1:]]
    assert [rows[row] for row in held_out] == run.eval_data["sentence"][:]
    assert content["data"]["train"]["rows"] == len(rows) - len(held_out)
    assert content["run"]["seconds"] > 0
    assert content["run"]["started"].endswith("Z")
    assert content["environment"]["device"] == "CPU"
    assert content["environment"]["threads"] >= 1
    assert content["data"]["train"].keys() >= {"labels", "copies", "sha256", "truncated_texts", "unknown_tokens"}


def test_a_run_warns_once_of_texts_that_are_cut_and_of_unknown_tokens(bert, tmp_path):
    topics = {label: [f"{text} {'订 ' * 40}{row}" for row, text in enumerate(texts)] for label, texts in TOPICS.items()}
    run = train(_data(topics), tmp_path / "m", model=bert, settings=SETTINGS, eval_fraction=0.5, device="cpu")
    kinds = _kinds(run.record.warnings)
    assert kinds.count("truncated-texts") == kinds.count("unknown-tokens") == 1
    assert run.record.data["train"]["truncated_texts"] == run.record.data["eval"]["truncated_texts"] == 8
    assert run.record.data["train"]["unknown_tokens"] > 0.5
