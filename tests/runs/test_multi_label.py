"""Several labels per sentence, from the file to the record, and in the trainer."""

import itertools
import json
import logging
from dataclasses import replace

import numpy as np
import pytest
from datasets import Dataset

from tercet import SentenceTransformer, SentenceTransformerTrainer, SentenceTransformerTrainingArguments, losses
from tercet.comparison import compare
from tercet.comparison.grid import parse_grid
from tercet.data.sampling.multi_label_sampler import SharedLabelSampler
from tercet.errors import DataError
from tercet.heads import HeadSettings, choose_head
from tercet.losses.relations import SharedLabel
from tercet.records import RunRecord
from tercet.runs import RunSettings, evaluate, repeat_arguments, train
from tercet.runs.evaluation_plan import plan_evaluation
from tercet.runs.stages import plan_stages
from tests.conftest import EVALUATION_TOPICS, TOPICS
from tests.runs.interruption import interrupted_at

# With cached gradients and a cross-batch memory, which see label ids only.
SETTINGS = RunSettings(
    max_steps=3, batch_size=8, samples_per_label=2, multi_label=";", mini_batch_tokens=40, cross_batch_memory=16
)


def _rows(topics, number):
    """Sentences of one topic, and of two topics joined by "and"."""
    pairs = itertools.combinations(topics, 2)
    rows = [(text, [label]) for label, texts in topics.items() for text in texts]
    rows += [
        (f"{one} and {other}", [first, second])
        for first, second in pairs
        for one, other in zip(topics[first][:number], topics[second][:number], strict=True)
    ]
    return {"text": [text for text, _ in rows], "label": [labels for _, labels in rows]}


LISTS, EVALUATION = _rows(TOPICS, 3), _rows(EVALUATION_TOPICS, 2)


def _joined(rows):
    return {"text": rows["text"], "label": ["; ".join(labels) for labels in rows["label"]]}


@pytest.fixture(scope="module")
def run(bert, tmp_path_factory):
    folder = tmp_path_factory.mktemp("multi")
    (folder / "train.json").write_text(json.dumps(_joined(LISTS)))
    Dataset.from_dict(_joined(LISTS)).to_json(folder / "train.jsonl")
    Dataset.from_dict(_joined(EVALUATION)).to_json(folder / "test.jsonl")
    return folder, train(
        folder / "train.jsonl", folder / "model", model=str(bert), settings=SETTINGS,
        eval_data=folder / "test.jsonl", show_progress_bar=False,
    )  # fmt: skip


def test_train_and_evaluate(bert, run):
    folder, trained = run
    assert trained.model.label_names == ["food", "money", "sport", "travel"]
    metrics = trained.record.after
    assert 0 < metrics["map@r"] < 1
    assert 0 < metrics["ndcg@10"] < 1
    assert "knn_accuracy" not in metrics
    assert trained.classifier is None
    record = json.loads((folder / "model" / "metrics.json").read_text())
    assert (record["settings"]["multi_label"], record["data"]["train"]["labels"]) == (";", 4)
    assert trained.model.training_record.loss_settings["positives"] == "share a label"
    again = evaluate(folder / "model", EVALUATION, reference=folder / "train.jsonl", multi_label=";")
    for key in ("map@r", "recall@1", "ndcg@10"):
        assert again[key] == pytest.approx(metrics[key], abs=1e-5)
    gain = trained.record.gain
    assert gain.trained.map_at_r == pytest.approx(metrics["map@r"])
    assert again.classifiers.f1 == pytest.approx(gain.trained.f1)
    assert (gain.rows, gain.labels) == (trained.record.evaluation["against_reference"].rows.measured, 4)
    assert gain.sentence in (folder / "model" / "README.md").read_text()
    assert record["gain"]["f1"]["difference"] == pytest.approx(gain.trained.f1 - gain.untouched.f1)
    assert RunRecord.from_dict(record).gain == gain
    compared = evaluate(folder / "model", EVALUATION, reference=LISTS, baseline=str(bert))
    assert compared.gain.f1.difference == pytest.approx(gain.f1.difference, abs=1e-5)
    assert compared.gain.sentence.startswith(gain.sentence[:20])
    alone = evaluate(folder / "model", EVALUATION)
    assert set(alone.metrics) >= {"map@r", "ndcg@10"}


def test_lists_need_no_option_and_the_record_repeats_the_run(bert, run, tmp_path, caplog):
    folder, first = run
    settings = RunSettings(max_steps=1, batch_size=8, samples_per_label=2)
    with caplog.at_level(logging.INFO):
        second = train(
            LISTS, tmp_path / "model", model=bert, settings=settings, eval_fraction=0.2, show_progress_bar=False
        )
    assert "column 'label' has lists" in caplog.text
    assert "no classifier is fitted" in caplog.text
    assert second.record.settings["multi_label"] == ";"
    assert second.record.after["ndcg@10"] > 0
    arguments = repeat_arguments(folder / "model")
    repeated = train(**arguments, output=tmp_path / "again", show_progress_bar=False)
    assert repeated.record.after == pytest.approx(first.record.after)


@pytest.fixture
def quick_heads(monkeypatch):
    """Let heads be trained in few steps."""
    quick = {**choose_head.__kwdefaults__, "candidates": (HeadSettings(steps=20, batch_size=16),)}
    monkeypatch.setattr(choose_head, "__kwdefaults__", quick)


def test_a_head_and_then_the_encoder_are_trained_and_resumed(bert, tmp_path, monkeypatch, quick_heads):
    settings = replace(SETTINGS, train="both", max_steps=4, save_every=2)
    options = {"model": str(bert), "settings": settings, "eval_data": EVALUATION, "show_progress_bar": False}
    expected = train(LISTS, tmp_path / "whole", **options)
    assert expected.record.choices["head"]["steps"] > 0
    assert [type(module).__name__ for module in expected.model][-2:] == ["Dense", "Normalize"]
    with interrupted_at(3, monkeypatch):
        train(LISTS, tmp_path / "m", **options)
    resumed = train(LISTS, tmp_path / "m", **options, resume=True)
    assert resumed.record.after == expected.record.after
    assert resumed.record.choices["head"] == expected.record.choices["head"]


def test_a_head_alone_and_a_smaller_dimension(bert, tmp_path, caplog, quick_heads):
    settings = RunSettings(train="head", dimension=4)
    with caplog.at_level(logging.INFO):
        run = train(
            LISTS, tmp_path / "m", model=str(bert), settings=settings, eval_data=EVALUATION, show_progress_bar=False
        )
    assert run.record.choices["trained_encoder"] is False
    assert "a head with dropout 0.1, because it cannot be measured whether one helps" in caplog.text
    loaded = SentenceTransformer(str(tmp_path / "m"))
    assert loaded.encode(["the match"]).shape == (1, 4)
    assert evaluate(loaded, EVALUATION, reference=LISTS)["map@r"] == pytest.approx(run.record.after["map@r"], abs=1e-5)


def test_rows_that_all_share_a_label_are_ranked_against_the_reference_only(bert):
    rows = {"text": ["one", "two", "three"], "label": ["bug;ui", "bug", "bug;api"]}
    reference = {"text": ["four", "five", "six"], "label": ["bug;ui", "crash", "api;crash"]}
    data = (Dataset.from_dict(part).rename_column("text", "sentence") for part in (rows, reference))
    plan = plan_evaluation(*data, multi_label=";")
    metrics = plan.measure(plan.embed(SentenceTransformer(str(bert)))).metrics
    assert list(metrics) == ["against_reference"]
    assert 0 < metrics["against_reference"]["map@r"] <= 1
    with pytest.raises(DataError, match="eval_steps needs evaluation data with two rows that share a label, and a"):
        plan.evaluator()
    with pytest.raises(DataError, match="shares a label with another row shares one with all rows"):
        evaluate(str(bert), rows, multi_label=";")
    with pytest.raises(DataError, match="shares one with every row of the reference data, so no ranking can be wrong"):
        evaluate(str(bert), {**reference, "label": ["bug;ui", "bug", "crash"]}, reference=rows, multi_label=";")


def test_validation_rows_that_all_share_a_label_choose_nothing():
    """With a label of all rows but two, every ranking of them is right."""
    names = ["bug;ui", "bug;api"] * 60 + ["crash"] * 2
    rows = Dataset.from_dict({"sentence": [f"sentence {row}" for row in range(122)], "label": names})
    settings = RunSettings(train="auto", multi_label=";")
    assert len(plan_stages(settings, rows).validation) == 0
    other = rows.map(lambda row: {"label": row["label"].replace("bug;ui", "ui")})
    assert len(plan_stages(settings, other).validation) > 0


def _trainer(bert, tmp_path, train_rows=LISTS, eval_rows=EVALUATION, loss=None, **options):
    model = SentenceTransformer(str(bert))
    loss = loss or losses.BatchHardTripletLoss(model, margin=0.5)
    arguments = SentenceTransformerTrainingArguments(
        output_dir=str(tmp_path), max_steps=2, per_device_train_batch_size=8, samples_per_label=2,
        batch_sampler="group_by_label", report_to="none", eval_strategy="steps", eval_steps=2, **options,
    )  # fmt: skip
    data = [None if rows is None else Dataset.from_dict(rows) for rows in (train_rows, eval_rows)]
    return SentenceTransformerTrainer(model, arguments, *data, loss=loss)


@pytest.mark.parametrize("weighted", [False, True])
def test_the_trainer_takes_a_column_of_lists(bert, tmp_path, weighted):
    loss = losses.BatchAllTripletLoss(margin=0.5, jaccard_weights=weighted)
    if weighted:  # A loss within another one, whose `forward` the trainer calls.
        loss = losses.MatryoshkaLoss(SentenceTransformer(str(bert)), loss, [32, 16])
    trainer = _trainer(bert, tmp_path, loss=loss, neighbor_labels=0.0 if weighted else 0.5)
    assert isinstance(trainer._get_train_sampler(), SharedLabelSampler)
    trainer.train()
    inner = loss.loss if weighted else loss
    names = sorted({";".join(sorted(labels)) for labels in LISTS["label"]})
    assert len(inner.relation.table) == len(names)
    assert inner.relation.weighted == weighted
    assert trainer.label_names_of_training == ["food", "money", "sport", "travel"]
    evaluation = [entry for entry in trainer.state.log_history if "eval_map@r" in entry][-1]
    assert 0 < evaluation["eval_ndcg@10"] <= 1
    record = trainer.model.training_record
    assert record.data == {"Training sentences": len(LISTS["text"]), "Training labels": 4}


def test_the_loss_of_a_batch_is_that_of_its_sets(bert, tmp_path):
    """The relation that the trainer sets gives the loss of the lists of labels themselves."""
    trainer = _trainer(bert, tmp_path)
    _check_loss(trainer, trainer.loss, trainer.train_dataset, LISTS)


def _check_loss(trainer, loss, prepared, lists):
    """The loss of the ids of sets is that of the lists themselves."""
    rows = prepared[:16]
    embeddings = trainer.model.encode(rows["sentence"], convert_to_tensor=True)
    by_text = dict(zip(lists["text"], lists["label"], strict=True))
    of_lists = losses.BatchHardTripletLoss(margin=0.5)
    wanted = of_lists.compute_loss_from_embeddings(embeddings, [set(by_text[text]) for text in rows["sentence"]])
    assert wanted.item() > 0
    got = loss.compute_loss_from_embeddings(embeddings, rows["label"])
    assert wanted.item() == pytest.approx(got.item())


def test_label_means_have_a_row_for_each_set_of_labels(bert, tmp_path):
    trainer = _trainer(bert, tmp_path, neighbor_labels=0.5)
    num_sets = len(set(trainer.train_dataset["label"][:]))
    assert num_sets > 4
    message = rf"\({num_sets}, dim\), one row for each set of labels in the order of the set ids, got \(4, 2\)"
    with pytest.raises(DataError, match=message):
        trainer.set_label_means(np.ones((4, 2)))
    trainer.set_label_means(np.ones((num_sets, 2)))


class _OwnLoss(losses.BatchHardTripletLoss):
    def batch_hard_triplet_loss(self, labels, embeddings):
        return embeddings.sum()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"loss": _OwnLoss()}, "_OwnLoss takes one label for each row"),
        ({"train_rows": {"text": ["a", "b", "c"], "label": [[1, 0, 1], [0, 1, 1], [1, 0, 0]]}}, "a 0 or a 1 for each"),
        ({"train_rows": {"text": ["a", "b", "c"], "label": [["x"], [], ["y"]]}}, "row 1: the label is missing"),
        ({"train_rows": {"text": ["a", "b", "c"], "label": [["x"], ["x"], ["x"]]}}, "no batch can hold a triplet"),
        ({"eval_rows": {"text": ["a", "b"], "label": [1, 2]}}, "only one of training and evaluation data"),
        ({"train_rows": {"text": ["a b", "b", "c"], "label": [1, 1, 2]}}, "only one of training and evaluation data"),
        ({"eval_rows": {"text": ["a", "b", "c"], "label": [["Food"], ["Food"], ["sport"]]}}, "'Food' for 'food'"),
    ],
)
def test_the_trainer_refuses(bert, tmp_path, changes, message):
    with pytest.raises(DataError, match=message):
        _trainer(bert, tmp_path, **changes)


def test_several_data_sets_need_a_loss_each(bert, tmp_path):
    model = SentenceTransformer(str(bert))
    arguments = SentenceTransformerTrainingArguments(
        output_dir=str(tmp_path), max_steps=2, per_device_train_batch_size=8, batch_sampler="group_by_label",
        samples_per_label=2, report_to="none", multi_dataset_batch_sampler="proportional",
    )  # fmt: skip
    data = {"one": Dataset.from_dict(LISTS), "two": Dataset.from_dict({**LISTS, "label": LISTS["label"][::-1]})}
    with pytest.raises(DataError, match="a loss for each data set"):
        SentenceTransformerTrainer(model, arguments, data, loss=losses.BatchHardTripletLoss(model))
    each = {name: losses.BatchHardTripletLoss(model, margin=0.5) for name in data}
    trainer = SentenceTransformerTrainer(model, arguments, data, loss=each)
    assert trainer.train().training_loss > 0
    for name, rows in data.items():
        _check_loss(trainer, each[name], trainer.train_dataset[name], rows)
    same = dict.fromkeys(data, losses.BatchHardTripletLoss(model))
    with pytest.raises(DataError, match="same loss object as the data set 'one'"):
        SentenceTransformerTrainer(model, arguments, data, loss=same)


def test_evaluation_data_share_the_table_of_their_loss(bert, tmp_path):
    model = SentenceTransformer(str(bert))
    arguments = SentenceTransformerTrainingArguments(output_dir=str(tmp_path), report_to="none")
    lists = {"x": Dataset.from_dict(LISTS), "y": Dataset.from_dict({**LISTS, "label": LISTS["label"][::-1]})}
    loss = losses.BatchHardTripletLoss(margin=0.5)
    trainer = SentenceTransformerTrainer(model, arguments, eval_dataset=lists, loss=loss)
    for name, rows in lists.items():
        _check_loss(trainer, loss, trainer.eval_dataset[name], rows)
    plain = {"a": Dataset.from_dict({"text": ["a", "b", "c", "d"], "label": [0, 0, 1, 1]})}
    with pytest.raises(DataError, match="only one of training and evaluation data"):
        SentenceTransformerTrainer(model, arguments, plain, lists, loss=losses.BatchHardTripletLoss())


def test_a_loss_that_is_used_again_for_single_labels_has_no_sets(bert, tmp_path):
    loss = losses.BatchHardTripletLoss(margin=0.5)
    arguments = SentenceTransformerTrainingArguments(output_dir=str(tmp_path), report_to="none")
    for labels in (LISTS["label"], [len(one) for one in LISTS["label"]]):
        rows = Dataset.from_dict({**LISTS, "label": labels})
        SentenceTransformerTrainer(SentenceTransformer(str(bert)), arguments, rows, loss=loss)
    assert not isinstance(loss.relation, SharedLabel)


def test_a_loss_that_is_made_for_each_model_has_the_sets(bert, tmp_path):
    arguments = SentenceTransformerTrainingArguments(
        output_dir=str(tmp_path), max_steps=1, per_device_train_batch_size=8, report_to="none"
    )
    trainer = SentenceTransformerTrainer(
        args=arguments, train_dataset=Dataset.from_dict(LISTS), model_init=lambda: SentenceTransformer(str(bert)),
        loss=lambda model: losses.BatchHardTripletLoss(model, margin=0.5),
    )  # fmt: skip
    first = trainer.loss
    trainer.train()
    trainer.train()
    assert trainer.loss is not first
    _check_loss(trainer, trainer.loss, trainer.train_dataset, Dataset.from_dict(LISTS))


def test_evaluation_data_may_have_new_sets_and_single_labels(bert, tmp_path):
    rows = {"text": ["a", "b", "c"], "label": ["food", "food", "sport"]}
    trainer = _trainer(bert, tmp_path, eval_rows=rows)
    assert trainer.evaluate()["eval_map@r"] > 0
    new = Dataset.from_dict({"text": ["a", "b", "c"], "label": [["food", "new"], ["new"], ["sport"]]})
    assert trainer.evaluate(new)["eval_recall@1"] > 0
    assert np.isfinite(trainer.evaluate()["eval_loss"])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"loss": "triplet"}, "multi_label needs labels"),
        ({"label_levels": "/"}, "label_levels and multi_label exclude each other"),
        ({"multi_label": ""}, "must be the separator"),
    ],
)
def test_settings_that_do_not_fit(settings, message):
    with pytest.raises(DataError, match=message):
        RunSettings(**{"multi_label": ";", **settings}).check()


def test_what_takes_one_label_refuses(bert, tmp_path):
    with pytest.raises(DataError, match="several labels in one cell"):
        compare(LISTS, model=str(bert), output=tmp_path / "c")
    with pytest.raises(DataError, match="a comparison takes one label"):
        compare(LISTS, model=str(bert), output=tmp_path / "c", settings=SETTINGS)
    with pytest.raises(DataError, match="cannot read 'multi_label"):
        parse_grid(["multi_label=;,|"])
