"""Data sets become batches: labels are not numbered a second time, and texts are packed in the order of the columns."""

import numpy as np
import pytest
from datasets import Dataset

from tercet.data.labels.labelled_sentences import LabelledSentences
from tercet.data.loading.labelled import as_dataset
from tercet.errors import DataError
from tercet.trainer.batches.collate import collate, tokenize
from tercet.trainer.data_sets.columns import label_column, prepare_labelled, prepare_triplets, text_columns


def _token_ids(column, texts):
    return [[len(text)] * (1 + position % 2) for position, text in enumerate(texts)]


def test_ids_and_names_of_loaded_data_stay_as_they_are():
    # "b" has no row, as after a split; a new numbering would shift the ids.
    data = LabelledSentences(["one", "two", "three"], np.array([2, 0, 2]), ["a", "b", "c"])
    prepared, names = prepare_labelled(as_dataset(data), "train_dataset")
    assert prepared["label"][:] == [2, 0, 2]
    assert names == ["a", "b", "c"]


def test_evaluation_labels_get_the_ids_of_the_training_names():
    evaluation = as_dataset(LabelledSentences(["x", "y", "z"], np.array([0, 1, 2]), ["10", "11", "9"]))
    prepared, names = prepare_labelled(evaluation, "eval_dataset", ["9", "10"])
    assert prepared["label"][:] == [1, 2, 0]
    assert names == ["9", "10", "11"]


@pytest.mark.parametrize("as_list", [False, True])
def test_labels_in_another_form_than_in_the_training_data_are_counted_by_their_rows(as_list):
    labels = ["Play", "Play", "stop", "Play"]
    data = Dataset.from_dict({"text": ["a"] * 4, "label": [["stop", one] if as_list else one for one in labels]})
    known = ["play", "play\x1fstop", "stop"] if as_list else ["play", "stop"]
    with pytest.raises(
        DataError, match="^eval: 3 rows have a label .* in the training data, such as 'Play' for 'play'"
    ):
        prepare_labelled(data, "eval", known)


def test_integers_of_a_users_data_set_stay_as_they_are_without_names():
    data = Dataset.from_dict({"text": ["a", "b"], "label": [7, -3]})
    prepared, names = prepare_labelled(data, "train_dataset", ["x"])
    assert (prepared["label"][:], names) == ([7, -3], None)


def test_columns_are_guessed_as_on_the_command_line():
    texts = ["the card is lost", "money back please", "my card is gone", "a refund please"]
    data = Dataset.from_dict({"clean_text": texts, "Ticket Type": ["card", "refund"] * 2, "id": [7, 8, 9, 10]})
    prepared, names = prepare_labelled(data, "train_dataset")
    assert (prepared["sentence"][:], names) == (texts, ["card", "refund"])
    assert (text_columns(data, prepared), label_column(data, "train_dataset")) == (
        {"clean_text": "sentence"},
        "Ticket Type",
    )
    with pytest.raises(DataError, match="train_dataset"):
        prepare_labelled(Dataset.from_dict({"a": ["one a", "two b"], "b": ["x y", "y z"]}), "train_dataset")


def test_a_batch_of_labelled_sentences():
    data = Dataset.from_dict({"text": ["a", "bb"], "label": ["y", "x"]})
    prepared, _ = prepare_labelled(data, "train_dataset")
    batch = collate([*tokenize(prepared, _token_ids)])
    assert batch["labels"].tolist() == [1, 0]
    assert sorted(batch["features"]["input_ids"].flatten().tolist()) == [1, 2, 2]


def test_triplets_are_checked_column_by_column():
    rows = {"positive": ["b", "e"], "negative": ["c", " "], "anchor": ["a", "d"]}
    with pytest.raises(DataError, match="train_dataset, negative, row 1: the text is empty"):
        prepare_triplets(Dataset.from_dict(rows), "train_dataset")
    prepared = prepare_triplets(Dataset.from_dict(rows | {"negative": ["c", "f"]}), "train_dataset")
    assert prepared[0] == {"anchor": "a", "positive": "b", "negative": "c"}
