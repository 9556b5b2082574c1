"""Was it worth it? in runs: in metrics.json, in the model card, on the command line, and where it cannot be known."""

import json
import re

import pytest
from datasets import Dataset

from tercet import SentenceTransformer
from tercet.catalogue import CLASSIFIERS
from tercet.errors import DataError
from tercet.records import RunRecord
from tercet.runs import RunSettings, evaluate, train
from tercet.runs.evaluation_plan import plan_evaluation
from tests.cli.command import run
from tests.conftest import EVALUATION_TOPICS, TOPICS

SETTINGS = RunSettings(max_steps=2, batch_size=8, samples_per_label=2, learning_rate=1e-3)


def _data(topics):
    rows = [(text, label) for label, texts in topics.items() for text in texts]
    return Dataset.from_dict({"sentence": [text for text, _ in rows], "label": [label for _, label in rows]})


def test_a_run_records_the_gain_and_its_card_says_it(bert, tmp_path):
    trained = train(_data(TOPICS), tmp_path / "m", model=bert, settings=SETTINGS, eval_data=_data(EVALUATION_TOPICS),
                device="cpu")  # fmt: skip
    gain = trained.record.gain
    assert (gain.rows, gain.labels, list(gain.trained.classifiers)) == (12, 4, list(CLASSIFIERS))
    assert gain.most_frequent_accuracy == 0.25
    headline = trained.record.evaluation["against_reference"]
    for scores, metrics in ((gain.untouched, headline.before), (gain.trained, headline.after)):
        assert scores.map_at_r == pytest.approx(metrics["map@r"], abs=1e-9)
        assert scores.classifiers["nearest_neighbours"].accuracy == pytest.approx(metrics["knn_accuracy"])
    assert trained.predictions.scores() == gain.trained
    assert RunRecord.from_dict(json.loads((tmp_path / "m/metrics.json").read_text())).gain == gain
    card = (tmp_path / "m/README.md").read_text()
    assert "### Was it worth it?" in card
    assert gain.sentence in card
    assert SentenceTransformer(tmp_path / "m").training_record.gain == gain


def test_the_training_rows_are_embedded_once(bert):
    model, texts = SentenceTransformer(bert, device="cpu"), []
    encode = model.encode
    model.encode = lambda sentences, **options: texts.extend(sentences) or encode(sentences, **options)
    evaluation = plan_evaluation(_data(EVALUATION_TOPICS), _data(TOPICS))
    embeddings = evaluation.embed(model)
    assert len(texts) == len(set(texts)) == 12 + 16
    assert (len(embeddings.queries), len(embeddings.reference)) == (12, 16)
    measured = evaluation.measure(embeddings)
    assert len(texts) == 12 + 16
    assert evaluation.measure(embeddings, classify=False).predictions is None
    assert evaluation.gain(measured, measured).accuracy.difference == 0


def test_rows_with_unknown_labels_are_not_classified(bert, csv_file, eval_file):
    model = SentenceTransformer(bert, device="cpu")
    known = evaluate(model, eval_file, reference=csv_file)
    eval_file.write_text(eval_file.read_text() + "we lost the stock,other\nthe soup left early,none\n")
    mixed = evaluate(model, eval_file, reference=csv_file)
    assert mixed.classifiers == known.classifiers
    assert known.gain is None
    assert "gain" not in known.to_dict()


def test_a_model_is_compared_with_its_baseline(bert, mpnet, csv_file, eval_file):
    result = evaluate(mpnet, eval_file, reference=csv_file, baseline=bert, device="cpu")
    assert result.gain.trained == result.classifiers
    assert result.gain.untouched == evaluate(bert, eval_file, reference=csv_file, device="cpu").classifiers
    assert json.loads(json.dumps(result.to_dict()))["gain"]["sentence"] == result.gain.sentence
    with pytest.raises(DataError, match="`baseline` needs `reference`"):
        evaluate(mpnet, eval_file, baseline=bert)


def test_the_commands_print_the_verdict(bert, csv_file, eval_file, tmp_path):
    done = run("train", csv_file, "--eval-data", eval_file, "--model", bert, "--output", tmp_path / "m",
                       "--max-steps", "2", "--batch-size", "8", "--samples-per-label", "2")  # fmt: skip
    assert "Was it worth it? 12 evaluation sentences" in " ".join(done.stdout.split())
    gain = json.loads((tmp_path / "m/metrics.json").read_text())["gain"]
    assert gain["sentence"] in done.stdout
    saved = gain["saved"]["accuracy"]
    assert f"The saved classifier, which tercet classify uses ({' and '.join(gain['saved']['members'])})".replace(
        "_", " "
    ) in " ".join(done.stdout.split())
    assert re.search(rf"accuracy, saved classifier +│ +– │ +{saved:.4f} │ +–", done.stdout)
    assert f"| accuracy, saved classifier | – | {saved:.4f} |" in (tmp_path / "m/README.md").read_text()
    classified = run("classify", tmp_path / "m", eval_file, "--output", tmp_path / "a.csv")  # The user's number.
    assert f"{saved:.1%}".replace("%", " %") in classified.stdout
    done = run("evaluate", tmp_path / "m", eval_file, "--reference", csv_file, "--baseline", bert)
    assert "accuracy, class means" in done.stdout
    assert "raining" in done.stdout.split("MAP@R")[-1]
    done = run("evaluate", tmp_path / "m", eval_file, "--baseline", bert, expect=2)
    assert "--baseline needs --reference" in done.stderr


def test_without_evaluation_rows_one_line_says_why(bert, csv_file, tmp_path):
    done = run("train", csv_file, "--eval-fraction", "0", "--model", bert, "--output", tmp_path / "m",
                       "--max-steps", "1", "--batch-size", "8", "--samples-per-label", "2")  # fmt: skip
    assert "Was it worth it? Unknown, because nothing was held out for evaluation." in done.stdout
