"""The whole inspection: rows as the file counts them, whatever was left out on the way."""

import json

import numpy as np
import pytest
import torch

from tercet import SentenceTransformer
from tercet.data.labels import LabelledSentences, number_labels
from tercet.errors import DataError, ModelError
from tercet.inspection import inspection
from tercet.inspection.inspection import inspect_data
from tercet.inspection.label_issues.neighbours import Neighbours
from tercet.inspection.label_issues.score import LabelScores


class Blobs:
    """In place of a model: the first word of a sentence says where it is, and a hash of the others how exactly."""

    max_seq_length = 6

    def encode(self, sentences, **_):
        places = {"one": 0, "two": 1, "three": 2}
        rows = []
        for sentence in sentences:
            words = sentence.lower().split()
            seed = sum(ord(letter) * (place + 1) for place, letter in enumerate(" ".join(words)))
            noise = np.random.default_rng(seed).normal(size=4) * 0.05
            rows.append(np.eye(4)[places[words[0]]] + noise)
        return torch.nn.functional.normalize(torch.tensor(np.array(rows), dtype=torch.float32))

    def token_counts(self, sentences):
        return [len(sentence.split()) + 2 for sentence in sentences]


def labelled(texts, labels):
    return LabelledSentences(list(texts), *number_labels(labels, "the data"))


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


def test_rows_count_from_the_first_row_of_data_also_after_empty_texts():
    texts, labels = _rows()
    found = inspect_data(labelled(texts, labels), Blobs(), batch_size=4, samples_per_label=2)
    assert found.texts.empty == [0, 8]
    assert found.texts.duplicates == [9]
    assert [c.rows for c in found.texts.contradictions] == [[3, 9, 10]]
    assert found.obstacle is None
    facts = found.with_model
    assert {s.row for s in facts.suspects} == {5, 10}
    assert all((s.text, s.label) == (texts[s.row], labels[s.row]) for s in facts.suspects)
    assert {s.suggested_label for s in facts.suspects} == {"x"}
    assert [s.score for s in facts.suspects] == sorted((s.score for s in facts.suspects), reverse=True)
    (pair,) = facts.confusions
    assert (pair.labels, pair.disputed) == (("x", "y"), (0, 2))
    assert pair.share == pytest.approx(2 / 14)
    assert [example.row for example in pair.examples] == [facts.suspects[0].row]
    assert facts.judged == 14
    assert (facts.lengths.cut, facts.lengths.limit, facts.lengths.longest) == (1, 6, 8)
    for copy in facts.near_duplicates:
        for example in (copy.first, copy.second):
            assert (example.text, example.label) == (texts[example.row], labels[example.row])
        assert copy.first.label != copy.second.label
        assert copy.first.text.lower() != copy.second.text.lower()
    assert [suggestion.option for suggestion in facts.suggestions] == ["--distance", "--margin", "--samples-per-label"]


def test_the_order_of_the_rows_does_not_count():
    texts, labels = _rows()
    order = np.random.default_rng(0).permutation(len(texts))
    found, shuffled = (
        inspect_data(labelled([texts[row] for row in rows], [labels[row] for row in rows]), Blobs()).with_model
        for rows in (np.arange(len(texts)), order)
    )
    assert sorted((int(order[s.row]), s.text, s.suggested_label) for s in shuffled.suspects) == sorted(
        (s.row, s.text, s.suggested_label) for s in found.suspects
    )
    scores = {s.text: s.score for s in found.suspects}
    assert {s.text: s.score for s in shuffled.suspects} == pytest.approx(scores, abs=1e-2)


def test_integer_labels_are_named_by_their_digits():
    texts, labels = _rows()
    names = {"x": 1_000_000, "y": -3}
    found = inspect_data(labelled(texts, [names[label] for label in labels]), Blobs())
    assert found.texts.labels.sizes == [("-3", 7), ("1000000", 7)]
    assert {(s.row, s.label, s.suggested_label) for s in found.with_model.suspects} == {
        (5, "-3", "1000000"), (10, "-3", "1000000"),
    }  # fmt: skip


def test_without_a_model_only_texts_and_labels_are_looked_at():
    found = inspect_data(labelled(*_rows()))
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
def test_data_that_teach_nothing_are_told_and_inspected_as_far_as_can_be(texts, labels, obstacle):
    found = inspect_data(labelled(texts, labels), Blobs(), source="the file")
    assert obstacle in found.obstacle
    assert found.obstacle.startswith("the file")
    assert (found.with_model.batches, found.with_model.suggestions) == (None, [])
    assert found.with_model.lengths.longest > 0
    json.dumps(found.to_dict(), allow_nan=False)


def test_no_rows():
    with pytest.raises(DataError, match="the file has no rows"):
        inspect_data(labelled([], []), source="the file")


@pytest.mark.parametrize("value", [torch.nan, -torch.inf, 1e25])
@pytest.mark.parametrize("labels", [["x", "x", "y"], ["x", "x", "x"]])
def test_a_broken_model_is_told(labels, value):
    class Broken(Blobs):
        def encode(self, sentences, **_):
            return super().encode(sentences).index_fill(0, torch.tensor([1]), value)

    # The second sentence with a text is the third row.
    with pytest.raises(
        ModelError, match=r"m gives NaN, infinite or far too large values for 1 of 2 sentences \(row 2 for one\)"
    ):
        inspect_data(labelled(["one a", "", "two b"], labels), Broken(), model_name="m")


def test_empty_texts_alone():
    found = inspect_data(labelled(["", " "], ["x", "y"]), Blobs(), source="the file")
    assert (found.obstacle, found.with_model, found.texts.empty) == ("the file has no row with a text", None, [0, 1])


def test_a_row_without_a_text_is_no_sentence_of_its_label():
    found = inspect_data(labelled(["one a", "one b", "", "\u200b", "two a"], ["x", "x", "y", "z", "y"]), Blobs())
    assert found.texts.empty == [2, 3]
    assert found.texts.labels.sizes == [("x", 2), ("y", 1)]
    assert found.with_model.judged == 2


def shuffled(seed=0):
    texts = [f"{place} {letter}" for place in ("one", "two", "three") for letter in "abcdefghijkl"]
    labels = np.random.default_rng(seed).permutation([text.split()[0] for text in texts])
    return labelled(texts, labels.tolist())


def test_where_most_labels_are_disputed_it_is_said_and_not_only_counted():
    facts = inspect_data(shuffled(), Blobs()).with_model
    disputed = len(facts.suspects)
    assert 18 < disputed < facts.judged == 36
    assert facts.warning == (
        f"Most labels are disputed ({disputed} of 36), so the lists of them say little: see whether labels and texts "
        "belong together (shuffled rows, a wrong column), or try another model."
    )
    assert facts.batches is not None


@pytest.mark.parametrize(("wrong", "warned"), [(2, False), (3, True)])
def test_half_of_the_labels_are_not_most(wrong, warned, monkeypatch):
    scores = torch.tensor([1.0] * wrong + [-1.0] * (4 - wrong) + [torch.nan])
    suggested, nothing = torch.zeros(5, dtype=torch.long), torch.full((5,), -torch.inf)
    neighbours = Neighbours(nothing, suggested, nothing, suggested)
    monkeypatch.setattr(inspection, "score_labels", lambda *_, **__: LabelScores(scores, suggested, neighbours))
    facts = inspect_data(labelled([f"one {letter}" for letter in "abcde"], ["y"] * 4 + ["x"]), Blobs()).with_model
    assert (facts.judged, len(facts.suspects)) == (4, wrong)
    assert (facts.warning is not None) == warned


class Blind(Blobs):
    def encode(self, sentences, **_):
        return torch.full((len(sentences), 4), 0.3)


def test_of_a_model_that_tells_no_sentences_apart_nothing_is_listed():
    found = inspect_data(shuffled(), Blind(), model_name="m")
    facts = found.with_model
    assert facts.warning == "All sentences are the same to m, so it tells nothing of their labels: take another model."
    assert (facts.judged, facts.batches) == (None, None)
    assert facts.suspects == facts.confusions == facts.near_duplicates == facts.suggestions == []
    assert facts.lengths.longest == 4
    assert json.loads(json.dumps(found.to_dict(), allow_nan=False))["with_model"]["warning"] == facts.warning


def test_a_model_need_not_tell_copies_apart():
    for texts in (["one a"], ["one a", "ONE  A", "one a"]):
        facts = inspect_data(labelled(texts, ["x", "y", "x"][: len(texts)]), Blind()).with_model
        assert (facts.judged, facts.warning) == (0, None)


def test_one_text_under_every_label():
    found = inspect_data(labelled(["one a"] * 6, ["x", "y"] * 3), Blobs(), batch_size=4, samples_per_label=2)
    assert (found.with_model.judged, found.with_model.warning) == (0, None)
    assert found.with_model.suspects == found.with_model.near_duplicates == []
    json.dumps(found.to_dict(), allow_nan=False)


def test_lists_are_cut_and_counted():
    texts, labels = _rows()
    found = inspect_data(labelled(texts, labels), Blobs())
    short, whole = found.to_dict(most=1), found.to_dict()
    assert short["counts"] == whole["counts"]
    assert whole["counts"] | {"near_duplicates": 0} == {
        "empty": 2, "duplicates": 1, "contradictions": 1, "suspects": 2, "confusions": 1, "near_duplicates": 0,
    }  # fmt: skip
    assert short["texts"]["empty"] == [0]
    assert whole["texts"]["empty"] == [0, 8]
    assert short["with_model"]["suspects"] == whole["with_model"]["suspects"][:1]
    # Lists that are not counted are whole.
    assert short["texts"]["labels"] == whole["texts"]["labels"]
    assert short["with_model"]["batches"] == whole["with_model"]["batches"]
    assert json.loads(json.dumps(whole, allow_nan=False))["with_model"]["suspects"] == whole["with_model"]["suspects"]


def test_with_a_real_encoder(bert, sentences, labels):
    model = SentenceTransformer(bert, device="cpu")
    data = labelled(sentences, labels)
    found, again = (inspect_data(data, model, batch_size=8, samples_per_label=2).with_model for _ in range(2))
    assert found == again
    assert found.judged == len(sentences)
    assert found.lengths.limit == 32
    assert found.lengths.mean == pytest.approx(np.mean([len(sentence.split()) + 2 for sentence in sentences]))
    assert found.suggestions[0].value == "cosine"
