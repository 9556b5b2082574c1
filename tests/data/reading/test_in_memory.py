"""Tables in memory are read as the same rows, whatever their type."""

import logging

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from datasets import Dataset, DatasetDict

import tercet
from tercet import losses
from tercet.data.loading.labelled import load_labelled
from tercet.data.loading.training_data import load_training_data
from tercet.data.loading.triplets import load_triplets
from tercet.data.reading.in_memory import is_table_dict, to_dataset
from tercet.data.reading.options import ReadOptions
from tercet.errors import DataError
from tests.trainer.helpers import make_trainer

TEXTS, LABELS = ["a goal", "a soup", "a match"], ["sport", "food", "sport"]
FRAME = pd.DataFrame({"text": TEXTS, "category": LABELS})
FILTERED = pd.DataFrame({"text": ["", *TEXTS], "category": ["", *LABELS]}).query("text != ''")

CLASSES = Dataset.from_dict({"sentence": TEXTS, "label": LABELS}).class_encode_column("label")


class Stream:
    """A table that has only the Arrow stream interface, as a data frame of polars has beside its own methods."""

    columns = ("text", "category")

    def __arrow_c_stream__(self, requested_schema=None):
        return pa.table({"text": TEXTS, "category": LABELS}).__arrow_c_stream__(requested_schema)


@pytest.mark.parametrize(
    "data",
    [
        FRAME,
        FRAME.astype({"category": "category"}),
        FILTERED,
        Dataset.from_pandas(FILTERED),
        CLASSES,
        DatasetDict({"train": Dataset.from_pandas(FRAME), "test": Dataset.from_pandas(FRAME[:1])}),
        {"train": FRAME, "test": FRAME[:1]},
        pa.table({"text": TEXTS, "category": LABELS}),
        Stream(),
        {"text": TEXTS, "label": LABELS},
        {"text": np.array(TEXTS), "label": pd.Series(LABELS)},
        list(zip(TEXTS, LABELS, strict=True)),
        [{"id": 1, "text": text, "label": label} for text, label in zip(TEXTS, LABELS, strict=True)],
    ],
)  # fmt: skip
def test_every_table_is_read_as_the_same_rows(data):
    read = load_labelled(data)
    assert (read.sentences, read.labels()) == (TEXTS, LABELS)
    if not is_table_dict(data):
        assert set(to_dataset(data, "data").column_names) & {"text", "sentence"}


def test_whole_numbers_as_floats_and_missing_values_of_pandas():
    frame = pd.DataFrame({"text": TEXTS, "label": [2.0, 1.0, 2.0], "odd": [[1], "a", {}]})
    assert load_labelled(frame).labels() == ["2", "1", "2"]
    frame.loc[1, "label"] = None
    with pytest.raises(DataError, match=r"data: 1 of 3 rows has no label \(row 1\)"):
        load_labelled(frame, ReadOptions(drop_missing=False))
    assert load_labelled(frame).labels() == ["2", "2"]


def test_triplets_in_memory():
    rows = [("a", "b", "c"), ("d", "e", "f")]
    frame = pd.DataFrame(rows, columns=["anchor", "positive", "negative"]).assign(id=[1, 2])
    assert load_triplets(rows)[1] == load_triplets(frame)[1] == dict(zip(frame.columns, rows[1], strict=False))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (Dataset.from_dict({"text": ["a"]}).to_iterable_dataset(), "data of type IterableDataset are not supported"),
        (3, "data of type int are not supported; pass a file, .*a pandas, polars or Arrow table"),
        (["a", "b"], r"first row is 'a'; rows must be \(text, label\) pairs"),
        ([("a", 1), ("b",)], r"data, row 1: expected a row of 2 values as in row 0, got \('b',\)"),
        ([{"text": "a"}, 1], "data, row 1: expected a dictionary as in row 0, got 1"),
        ({"text": ["a"], "label": [1, 2]}, r"different numbers of rows \('text: 1', 'label: 2'\)"),
        ({"text": "a", "label": [1]}, "column 'text' is no list of values"),
        ({"text": set(TEXTS), "label": LABELS}, "column 'text' is no list of values but a set; .*order of the rows"),
        ([object()], r"first row is <object .*rows must be \(text, label\) pairs"),
        (FRAME.assign(category=[[{"name": "a"}, {"name": "b"}]] * 3), r"row 0: the label is \[\{'name': 'a'"),
        ({"text": [], "label": []}, "data has no rows, only the columns 'text', 'label'"),
        ([], "data has no rows"),
        (pd.DataFrame([["a", "x", "y"]], columns=["text", "label", "label"]), "the same name: 'label'; rename them"),
        ({"all": FRAME}, "data has the splits 'all', but no split 'train'"),
    ],
)
def test_other_objects_raise_one_clear_error(data, message):
    with pytest.raises(DataError, match=message):
        load_labelled(data)


@pytest.mark.slow
def test_the_trainer_takes_each_table(bert, tmp_path, caplog):
    frame = pd.concat([FRAME] * 4).assign(note="x", score=0.5)
    caplog.set_level(logging.WARNING)
    pairs = list(zip(frame["text"], frame["category"], strict=True))
    trainer = make_trainer(bert, tmp_path, frame, eval_dataset={"dev": pairs, "test": frame})
    assert trainer.label_names_of_training == ["food", "sport"]
    assert trainer.train_dataset["sentence"][:] == frame["text"].tolist()
    assert list(trainer.eval_dataset) == ["dev", "test"]
    said = [record.message for record in caplog.records if "not used" in record.message]
    assert said[0] == "train_dataset: columns used: 'text', 'category'; not used: 'note', 'score'"
    assert len(said) == 2  # each table once
    one = make_trainer(bert, tmp_path, Dataset.from_pandas(FILTERED), eval_dataset={"text": TEXTS, "label": LABELS})
    assert one.eval_dataset["sentence"][:] == TEXTS
    with pytest.raises(DataError, match=r"train_dataset has the splits \['test', 'train'\].*pass train_dataset="):
        make_trainer(bert, tmp_path, {"train": frame, "test": frame})
    with pytest.raises(DataError, match="values of column 'label' have no common type"):
        make_trainer(bert, tmp_path, {"text": TEXTS, "label": [1, "a", 2]})


@pytest.mark.slow
def test_a_data_set_knows_the_split_that_it_was_loaded_from():
    data = Dataset.from_dict({"text": TEXTS, "label": LABELS}, split="validation")
    assert load_labelled(data, ReadOptions(split="validation")).labels() == LABELS
    with pytest.raises(DataError, match="data has no splits, but `split` is 'held'"):
        load_labelled(data, ReadOptions(split="held"))


def test_a_dictionary_of_splits_is_trained_on_and_evaluated_on(bert, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    splits = DatasetDict(
        {
            "train": Dataset.from_pandas(pd.concat([FRAME] * 4)),
            "test": Dataset.from_pandas(FRAME.assign(text=["x", "y", "z"])),
        }
    )
    settings = tercet.RunSettings(max_steps=1, batch_size=4, samples_per_label=2, loss="batch-all", train="encoder")
    run = tercet.train(
        splits, tmp_path / "model", model=bert, settings=settings, classifier=False, show_progress_bar=False
    )
    assert (run.record.settings["eval_fraction"], run.record.data["train"]["rows"]) == (None, 12)
    assert (
        "data: trains on the split 'train' and evaluates on the split 'test'; for other rows, pass eval_data"
        in caplog.text
    )
    assert load_training_data(splits, None, 0, ReadOptions(), triplets=False, seed=0).evaluation is None
    assert tercet.inspect(splits).texts.rows == 12


def test_missing_values_of_a_data_frame_are_no_texts():
    frame = pd.DataFrame(
        {"title": ["a", float("nan"), None, pd.NA], "body": ["b", "c", pd.NaT, pd.NA], "label": list("xyxy")}
    )
    joined = load_labelled(frame, ReadOptions(text_column="title,body"))
    assert (joined.sentences, joined.rows.tolist()) == (["a\nb", "c"], [0, 1])
    assert load_labelled(frame, ReadOptions(text_column="title")).sentences == ["a"]
    guessed = frame.rename(columns={"title": "words", "body": "note"}).assign(
        words=["a b c d", pd.NA, "e f g h", "i j k"]
    )
    assert load_labelled(guessed, ReadOptions()).sentences == ["a b c d", "e f g h", "i j k"]


def test_named_tuples_are_read_by_their_names():
    swapped = list(FRAME[["category", "text"]].itertuples(index=False))
    assert load_labelled(swapped).labels() == LABELS
    assert (
        load_labelled([("a goal", "sport"), *FRAME[["text", "category"]].itertuples(index=False)]).sentences[1:]
        == TEXTS
    )
    by_text = dict(zip(TEXTS, LABELS, strict=True))
    assert load_labelled({"text": by_text.keys(), "label": by_text.values()}).sentences == TEXTS
    assert load_labelled(list(FRAME.itertuples())).sentences == TEXTS  # no triplets of index, text and label


def test_a_transform_that_would_not_be_applied_is_refused(bert, tmp_path):
    data = Dataset.from_pandas(FRAME).with_transform(lambda rows: {**rows, "text": ["x"] * len(rows["text"])})
    for call in (tercet.inspect, lambda table: tercet.train(table, tmp_path / "m", model=bert)):
        for table in (data, DatasetDict(train=data)):
            with pytest.raises(DataError, match=r"data has a transform .*data\.map"):
                call(table)
    assert load_labelled(data.with_format(None)).sentences == TEXTS


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([(None, "x"), ("a", "x"), ("b", 3)], "data, row 2: the label 3 is an integer"),
        ([("a", None), ("b", "x"), (5, "y")], "data, row 2: the text is 5"),
        ([("a", None), ("b", 2), ("c", 0.5)], "data, row 2: the label is 0.5"),
    ],
)
def test_messages_name_the_rows_of_the_user_after_rows_were_left_out(rows, message):
    with pytest.raises(DataError, match=message):
        load_labelled(rows)


def test_messages_name_the_rows_of_the_user_in_a_part_of_the_data():
    rows = [{"text": "a", "label": "x", "part": part} for part in ("one", "two", "one", "two", "two")]
    with pytest.raises(DataError, match=r"data \(3 of 5 rows\), row 3: the text is 5"):
        load_labelled([*rows[:3], {**rows[3], "text": 5}, rows[4]], ReadOptions(split_column="part", split="two"))
    with pytest.raises(DataError, match=r"data, anchor, row 2: the text is 5"):
        load_triplets([("a", None, "c"), ("a", "b", "c"), (5, "b", "c")])


_NAN = float("nan")
_TEAMS = {"ticket": [f"my card {row} is lost" for row in range(16)], "team": list("abcd") * 4, "prio": [0, 1, 2, 0] * 4}


def _with_gap(table, name, value):
    return {**table, name: [table[name][0], value, *table[name][2:]]}


@pytest.mark.parametrize("gap", [None, _NAN, pd.NA, np.float32("nan")])
@pytest.mark.parametrize("make", [dict, pd.DataFrame])
def test_a_gap_does_not_change_the_columns_that_the_trainer_finds(make, gap, bert, tmp_path):
    """A column that is left out because of a gap would leave another one as the label."""
    for table in (_TEAMS, _with_gap(_TEAMS, "team", gap), _with_gap(_TEAMS, "ticket", gap)):
        with pytest.raises(DataError, match=r"has 'ticket' \(text\), 'team' \(text\), 'prio' \(integer\)"):
            make_trainer(bert, tmp_path, make(table))
    two = {name: _TEAMS[name] for name in ("ticket", "team")}
    with pytest.raises(DataError, match=r"^train_dataset, row 1: the label is missing \(None\); fill it in or remove"):
        make_trainer(bert, tmp_path, make(_with_gap(two, "team", gap)))
    with pytest.raises(DataError, match=r"^train_dataset, row 1: the text is missing \(None\); fill it in or remove"):
        make_trainer(bert, tmp_path, make(_with_gap(two, "ticket", gap)))


@pytest.mark.parametrize("kind", ["category", "object", "Int64", "float"])
def test_a_missing_label_of_a_data_frame_is_named(kind, bert, tmp_path):
    labels = [1, 2] * 8 if kind in ("Int64", "float") else list("ab") * 8
    frame = pd.DataFrame({"text": _TEAMS["ticket"], "label": pd.Series(labels, dtype=kind)})
    frame.loc[3, "label"] = None
    with pytest.raises(DataError, match=r"^train_dataset, row 3: the label is missing \(None\)"):
        make_trainer(bert, tmp_path, frame)


def test_a_column_without_a_common_type_is_left_out_only_if_names_say_which_are_used(bert, tmp_path, caplog):
    table = {"text": _TEAMS["ticket"], "label": _TEAMS["team"], "odd": [[1], "a", {}, 3] * 4}
    with caplog.at_level(logging.WARNING):
        trainer = make_trainer(bert, tmp_path, table)
    assert trainer.label_names_of_training == list("abcd")
    assert "train_dataset: not used: 'odd', because the values have no common type" in caplog.messages
    renamed = {"ticket": table["text"], "team": table["label"], "odd": table["odd"]}
    with pytest.raises(DataError, match="column 'odd' have no common type .* or drop the column"):
        make_trainer(bert, tmp_path, renamed)


def test_several_columns_with_a_usual_name_are_refused(bert, tmp_path):
    table = {"text": _TEAMS["ticket"], "label": _TEAMS["prio"], "labels": _TEAMS["team"]}
    expected = r"which column is the label\? Several have a usual name: 'label', 'labels'; leave out all but one, .*"
    with pytest.raises(DataError, match=expected + r"select_columns\(\['text', 'label'\]\)"):
        make_trainer(bert, tmp_path, table)


def test_a_column_without_a_common_type_does_not_hide_triplets(bert, tmp_path):
    odd, texts = [[1], "a", {}, 3] * 4, _TEAMS["ticket"]
    table = {"Anchor": texts, "Positive": texts[1:] + texts[:1], "Negative": texts[2:] + texts[:2], "meta": odd}
    make_trainer(bert, tmp_path, table, losses.TripletLoss, changes={"batch_sampler": "batch_sampler"})
    trainer = make_trainer(bert, tmp_path, {"text": texts, "label": _TEAMS["team"], "Tag": odd})
    assert trainer.label_names_of_training == list("abcd")
