"""The complete inspection: rows are numbered as in the file, also if some were left out."""

import json

import numpy as np
import pytest
import torch

from tercet import SentenceTransformer
from tercet.data.loading.labelled import load_labelled
from tercet.errors import DataError, ModelError
from tercet.inspection import model_findings
from tercet.inspection.inspection import inspect
from tercet.inspection.label_issues.chance import follow_by_rank, is_at_chance
from tercet.inspection.label_issues.neighbours import Neighbours
from tercet.inspection.label_issues.score import LabelLogOdds
from tests.inspection.helpers import Blobs, ConstantModel, labelled, shuffled


def _rows():
    """A text and a label each: row 5 is planted, rows 0 and 8 are empty, row 9 copies row 3, row 10 contradicts it."""
    texts = [
        "",
        "one a",
        "one b",
        "one c",
        "one d",
        "one e",
        "two a",
        "two b",
        " ",
        "One  C",
        "one c",
        "two c",
        "two d",
    ]
    labels = ["x", "x", "x", "x", "x", "y", "y", "y", "y", "x", "y", "y", "y"]
    texts += ["two e", "one f", "one g g g g g"]
    return texts, [*labels, "y", "x", "x"]


@pytest.mark.slow
def test_rows_of_a_part_of_the_data_have_their_numbers_in_the_data():
    texts, labels = _rows()
    unused = {"text": ["z", "", "z"], "label": ["x", "x", ""], "part": ["train"] * 3}
    data = {"text": unused["text"] + texts, "label": unused["label"] + labels, "part": unused["part"] + ["own"] * 16}
    part = {"split_column": "part", "split": "own"}
    found, kept = (inspect(data, Blobs(), batch_size=4, samples_per_label=2, **part, drop_missing=drop)
                   for drop in (None, True))  # fmt: skip
    assert (found.texts.rows, kept.texts.rows) == (16, 14)
    assert (found.texts.empty, kept.texts.empty) == ([3, 11], [])
    for one in (found, kept):
        assert one.texts.duplicates == [12]
        assert [c.rows for c in one.texts.contradictions] == [[6, 12, 13]]
        assert {s.row for s in one.with_model.label_issues} == {8, 13}
        assert all(
            (s.text, s.label) == (data["text"][s.row], data["label"][s.row]) for s in one.with_model.label_issues
        )


def test_rows_count_from_the_first_row_of_data_also_after_empty_texts():
    texts, labels = _rows()
    found = inspect(labelled(texts, labels), Blobs(), batch_size=4, samples_per_label=2)
    assert found.texts.empty == [0, 8]
    assert found.texts.duplicates == [9]
    assert [c.rows for c in found.texts.contradictions] == [[3, 9, 10]]
    assert found.obstacle is None
    findings = found.with_model
    assert {s.row for s in findings.label_issues} == {5, 10}
    assert all((s.text, s.label) == (texts[s.row], labels[s.row]) for s in findings.label_issues)
    assert {s.suggested_label for s in findings.label_issues} == {"x"}
    assert [s.log_odds for s in findings.label_issues] == sorted(
        (s.log_odds for s in findings.label_issues), reverse=True
    )
    (pair,) = findings.confusions
    assert (pair.labels, pair.issues) == (("x", "y"), (0, 2))
    assert pair.fraction == pytest.approx(2 / 14)
    assert [example.row for example in pair.examples] == [findings.label_issues[0].row]
    assert findings.num_scored == 14
    assert (findings.lengths.truncated, findings.lengths.limit, findings.lengths.longest) == (1, 6, 8)
    for copy in findings.near_duplicates:
        for example in (copy.first, copy.second):
            assert (example.text, example.label) == (texts[example.row], labels[example.row])
        assert copy.first.label != copy.second.label
        assert copy.first.text.lower() != copy.second.text.lower()
    assert [suggestion.setting for suggestion in findings.suggestions] == ["distance", "margin", "samples_per_label"]


def test_the_order_of_the_rows_does_not_count():
    texts, labels = _rows()
    order = np.random.default_rng(0).permutation(len(texts))
    found, shuffled = (
        inspect(labelled([texts[row] for row in rows], [labels[row] for row in rows]), Blobs()).with_model
        for rows in (np.arange(len(texts)), order)
    )
    assert sorted((int(order[s.row]), s.text, s.suggested_label) for s in shuffled.label_issues) == sorted(
        (s.row, s.text, s.suggested_label) for s in found.label_issues
    )
    log_odds = {s.text: s.log_odds for s in found.label_issues}
    assert {s.text: s.log_odds for s in shuffled.label_issues} == pytest.approx(log_odds, abs=1e-2)


def test_integer_labels_are_named_by_their_digits():
    texts, labels = _rows()
    names = {"x": 1_000_000, "y": -3}
    found = inspect(labelled(texts, [names[label] for label in labels]), Blobs())
    assert found.texts.labels.sizes == [("-3", 7), ("1000000", 7)]
    assert {(s.row, s.label, s.suggested_label) for s in found.with_model.label_issues} == {
        (5, "-3", "1000000"), (10, "-3", "1000000"),
    }  # fmt: skip


def test_without_a_model_only_texts_and_labels_are_counted():
    found = inspect(labelled(*_rows()))
    assert found.with_model is None
    assert found.texts.rows == 16


@pytest.mark.parametrize(
    ("texts", "labels", "obstacle"),
    [
        (["one a", "two a"], ["x", "y"], "no label twice (2 labels, 2 rows)"),
        (["one a", "two a"], ["x", "x"], "one label only ('x')"),
        (["one a"], ["x"], "one label only ('x')"),
        (["one a", "one b", ""], ["x", "x", "y"], "one label only ('x')"),
        (["one a", "one b", "two"], ["0.5", "0.5", "1.5"], "the labels are decimal numbers"),
        (["one", "one", "one"], ["x", "x", "x"], "one label only"),
    ],
)
def test_data_that_cannot_be_used_for_training_are_reported_and_inspected(texts, labels, obstacle):
    found = inspect(labelled(texts, labels), Blobs(), source="the file")
    assert obstacle in found.obstacle
    assert found.obstacle.startswith("the file")
    assert (found.with_model.batches, found.with_model.suggestions) == (None, [])
    assert found.with_model.lengths.longest > 0
    json.dumps(found.to_dict(), allow_nan=False)


def test_no_rows():
    with pytest.raises(DataError, match="the file has no rows"):
        inspect(labelled([], []), source="the file")


@pytest.mark.parametrize("value", [torch.nan, -torch.inf, 1e25])
@pytest.mark.parametrize("labels", [["x", "x", "y"], ["x", "x", "x"]])
def test_a_model_with_unusable_embeddings_is_an_error(labels, value):
    class Broken(Blobs):
        def encode(self, sentences, **_):
            return super().encode(sentences).index_fill(0, torch.tensor([1]), value)

    # The second sentence with a text is the third row.
    with pytest.raises(
        ModelError,
        match=r"m returns values that are NaN, infinite or too large .* for 1 of 2 sentences \(for example row 2\)",
    ):
        inspect(labelled(["one a", "", "two b"], labels), Broken(), model_name="m")


def test_empty_texts_alone():
    found = inspect(labelled(["", " "], ["x", "y"]), Blobs(), source="the file")
    assert (found.obstacle, found.with_model, found.texts.empty) == (
        "the file has no row with a text; all texts are empty",
        None,
        [0, 1],
    )


def test_a_row_without_a_text_is_no_sentence_of_its_label():
    found = inspect(labelled(["one a", "one b", "", "\u200b", "two a"], ["x", "x", "y", "z", "y"]), Blobs())
    assert found.texts.empty == [2, 3]
    assert found.texts.labels.sizes == [("x", 2), ("y", 1)]
    assert found.with_model.num_scored == 2


def test_a_warning_says_that_most_labels_look_wrong():
    findings = inspect(shuffled(), Blobs()).with_model
    issues = len(findings.label_issues)
    assert 18 < issues < findings.num_scored == 36
    assert findings.warning == (
        f"Most labels look wrong ({issues} of 36), so the lists of label issues and confused labels are unreliable. "
        "Check that each row has its own label (the rows may be shuffled, or the label column may be wrong), or try "
        "another model."
    )
    assert findings.batches is not None


@pytest.mark.parametrize("seed", range(6))
def test_a_warning_says_that_two_labels_at_random_do_not_follow_from_the_sentences(seed):
    """Of two labels at random, about half look wrong, so that often not most do."""
    texts = [f"{place} {letter}{number}" for place in ("one", "two") for letter in "abcdefghij" for number in range(10)]
    given = [text.split()[0] for text in texts]
    found = inspect(labelled(texts, np.random.default_rng(seed).permutation(given).tolist()), Blobs(), model_name="m")
    issues = len(found.with_model.label_issues)
    assert 70 < issues < 130
    assert found.with_model.warning.startswith(
        f"Most labels look wrong ({issues} of 200), so the lists"
        if issues > 100
        else f"The labels do not follow from the sentences, as far as m shows: {issues} of 200 labels look wrong, and "
        "always answering the most frequent label would be wrong for 100, so the lists of label issues and confused "
        "labels are unreliable. Check that each row has its own label"
    )
    some = ["two" if row < 20 else label for row, label in enumerate(given)]  # 20 wrong labels are no reason.
    assert inspect(labelled(texts, some), Blobs()).with_model.warning is None


@pytest.mark.parametrize(
    ("issues", "scored", "errors", "expected"),
    [(240, 500, 250, True), (210, 500, 250, False), (50, 500, 50, True), (20, 500, 50, False), (2, 4, 2, False)],
)
def test_labels_are_at_chance_if_it_can_be_shown(issues, scored, errors, expected):
    assert is_at_chance(issues, scored, errors) == expected
    assert not is_at_chance(issues, scored, 0)


@pytest.mark.parametrize(("wrong", "warned"), [(2, False), (3, True)])
def test_half_of_the_labels_are_not_most(wrong, warned, monkeypatch):
    log_odds = torch.tensor([1.0] * wrong + [-1.0] * (4 - wrong) + [torch.nan])
    suggested, nothing = torch.zeros(5, dtype=torch.long), torch.full((5,), -torch.inf)
    neighbours = Neighbours(similarity=nothing, row=suggested, other_similarity=nothing, other_row=suggested)
    found = LabelLogOdds(log_odds=log_odds, suggested=suggested, neighbours=neighbours)
    monkeypatch.setattr(model_findings, "score_texts", lambda *_, **__: found)
    findings = inspect(labelled([f"one {letter}" for letter in "abcde"], ["y"] * 4 + ["x"]), Blobs()).with_model
    assert (findings.num_scored, len(findings.label_issues)) == (4, wrong)
    assert (findings.warning is not None) == warned


def test_a_constant_model_lists_nothing_and_warns():
    found = inspect(shuffled(), ConstantModel(), model_name="m")
    findings = found.with_model
    assert findings.warning == (
        "m gives all sentences the same embedding, so labels cannot be checked; choose another model."
    )
    assert (findings.num_scored, findings.batches) == (None, None)
    assert findings.label_issues == findings.confusions == findings.near_duplicates == findings.suggestions == []
    assert findings.lengths.longest == 4
    assert json.loads(json.dumps(found.to_dict(), allow_nan=False))["with_model"]["warning"] == findings.warning


def test_equal_embeddings_of_copies_are_no_fault_of_the_model():
    for texts in (["one a"], ["one a", "ONE  A", "one a"]):
        findings = inspect(labelled(texts, ["x", "y", "x"][: len(texts)]), ConstantModel()).with_model
        assert (findings.num_scored, findings.warning) == (0, None)


def test_one_text_under_every_label():
    found = inspect(labelled(["one a"] * 6, ["x", "y"] * 3), Blobs(), batch_size=4, samples_per_label=2)
    assert (found.with_model.num_scored, found.with_model.warning) == (0, None)
    assert found.with_model.label_issues == found.with_model.near_duplicates == []
    json.dumps(found.to_dict(), allow_nan=False)


def test_lists_are_limited_and_counted():
    texts, labels = _rows()
    found = inspect(labelled(texts, labels), Blobs())
    short, complete = found.to_dict(max_items=1), found.to_dict()
    assert short["counts"] == complete["counts"]
    assert complete["counts"] | {"near_duplicates": 0} == {
        "empty": 2, "missing_labels": 0, "duplicates": 1, "contradictions": 1, "combined_labels": 0,
        "similar_labels": 0, "label_issues": 2, "confusions": 1, "near_duplicates": 0,
    }  # fmt: skip
    assert short["texts"]["empty"] == [0]
    assert complete["texts"]["empty"] == [0, 8]
    assert short["with_model"]["label_issues"] == complete["with_model"]["label_issues"][:1]
    # Lists that are not counted are complete.
    assert short["texts"]["labels"] == complete["texts"]["labels"]
    assert short["with_model"]["batches"] == complete["with_model"]["batches"]
    assert (
        json.loads(json.dumps(complete, allow_nan=False))["with_model"]["label_issues"]
        == complete["with_model"]["label_issues"]
    )


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"batch_size": 9, "samples_per_label": 2}, "a batch of 9 cannot hold labels with 2 sentences each"),
        ({"samples_per_label": 1}, "samples_per_label must be at least 2, got 1"),
        ({"seed": -1}, "seed must be at least 0, got -1"),
    ],
)
def test_settings_are_refused_before_the_work(settings, message):
    class NotUsed(Blobs):
        def encode(self, sentences, **_):
            raise AssertionError

    with pytest.raises(DataError, match=message):
        inspect(shuffled(), NotUsed(), **settings)


@pytest.mark.slow
def test_with_a_real_encoder(bert, sentences, labels):
    model = SentenceTransformer(bert, device="cpu")
    data = labelled(sentences, labels)
    found, again = (inspect(data, model, batch_size=8, samples_per_label=2).with_model for _ in range(2))
    assert found == again
    assert found.num_scored == len(sentences)
    assert found.lengths.limit == 32
    assert found.lengths.mean == pytest.approx(np.mean([len(sentence.split()) + 2 for sentence in sentences]))
    assert found.suggestions[0].value == "cosine"


@pytest.mark.slow
def test_data_and_model_may_be_names(csv_file, bert):
    found = inspect(str(csv_file), str(bert), batch_size=8, samples_per_label=2)
    data = load_labelled(str(csv_file), incomplete=True)
    model = SentenceTransformer(bert)
    names = {"source": str(csv_file), "model_name": str(bert)}
    assert found == inspect(data, model, **names, batch_size=8, samples_per_label=2)
    assert found.with_model.model == str(bert)
    assert inspect(str(csv_file), text_column="label", label_column="text").texts.labels.count == 16


def test_the_columns_of_a_file_may_be_missing(csv_file):
    with pytest.raises(DataError, match="has no column 'title'"):
        inspect(str(csv_file), text_column="title")


def test_labels_that_are_not_what_they_seem_are_counted(tmp_path, caplog):
    path = tmp_path / "d.csv"
    path.write_text("text,label\na,card\nb,Card\nc,\nd,card;login\ne,login\nf,card\n")
    found = inspect(str(path)).texts
    assert (found.missing_labels, found.combined_labels, found.similar_labels) == (
        [2],
        ["card;login"],
        [["card", "Card"]],
    )
    assert found.combined_separator == ";"
    assert "each combination is counted as a label of its own; pass multi_label=';' to check each label" in caplog.text
    assert (found.rows, found.labels.sizes) == (6, [("card", 2), ("Card", 1), ("card;login", 1), ("login", 1)])
    merged = inspect(str(path), combined_labels="first", similar_labels="merge", drop_missing=True).texts
    assert (merged.rows, merged.labels.sizes) == (5, [("card", 4), ("login", 1)])


@pytest.mark.parametrize(("distance", "warned"), [(3.0, False), (0.0, True)])
def test_a_label_of_most_sentences_does_not_hide_that_the_others_follow_from_theirs(distance, warned):
    """Of ten rare labels, 88 % of the sentences are label issues, so these are as many as those of labels at random."""
    rng = np.random.default_rng(1)
    centres = rng.normal(size=(11, 32))
    centres *= distance / np.linalg.norm(centres, axis=1, keepdims=True)
    centres[0] = 0
    label_ids = np.where(rng.random(500) < 0.9, 0, 1 + rng.integers(10, size=500))
    embeddings = torch.from_numpy(centres[label_ids] + rng.normal(size=(500, 32))).float()

    class Fixed(Blobs):
        def encode(self, sentences, **_):
            return embeddings[[int(sentence.split()[1]) for sentence in sentences]]

    texts = [f"sentence {row}" for row in range(500)]
    found = inspect(labelled(texts, [f"label {label}" for label in label_ids]), Fixed(), model_name="m").with_model
    assert is_at_chance(len(found.label_issues), 500, int((label_ids > 0).sum()))
    assert (found.warning is not None) == warned
    assert not warned or found.warning.startswith("The labels do not follow from the sentences, as far as m shows: ")


def test_ranks_of_labels_at_random_show_nothing():
    rng = np.random.default_rng(0)
    for counts in ([100, 100], [950, 50], [200, *[1] * 50]):
        label_ids = np.repeat(np.arange(len(counts)), counts)
        ranks = rng.random((100, len(label_ids))) - 0.5
        ranks[:, ::7] = np.nan
        assert not any(follow_by_rank(label_ids, drawn) for drawn in ranks)
        assert follow_by_rank(label_ids, np.full(len(label_ids), 0.45))
    assert not follow_by_rank(label_ids, np.full(len(label_ids), np.nan))
