"""The setting `jaccard_weights`, from the command line and Python to the losses of encoder and head."""

import itertools
import json

import numpy as np
import pyarrow as pa
import pytest
from datasets import Dataset
from pyarrow import parquet

import tercet.heads
from tercet import load_model
from tercet.errors import DataError
from tercet.heads import HeadSettings
from tercet.losses import BatchHardTripletLoss
from tercet.runs import RunSettings, train, train_vectors
from tercet.runs.build import build_loss
from tests.cli.command import run, train_arguments
from tests.conftest import TOPICS


def _rows():
    """Sentences of one topic, and of two topics joined by "and"."""
    rows = [(text, label) for label, texts in TOPICS.items() for text in texts]
    for first, second in itertools.combinations(TOPICS, 2):
        both = f"{first};{second}"
        rows += [(f"{one} and {other}", both) for one, other in zip(TOPICS[first], TOPICS[second], strict=True)]
    return {"text": [text for text, _ in rows], "label": [label for _, label in rows]}


def test_it_multiplies_the_loss_by_the_overlap(bert):
    names = ["food", "food;money", "sport"]
    texts = ["the soup is hot", "the bank cut the bread", "the team won", "a great goal"]
    embeddings = load_model(bert, device="cpu").encode(texts, convert_to_tensor=True)
    expected = BatchHardTripletLoss(None, "euclidean", 5.0, jaccard_weights=True)
    sets = [{"food"}, {"food", "money"}, {"sport"}, {"sport"}]
    losses = {}
    for weighted in (False, True):
        settings = RunSettings(loss="batch-hard", margin=5.0, multi_label=";", jaccard_weights=weighted)
        loss = build_loss(settings, None, names)
        losses[weighted] = float(loss.compute_loss_from_embeddings(embeddings, [0, 1, 2, 2]))
    assert losses[True] == pytest.approx(float(expected.compute_loss_from_embeddings(embeddings, sets)))
    assert losses[True] < losses[False] - 0.1


def test_a_run_uses_it_for_the_encoder_and_for_the_head(bert, tmp_path):
    Dataset.from_dict(_rows()).to_json(tmp_path / "data.jsonl")
    words = ("--multi-label", ";", "--max-steps", 2, "--train", "both", "--eval-fraction", 0)
    run(*train_arguments(tmp_path / "data.jsonl", bert, tmp_path / "model", *words, "--jaccard-weights"))
    record = json.loads((tmp_path / "model" / "metrics.json").read_text())
    assert record["settings"]["jaccard_weights"] is True
    assert record["choices"]["head"]["jaccard_weights"] is True
    assert load_model(tmp_path / "model", device="cpu").training_record.loss_settings["jaccard_weights"] is True


def test_vectors_take_it_too(tmp_path, monkeypatch):
    short = (HeadSettings(steps=20, batch_size=64),)
    monkeypatch.setitem(tercet.heads.choose_head.__kwdefaults__, "candidates", short)
    random = np.random.default_rng(0)
    labels = [sorted({"abc"[row % 3], "abc"[row // 3 % 3]}) for row in range(180)]
    vectors = np.array([[4.0 * (name in one) for name in "abc"] + [0.0] * 13 for one in labels])
    vectors += random.normal(size=vectors.shape)
    parquet.write_table(pa.table({"label": labels, "v": vectors.tolist()}), tmp_path / "v.parquet")
    trained = train_vectors(tmp_path / "v.parquet", tmp_path / "head", eval_fraction=0, jaccard_weights=True)
    assert trained.record.settings["head"]["jaccard_weights"] is True


def test_rows_with_one_label_are_refused(bert, csv_file, tmp_path):
    message = "jaccard_weights=True needs rows with several labels; pass multi_label, or leave it out"
    with pytest.raises(DataError, match=message):
        train(csv_file, tmp_path / "model", model=str(bert), settings=RunSettings(jaccard_weights=True))
    parquet.write_table(pa.table({"label": ["a", "b"] * 4, "v": [[1.0, 0.0], [0.0, 1.0]] * 4}), tmp_path / "v.parquet")
    with pytest.raises(DataError, match=message):
        train_vectors(tmp_path / "v.parquet", tmp_path / "head", eval_fraction=0, jaccard_weights=True)
    of_vectors = ("train", tmp_path / "v.parquet", "--vector-column", "v", "--output", tmp_path / "head")
    for words in (train_arguments(csv_file, bert, tmp_path / "model"), of_vectors):
        refused = run(*words, "--jaccard-weights", "--eval-fraction", 0, expect=2).stderr
        assert "error: --jaccard-weights needs rows with several labels; pass --multi-label, or leave it" in refused
