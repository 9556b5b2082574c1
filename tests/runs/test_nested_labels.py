"""Labels with several levels, from the file to the report of the run."""

import json
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
from datasets import Dataset

from tercet import SentenceTransformer, SentenceTransformerTrainer
from tercet._tree_errors import parent_errors
from tercet.cli.evaluations import print_parents
from tercet.data import ReadOptions, load_labelled
from tercet.data.sampling.label_space import sibling_codes
from tercet.data.sampling.sampler import GroupByLabelSampler
from tercet.errors import DataError
from tercet.evaluation import nested_metrics
from tercet.heads import HeadSettings, choose_head
from tercet.heads.labels import NestedLabels
from tercet.inspection import inspect
from tercet.inspection.tables import inspection_tables
from tercet.losses import BatchHardTripletLoss, MatryoshkaLoss, NestedTripletLoss
from tercet.losses.relations import LabelTree
from tercet.records import RowCounts, RunRecord
from tercet.report.evaluation_report import write_evaluation_report
from tercet.report.inspection_report import write_inspection_report
from tercet.report.run_report import write_run_report
from tercet.runs import RunSettings, evaluate, train
from tercet.runs.build import build_loss
from tests.conftest import EVALUATION_TOPICS, TOPICS
from tests.inspection.helpers import Blobs
from tests.trainer.helpers import make_arguments

PARENTS = {"sport": "leisure / sport", "travel": "leisure / travel", "money": "money", "food": "home / food"}
# With cached gradients and a cross-batch memory, which see label ids only.
SETTINGS = RunSettings(
    max_steps=3, batch_size=8, samples_per_label=2, label_levels="/", train="encoder",
    mini_batch_tokens=24, cross_batch_memory=16,
)  # fmt: skip


def _data(topics):
    rows = [(text, PARENTS[label]) for label, texts in topics.items() for text in texts]
    return Dataset.from_dict({"sentence": [text for text, _ in rows], "label": [label for _, label in rows]})


def test_train_and_evaluate(bert, tmp_path):
    run = train(
        _data(TOPICS), tmp_path / "model", model=bert, settings=SETTINGS, eval_data=_data(EVALUATION_TOPICS),
        show_progress_bar=False,
    )  # fmt: skip
    assert run.model.label_names == ["home/food", "leisure/sport", "leisure/travel", "money"]
    metrics = run.record.after
    assert 0 < metrics["map@r_level1"] <= 1
    assert 0 < metrics["ndcg@10"] <= 1
    assert metrics["tree_distance"] <= 4
    record = json.loads((tmp_path / "model" / "metrics.json").read_text())
    assert record["settings"]["label_levels"] == "/"
    again = evaluate(
        tmp_path / "model", _data(EVALUATION_TOPICS), reference=_data(TOPICS), label_levels="/", similar_labels="keep"
    )
    for key in ("map@r", "map@r_level1", "tree_distance", "ndcg@10"):
        assert again[key] == pytest.approx(metrics[key], abs=1e-5)
    _check_parents(run, again, tmp_path)


def test_the_head_learns_the_levels(bert, tmp_path, monkeypatch):
    """The head of a run is that of the nested labels, not of the complete ones."""
    seen = []
    original = NestedLabels.loss

    def loss(self, margin, **options):
        seen.append(self.paths)
        return original(self, margin, **options)

    monkeypatch.setattr(NestedLabels, "loss", loss)
    quick = {**choose_head.__kwdefaults__, "candidates": (HeadSettings(steps=20, batch_size=16),)}
    monkeypatch.setattr(choose_head, "__kwdefaults__", quick)
    run = train(
        _data(TOPICS), tmp_path / "model", model=bert, settings=replace(SETTINGS, train="head"), eval_fraction=0,
        classifier=False, show_progress_bar=False,
    )  # fmt: skip
    assert run.record.choices["head"]["steps"] > 0
    assert (run.record.settings["margin"], run.record.trained_with["margin"]) == (None, 0.2)
    both = train(
        _data(TOPICS), tmp_path / "both", model=bert, settings=replace(SETTINGS, train="both"), eval_fraction=0,
        classifier=False, show_progress_bar=False,
    )  # fmt: skip
    assert both.record.settings["margin"] == both.record.trained_with["margin"] == [0.6, 0.3]
    flat = replace(SETTINGS, train="encoder"), replace(SETTINGS, train="both", margin=[0.5, 0.2])
    losses = [build_loss(settings, None, ["a/b", "a/c", "e"]) for settings in flat]
    assert losses[0].weights is None
    assert losses[1].weights == pytest.approx([1 / 13, 12 / 13])
    assert [loss.margin for loss in losses[1].losses] == [0.5, 0.2]
    assert seen == 2 * [[("home", "food"), ("leisure", "sport"), ("leisure", "travel"), ("money",)]]


def test_without_a_head_the_loss_is_that_of_an_encoder(bert, tmp_path, caplog):
    caplog.set_level("INFO", logger="tercet")
    settings = replace(SETTINGS, train="auto", max_steps=1, mini_batch_tokens=None, cross_batch_memory=0)
    made = []
    for margin in (None, [0.5, 0.4]):
        run = train(
            _data(TOPICS), tmp_path / f"m{len(made)}", model=bert, settings=replace(settings, margin=margin),
            eval_fraction=0, classifier=False, show_progress_bar=False,
        )  # fmt: skip
        assert run.record.choices["head"] is None  # The data are too few for a choice.
        card = json.loads((tmp_path / f"m{len(made)}/tercet.json").read_text())["training"]
        made.append((run.record.settings["margin"], card["loss_settings"]["Margin"]))
    assert made == [(0.3, [0.3, 0.15]), ([0.5, 0.4], [0.5, 0.4])]
    assert "without a head, the margin of the coarsest level is 0.3" in caplog.text


def _check_parents(run, again, folder):
    """The errors within and across parents are those of the best classifier, in records and in both reports."""
    parents = run.record.parents
    assert {one.parent: one.labels for one in parents} == {"home": 1, "leisure": 2, "money": 1}
    predicted = run.predictions.predicted[run.record.gain.trained.best]
    names = run.predictions.label_names
    pairs = [(names[a], names[b]) for a, b in zip(run.predictions.label_ids, predicted, strict=True)]
    across = sum(a.split("/")[0] != b.split("/")[0] for a, b in pairs)
    assert sum(one.across for one in parents) == across
    assert sum(one.within for one in parents) == sum(a != b for a, b in pairs) - across
    assert RunRecord.from_dict(json.loads((folder / "model" / "metrics.json").read_text())).parents == parents
    assert again.to_dict()["parents"] == [asdict(one) for one in again.parents]
    write_run_report(folder / "run.html", run.record, run.log, None, predictions=run.predictions)
    write_evaluation_report(
        folder / "evaluation.html", model="m", data="d", reference="r", metrics=again.metrics, protocol=again.protocol,
        rows=again.rows, classifiers=again.classifiers, parents=again.parents,
    )  # fmt: skip
    title = f"Errors within and across parents: {sum(one.within for one in parents):,} within, {across:,} across"
    assert title in (folder / "run.html").read_text()
    assert "Errors within and across parents: " in (folder / "evaluation.html").read_text()


def test_an_inspection_counts_issues_within_and_across_parents(tmp_path):
    place = {"one": "a / x", "two": "a / y", "three": "b"}
    rows = [(f"{word} {letter}", label) for word, label in place.items() for letter in "abcdefghijkl"]
    rows[0], rows[1] = (rows[0][0], "a / y"), (rows[1][0], "b")  # two wrong labels: one within a, one across
    columns = dict(zip(("text", "label"), map(list, zip(*rows, strict=True)), strict=True))
    found = inspect(columns, Blobs(), label_levels="/")
    parents = {one.parent: (one.within, one.across, one.most_often) for one in found.with_model.parents}
    assert parents == {"a": (1, 0, None), "b": (0, 1, "a")}
    assert found.texts.combined_labels == []
    (table,) = [table for table in inspection_tables(found, 10) if table.key == "parents"]
    assert table.rows[0] == ("a", "2", "23", "1", "0", "–")
    assert found.to_dict()["with_model"]["parents"][1]["most_often"] == "a"
    write_inspection_report(tmp_path / "i.html", found)
    assert "Label issues within and across parents" in (tmp_path / "i.html").read_text()
    assert inspect(columns, Blobs()).with_model.parents is None


def test_an_inspection_shows_every_level(tmp_path):
    place = {"one": "a / x / 1", "two": "a / x / 2", "three": "a / y", "four": "b"}
    rows = [(f"{word} {letter}", label) for word, label in place.items() for letter in "abcdefghijkl"]
    rows[0], rows[1], rows[30] = (rows[0][0], "a / x / 2"), (rows[1][0], "a / y"), (rows[30][0], "b")
    columns = dict(zip(("text", "label"), map(list, zip(*rows, strict=True)), strict=True))
    found = inspect(columns, Blobs(), label_levels="/")
    parents = {one.parent: (one.within, one.across, one.most_often) for one in found.with_model.parents}
    assert parents == {"a": (2, 0, None), "a/y": (0, 1, "a/x"), "a/x": (1, 0, None), "b": (0, 1, "a")}
    tables = {table.key: table for table in inspection_tables(found, 3)}
    assert [row[0] for row in tables["parents"].rows] == ["a", "a/x", "b"]
    assert tables["parents"].levels == (1, 2, 1)
    assert "(the 3 of 4 with the most)" in tables["parents"].title
    assert ("label issues by level", "level 1: 1, level 2: 1, level 3: 1") in tables["lengths"].rows
    write_inspection_report(tmp_path / "i.html", found)
    assert '<tr data-level="2">' in (tmp_path / "i.html").read_text()


def test_a_report_and_the_command_line_show_every_level(tmp_path, capsys):
    given = ["a/x/1"] * 6 + ["a/x/2"] * 4 + ["a/y"] * 5 + ["b"] * 5
    predicted = ["a/x/2", "a/y", "b", *given[3:]]
    parents = parent_errors(given, predicted, "/")
    write_evaluation_report(
        tmp_path / "e.html", model="m", data="d", reference="r", metrics={"map@r": 0.5}, protocol="against_reference",
        rows=RowCounts(rows=20, measured=20), parents=parents,
    )  # fmt: skip
    page = (tmp_path / "e.html").read_text()
    assert "Errors within and across parents: 2 within, 1 across at level 1" in page
    assert [part.split('"')[0] for part in page.split('<tr data-level="')[1:]] == ["1", "2", "2", "1"]
    print_parents(parents)
    shown = capsys.readouterr().out
    for text in (page, shown):
        assert "Right at level 1: 95.0% of 20 sentences; up to level 2: 90.0%; up to level 3: 85.0%" in text
    assert [line.split()[1] for line in shown.splitlines() if line.startswith("│")] == ["a", "a/x", "a/y", "b"]


def test_each_finer_level_has_half_the_margin():
    loss = build_loss(SETTINGS, None, ["a/b/c", "a/d", "e"])
    assert isinstance(loss, NestedTripletLoss)
    assert [part.margin for part in loss.losses] == [0.3, 0.15, 0.075]
    assert len(loss.tree) == 3
    given = build_loss(replace(SETTINGS, margin=(0.5, 0.4, 0.1)), None, ["a/b/c", "a/d", "e"])
    assert given.get_config_dict()["margin"] == [0.5, 0.4, 0.1]
    soft = build_loss(RunSettings(loss="batch-hard-soft-margin", label_levels="/"), None, ["a/b", "e"])
    assert not soft.has_margin


@pytest.mark.parametrize(
    ("labels", "separator", "message"),
    [
        (["a/b", "a//c", "d"], "/", "'a//c' has an empty level"),
        (["a/b", "a/c", "d"], ">", "no label contains '>'"),
        ([["a", "b/c"], ["a", "d"], ["e"]], "/", "contains the separator '/'"),
    ],
)
def test_labels_that_are_not_nested(labels, separator, message):
    data = Dataset.from_dict({"sentence": ["one", "two", "three"], "label": labels})
    with pytest.raises(DataError, match=message):
        load_labelled(data, ReadOptions(label_levels=separator))


def test_paths_in_lists_are_labels():
    labels = [["a", "b"], ["a", "c"], ["d"], ["a", "b"]]
    data = load_labelled(Dataset.from_dict({"sentence": ["one", "two", "three", "four"], "label": labels}),
                         ReadOptions(label_levels=">"))  # fmt: skip
    assert data.labels() == ["a>b", "a>c", "d", "a>b"]


def test_settings_that_do_not_fit():
    with pytest.raises(DataError, match="must be the separator"):
        RunSettings(label_levels=" ").check()
    with pytest.raises(DataError, match="leave it out"):
        RunSettings(loss="triplet", label_levels="/").check()
    with pytest.raises(DataError, match="exclude each other"):
        ReadOptions(label_levels="/", combined_labels="keep")


def test_a_wrong_number_of_margins_is_refused_before_the_model_is_read(tmp_path):
    with pytest.raises(DataError, match="margin has 3 values, but the labels have 2 levels; pass a margin for each"):
        train(_data(TOPICS), tmp_path / "m", model="bundled", settings=replace(SETTINGS, margin=[0.3, 0.2, 0.1]))
    assert not list(tmp_path.iterdir())


def test_siblings_meet_in_a_batch():
    """Half of the labels of a batch are siblings, with and without means, and every row is in the epoch."""
    labels, parents = np.repeat(np.arange(40), 6), np.arange(40) // 4
    sampler = GroupByLabelSampler(labels, 32, 4, neighbor_labels=0.5, parents=parents)
    unaware = GroupByLabelSampler(labels, 32, 4)
    pairs = []
    for means in (None, np.random.default_rng(0).normal(size=(40, 5))):
        sampler.set_label_means(means)
        batches = sampler.batches()
        assert set(batches.ravel()) == set(range(len(labels)))
        pairs.append(_sibling_pairs(labels[batches], parents))
    assert min(pairs) > 2.5 * _sibling_pairs(labels[unaware.batches()], parents)
    with pytest.raises(DataError, match="one number for each of the 40 labels"):
        GroupByLabelSampler(labels, 32, 4, parents=parents[:5])


def test_siblings_come_first_and_labels_with_a_common_ancestor_second():
    """Labels of different depth meet their siblings, too: "a/y" has none at the level of "a/x/1"."""
    names = ["a/x/1", "a/x/2", "a/y", "b", "c/z/1", "c/z/2"]
    ancestors = LabelTree([name.split("/") for name in names]).ancestors[:-1].numpy()
    codes = sibling_codes(ancestors, len(names))
    cosines = codes @ codes.T
    assert np.linalg.norm(codes, axis=1) == pytest.approx([1, 1, 1, 0, 1, 1])
    assert cosines[0] == pytest.approx([1, 1, 0.5**0.5, 0, 0, 0])
    assert cosines[4] == pytest.approx([0, 0, 0, 0, 1, 1])


def test_cousins_meet_in_a_batch():
    """In a tree of three levels, the parents in a batch have more parents in common than in random batches."""
    labels = np.repeat(np.arange(80), 6)
    parents, coarsest = np.arange(80) // 2, np.arange(80) // 8
    sampler = GroupByLabelSampler(labels, 32, 4, neighbor_labels=1.0, parents=np.stack([coarsest, parents]))
    siblings_only = GroupByLabelSampler(labels, 32, 4, neighbor_labels=1.0, parents=parents)
    batches = labels[sampler.batches()]
    assert _sibling_pairs(batches, coarsest) > 2 * _sibling_pairs(labels[siblings_only.batches()], coarsest)
    assert _sibling_pairs(batches, parents) > 0.9 * _sibling_pairs(labels[siblings_only.batches()], parents)


@pytest.mark.parametrize("wrapped", [False, True])
def test_siblings_meet_in_a_batch_of_the_trainer(wrapped, bert, tmp_path):
    labels, parents = np.repeat(np.arange(40), 4), np.arange(40) // 4
    data = Dataset.from_dict({"text": [f"the team {row}" for row in range(160)], "label": labels.tolist()})
    model = SentenceTransformer(bert, device="cpu")
    levels = [BatchHardTripletLoss(margin=margin) for margin in (0.4, 0.2)]
    loss = NestedTripletLoss(model, levels, [(str(parents[label]), str(label)) for label in range(40)])
    loss = MatryoshkaLoss(model, loss, [32, 8]) if wrapped else loss
    arguments = make_arguments(tmp_path, per_device_train_batch_size=16, neighbor_labels=0.5)
    trainer = SentenceTransformerTrainer(model, arguments, data, loss=loss)
    batches = trainer._get_train_sampler().batches()
    unaware = GroupByLabelSampler(labels, 16, 2).batches()
    assert _sibling_pairs(labels[batches], parents) > 2 * _sibling_pairs(labels[unaware], parents)


def _sibling_pairs(labels, parents):
    """The mean number of pairs of different labels with one parent in a batch."""
    families = [parents[np.unique(batch)] for batch in labels]
    return np.mean([sum(np.sum(family == parent) - 1 for parent in family) for family in families])


@pytest.mark.parametrize("with_reference", [False, True])
def test_metrics_equal_loops(with_reference):
    random = np.random.default_rng(3)
    names = ["a/x", "a/y", "a", "b/x", "b/x/z", "c"]
    x, y = random.normal(size=(40, 4)), random.choice(names, 40)
    gallery, known = (random.normal(size=(50, 4)), random.choice(names, 50)) if with_reference else (x, y)
    options = {"reference_embeddings": gallery, "reference_labels": known.tolist()} if with_reference else {}
    got = nested_metrics(x, y.tolist(), "/", distance="euclidean", block_bytes=4000, **options)
    steps, ndcg = [], []
    for row in range(len(x)):
        others = [other for other in range(len(gallery)) if with_reference or other != row]
        if y[row] not in known[others]:
            continue
        ranked = sorted(others, key=lambda other: np.linalg.norm(x[row] - gallery[other]))
        gains = [_common(y[row], known[other]) for other in ranked]
        lengths = [len(known[other].split("/")) for other in ranked]
        own = len(y[row].split("/"))
        steps.append(np.mean([own + length - 2 * gain for gain, length in zip(gains, lengths, strict=True)][:5]))
        ndcg.append(_dcg(gains[:10]) / _dcg(sorted(gains, reverse=True)[:10]))
    assert got["tree_distance"] == pytest.approx(np.mean(steps))
    assert got["ndcg@10"] == pytest.approx(np.mean(ndcg))
    assert sorted(key for key in got if "level" in key) == ["map@r_level1", "map@r_level2"]


def _common(one, other):
    pairs = zip(one.split("/"), other.split("/"), strict=False)
    number = 0
    for a, b in pairs:
        if a != b:
            break
        number += 1
    return number


def _dcg(gains):
    return sum(gain / np.log2(rank + 2) for rank, gain in enumerate(gains))


def test_labels_without_levels_have_no_metrics_of_levels():
    assert nested_metrics(torch.randn(4, 2), ["a", "a", "b", "b"], "/") == {}
