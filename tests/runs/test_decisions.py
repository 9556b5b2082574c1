"""`tercet evaluate` on a model with a classifier: which rows are judged, what is printed, and the report."""

import html
import json
import re
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from datasets import Dataset
from sklearn.metrics import f1_score

from tercet import SentenceTransformer
from tercet.decisions import LabelClassifier
from tercet.errors import DataError, ModelError
from tercet.records import RunRecord
from tercet.runs import RunSettings, evaluate, train
from tercet.runs.decisions import judge_run
from tests.cli.command import run
from tests.conftest import EVALUATION_TOPICS, TOPICS


def pairs(topics):
    """Return the pairs of sentences of each label, as texts, and their labels."""
    rows = [(f"{a} {b}", label) for label, texts in topics.items() for a, b in product(texts, texts)]
    return [text for text, _ in rows], [label for _, label in rows]


def dataset(topics, more=()):
    texts, labels = pairs(topics)
    return Dataset.from_dict(
        {"sentence": [*texts, *(text for text, _ in more)], "label": [*labels, *(label for _, label in more)]}
    )


def write_csv(path, data):
    lines = [f"{text},{label}\n" for text, label in zip(data["sentence"], data["label"], strict=True)]
    path.write_text("text,label\n" + "".join(lines))
    return path


@pytest.fixture(scope="module")
def folder(bert, tmp_path_factory):
    """A model with a classifier that promises something."""
    path = tmp_path_factory.mktemp("classifier") / "m"
    LabelClassifier(SentenceTransformer(str(bert), device="cpu"), unseen_rows=True).fit(*pairs(TOPICS)).save(path)
    return path


def test_the_answers_are_those_of_the_saved_classifier(folder):
    data = dataset(EVALUATION_TOPICS)
    result = evaluate(folder, data, decisions=True, device="cpu")
    judged, classifier = result.decisions, LabelClassifier.load(folder, device="cpu")
    assert len(judged) == 36
    assert judged.accuracy == pytest.approx(classifier.score(data["sentence"], data["label"]))
    assert judged.sentences == data["sentence"][:]
    plain = evaluate(folder, data, device="cpu")
    assert plain.decisions is None
    assert plain.metrics == result.metrics
    found = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    assert found["decisions"]["rows"] == 36
    assert found["decisions"]["answered"] == judged.answered.sum()
    assert "decisions" not in plain.to_dict()


def test_each_evaluation_sentence_is_encoded_once(folder, monkeypatch):
    encoded, encode = [], SentenceTransformer.encode
    monkeypatch.setattr(
        SentenceTransformer,
        "encode",
        lambda model, texts, *args, **more: encoded.extend(texts) or encode(model, texts, *args, **more),
    )
    data = dataset(EVALUATION_TOPICS)
    evaluate(folder, data, decisions=True, device="cpu")
    assert sorted(text for text in encoded if text in set(data["sentence"])) == sorted(data["sentence"])


def test_training_rows_of_the_classifier_are_left_out_and_others_keep_their_numbers(folder):
    texts, labels = pairs(TOPICS)
    known = Dataset.from_dict({"sentence": texts[:10], "label": labels[:10]})
    new = dataset(EVALUATION_TOPICS, [("a new thing", "unknown")])
    data = Dataset.from_dict({name: known[name][:] + new[name][:] for name in ("sentence", "label")})
    judged = evaluate(folder, data, decisions=True, device="cpu").decisions
    assert judged.left_out == 10
    assert judged.rows.tolist() == list(range(10, 47))
    assert judged.known.tolist() == [True] * 36 + [False]
    against = evaluate(folder, data, reference=dataset(TOPICS), decisions=True, device="cpu").decisions
    assert against.left_out == 0  # their texts are in the reference
    assert against.rows.tolist() == judged.rows.tolist()
    np.testing.assert_allclose(against.confidence, judged.confidence, atol=1e-6)
    with pytest.raises(DataError, match="all 64 sentences of the rows of the evaluation data are training sentences"):
        evaluate(folder, dataset(TOPICS), decisions=True, device="cpu")


def test_the_promised_precision_can_be_chosen(folder):
    data = dataset(EVALUATION_TOPICS)
    found = [evaluate(folder, data, min_precision=p, device="cpu").decisions for p in (0.6, 0.8)]
    assert [judged.limits.promise.min_precision for judged in found] == [0.6, 0.8]
    assert found[0].coverage >= found[1].coverage
    none = evaluate(folder, data, max_novelty=0.0, device="cpu").decisions
    assert none.coverage < evaluate(folder, data, decisions=True, device="cpu").decisions.coverage
    auto = evaluate(folder, data, min_precision=0.8, max_novelty="auto", device="cpu").decisions
    assert auto.limits.promise.max_novelty == 0.9


def test_what_cannot_be_judged_is_one_sentence(folder, bert, tmp_path):
    other = dataset({label.upper(): texts for label, texts in EVALUATION_TOPICS.items()})
    with pytest.raises(DataError, match="another way than in the classifier, such as '[A-Z]+' for"):
        evaluate(folder, other, decisions=True)
    assert evaluate(folder, other, decisions=True, similar_labels="merge").decisions.known.all()
    data = dataset(EVALUATION_TOPICS)
    for more in ({"decisions": True}, {"min_precision": 0.9}, {"max_novelty": 0.9}):
        with pytest.raises(DataError, match="need the folder of a model with a classifier, but .* has no label_class"):
            evaluate(bert, data, **more)
    with pytest.raises(DataError, match="but model is no folder"):
        evaluate(SentenceTransformer(str(bert), device="cpu"), data, decisions=True)
    with pytest.raises(DataError, match="no threshold gives 99.99 % precision"):
        evaluate(folder, data, min_precision=0.9999)
    with pytest.raises(DataError, match="min_precision must be above 0 and below 1"):
        evaluate(folder, data, min_precision=1.0)
    (tmp_path / "bad").mkdir()
    for file in folder.iterdir():
        if file.is_file():
            (tmp_path / "bad" / file.name).write_bytes(file.read_bytes())
    (tmp_path / "bad" / "label_classifier.safetensors").write_bytes(b"broken")
    with pytest.raises(ModelError, match="is not a valid file"):
        evaluate(tmp_path / "bad", data, decisions=True)


def test_the_command_prints_the_decisions_and_writes_the_report(folder, tmp_path):
    test = write_csv(tmp_path / "test.csv", dataset(EVALUATION_TOPICS, [("<script>x</script> bread", "<b>new</b>")]))
    training = write_csv(tmp_path / "train.csv", dataset(TOPICS))
    page = tmp_path / "new" / "page.html"
    words = ("evaluate", folder, test, "--reference", training, "--report", page, "--device", "cpu")
    done = run(*words)
    text = page.read_text(encoding="utf-8")
    judged = evaluate(folder, str(test), reference=str(training), decisions=True, device="cpu").decisions
    for line in (judged.describe()[1:], judged.limits.promise.describe()):
        assert " ".join(line.split()) in " ".join(done.stdout.split())
        assert html.escape(line) in text
    titles = re.findall(r"<h2[^>]*>([^<]*)</h2>", text)
    assert titles == ["Decisions", "Answers per label", "Rejected sentences", "Metrics", "Classifiers",
                      "To repeat the evaluation"]  # fmt: skip
    assert f"the rows of {test.name}".capitalize() in text
    for value in re.findall(r"\d\.\d{4}", done.stdout):
        assert value in text
    assert "<script>x" not in text
    assert "<b>new" not in text
    assert html.escape("<b>new</b>") in text
    assert f"report written to {page}" in done.stderr
    again = run(*words, expect=2)
    assert "already exists; choose another --report or add --overwrite" in again.stderr
    run(*words, "--overwrite", "--no-texts", "--min-precision", 0.7, "--max-novelty", "auto")
    text = page.read_text(encoding="utf-8")
    assert "the soup was fresh" not in text
    assert "row 3" in text
    assert "At 70% promised precision" in text


def test_a_model_without_a_classifier_has_a_report_without_decisions(bert, eval_file, csv_file, tmp_path):
    run("evaluate", bert, eval_file, "--reference", csv_file, "--baseline", bert, "--report", tmp_path / "r.html")
    titles = re.findall(r"<h2[^>]*>([^<]*)</h2>", (tmp_path / "r.html").read_text())
    assert titles == ["Was it worth it?", "Metrics", "To repeat the evaluation"]
    refused = run("evaluate", bert, eval_file, "--min-precision", 0.9, expect=2).stderr
    assert "--min-precision" in refused
    assert "has no label_classifier.json" in refused
    assert len(refused.strip().splitlines()) == 1
    assert "must end in .html" in run("evaluate", bert, eval_file, "--report", "r.htm", expect=2).stderr


@pytest.mark.parametrize("several", [False, True])
def test_a_report_about_rows_that_cannot_be_judged_has_the_metrics(several, folder, tmp_path):
    data, more, reason = dataset(TOPICS), (), "all 64 sentences of the rows of t.csv are training sentences of the"
    if several:
        labels = [f"{label};all" if row % 2 else label for row, label in enumerate(data["label"])]
        data = {"sentence": data["sentence"], "label": labels}
        more, reason = ("--multi-label", ";"), "it gives each sentence one label, and the rows have several"
    test, page = write_csv(tmp_path / "t.csv", data), tmp_path / "r.html"
    done = run("evaluate", folder, test, *more, "--report", page, "--json", "--device", "cpu")
    found = json.loads(done.stdout)
    assert found["metrics"]["map@r"] > 0
    assert "decisions" not in found
    (warning,) = [part for part in found["warnings"] if part["kind"] == "not-judged"]
    message = f"the decisions of the classifier are not judged: {reason}"
    assert warning["message"].startswith(message)
    text = page.read_text()
    assert html.escape(message) in text
    assert "Decisions</h2>" not in text
    for limit in (("--min-precision", 0.5), ("--max-novelty", "auto")):
        limited = tmp_path / "limited.html"
        refused = run("evaluate", folder, test, *more, "--report", limited, *limit, "--device", "cpu", expect=2).stderr
        assert ("a classifier gives each sentence one label" if several else reason) in refused
        assert not limited.exists()
    with pytest.raises(DataError, match="decisions must be True, False or 'if possible', got 'auto'"):
        evaluate(folder, str(test), decisions="auto")


def test_new_data_are_different_is_a_warning_on_the_page(folder, tmp_path):
    texts = [f"xqz {a} {b} zzx {c}" for a in "abcdefg" for b in "hijkl" for c in "mnop"]
    labels = [list(TOPICS)[number % 4] for number in range(len(texts))]
    test = write_csv(tmp_path / "t.csv", {"sentence": texts, "label": labels})
    done = run("evaluate", folder, test, "--report", tmp_path / "r.html", "--json", "--device", "cpu")
    found = json.loads(done.stdout)
    kinds = [warning["kind"] for warning in found["warnings"]]
    assert "unfamiliar-data" in kinds
    assert "below-promise" in kinds
    text = (tmp_path / "r.html").read_text()
    for warning in found["warnings"]:
        assert text.count(f"<span>{html.escape(warning['message'])}") == 1
    assert "; classify with a limit of the novelty to give them no answer, or label some of them" in text
    assert "max_novelty=" not in text


SETTINGS = RunSettings(train="head", max_steps=4, batch_size=8, samples_per_label=2, learning_rate=1e-3)


def test_the_decisions_of_a_run_are_about_its_held_out_rows(bert, tmp_path):
    data = write_csv(tmp_path / "data.csv", dataset(TOPICS))
    done = train(data, tmp_path / "m", model=bert, settings=SETTINGS, device="cpu", eval_fraction=0.3)
    judged = judge_run(done)
    held_out = done.record.data["eval"]["held_out_rows"]
    assert (judged.basis, judged.source) == ("held out", "the held-out rows")
    assert set(judged.rows.tolist()) <= set(held_out)
    assert len(judged) == done.record.classifier.calibration_rows
    texts, labels = pairs(TOPICS)
    assert judged.sentences == [texts[row] for row in judged.rows]
    assert [judged.label_names[number] for number in judged.label_ids] == [labels[row] for row in judged.rows]
    saved = done.record.gain.saved
    assert len(judged) == done.record.gain.rows
    assert (saved.accuracy, saved.chosen_on_rows) == (judged.accuracy, True)
    assert saved.accuracy == pytest.approx(done.record.classifier.accuracy["chosen"])


def test_the_decisions_of_a_run_with_evaluation_data_are_about_them(bert, tmp_path, monkeypatch):
    data, test = dataset(TOPICS), dataset(EVALUATION_TOPICS, [("the market of soup", "unknown")])
    done = train(
        data, tmp_path / "m", model=bert, settings=SETTINGS, eval_data=test, device="cpu", keep_embeddings=True
    )
    with monkeypatch.context() as patch:  # Nothing is encoded again.
        patch.setattr(type(done.model), "encode", None)
        judged = judge_run(done)
    np.testing.assert_allclose(judged.confidence, judge_run(replace(done, embeddings=None)).confidence, atol=1e-3)
    saved = done.record.gain.saved
    test = test.select(range(len(test) - 1))  # without the row with an unknown label
    assert len(judged) == done.record.gain.rows == len(test)
    assert (saved.accuracy, saved.chosen_on_rows) == (judged.accuracy, False)
    assert saved.macro_f1 == pytest.approx(
        f1_score(test["label"], done.classifier.predict(test["sentence"]).tolist(), average="macro")
    )
    assert RunRecord.from_dict(json.loads((tmp_path / "m/metrics.json").read_text())).gain.saved == saved
    assert (judged.basis, judged.source) == ("new", "the evaluation rows")
    assert judged.rows.tolist() == done.eval_rows
    answers = done.classifier.predict(test["sentence"]).tolist()
    assert [judged.label_names[number] for number in judged.predicted_ids] == answers
    nothing = train(data, tmp_path / "n", model=bert, settings=SETTINGS, eval_fraction=0, device="cpu")
    judged = judge_run(nothing)
    assert (judged.basis, judged.source) == ("folds", "the training rows")
    assert judged.limits.promise is None
    assert judge_run(replace(nothing, classifier=None)) is None


def test_the_report_of_a_training_has_the_decisions(bert, tmp_path):
    data = write_csv(tmp_path / "data.csv", dataset(TOPICS))
    words = ("train", data, "--model", bert, "--train", "head", "--max-steps", 4, "--batch-size", 8,
             "--samples-per-label", 2, "--learning-rate", 1e-3, "--device", "cpu")  # fmt: skip
    run(*words, "--output", tmp_path / "m", "--report", tmp_path / "r.html", "--eval-fraction", 0.3)
    text = (tmp_path / "r.html").read_text()
    titles = re.findall(r"<h2[^>]*>([^<]*)</h2>", text)
    assert titles[2:5] == ["Decisions", "Answers per label", "Rejected sentences"]
    assert "The held-out rows (" in text
    promises = json.loads((tmp_path / "m/metrics.json").read_text())["classifier"]["promises"]
    assert [promise["min_precision"] for promise in promises] == [0.9, 0.95, 0.98]
    for promise in promises:  # The reader sees how many sentences are answered at 98 %.
        assert html.escape(promise["sentence"]) in text
    run(*words, "--output", tmp_path / "n", "--report", tmp_path / "n.html", "--no-classifier")
    assert "Rejected sentences" not in (tmp_path / "n.html").read_text()
    run(*words, "--output", tmp_path / "o", "--report", tmp_path / "o.html", "--eval-fraction", 0)
    text = (tmp_path / "o.html").read_text()
    assert "All rows are answered: no precision can be promised, because the encoder was trained on the rows" in text
