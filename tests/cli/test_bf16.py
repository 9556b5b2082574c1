"""`--bf16` of the commands that embed: the values of the model in bfloat16, as float32, or one clear error."""

import json

import numpy as np
import pytest
import torch
from pyarrow import parquet

from tercet import load_model
from tercet.decisions import LabelClassifier
from tercet.encoder import devices
from tercet.encoder.devices import cpu_has_bfloat16
from tercet.errors import ModelError
from tercet.evaluation import label_metrics
from tercet.runs import evaluate
from tests.cli.command import run
from tests.conftest import TOPICS

_TEXTS = [text for topic in TOPICS.values() for text in topic]
_ON_CPU = ("--bf16", "--device", "cpu")

computes = pytest.mark.skipif(not cpu_has_bfloat16(), reason="this processor emulates bfloat16")


@pytest.fixture(scope="module")
def model(bert, tmp_path_factory):
    """The folder of a tiny encoder with a classifier."""
    folder = tmp_path_factory.mktemp("half") / "model"
    labels = [label for label, topic in TOPICS.items() for _ in topic] * 4
    texts = [f"{text} {more}" for more in ("now", "again", "here", "late") for text in _TEXTS]
    LabelClassifier(str(bert), unseen_rows=True, device="cpu").fit(texts, labels).save(folder)
    return folder


@computes
def test_encode_writes_the_float32_values_of_the_model_in_bfloat16(bert, csv_file, tmp_path):
    run("encode", bert, csv_file, "--output", tmp_path / "half.npy", *_ON_CPU)
    found = np.load(tmp_path / "half.npy")
    assert found.dtype == np.float32
    full = load_model(bert, device="cpu")
    np.testing.assert_allclose(found, full.encode(_TEXTS), atol=0.05)
    assert np.abs(found - full.encode(_TEXTS)).max() > 1e-4
    np.testing.assert_array_equal(found, full.to(torch.bfloat16).encode(_TEXTS))


@computes
def test_an_output_folder_holds_embeddings_of_one_precision(bert, tmp_path):
    from tests.cli.test_many_files import _write

    _write(tmp_path / "in" / "a.parquet", text=_TEXTS)
    words = ("encode", bert, tmp_path / "in", "--output", tmp_path / "out", "--device", "cpu")
    run(*words, "--bf16")
    vectors = np.array(parquet.read_table(tmp_path / "out" / "a.parquet")["embedding"].to_pylist(), np.float32)
    np.testing.assert_array_equal(vectors, load_model(bert, device="cpu", bf16=True).encode(_TEXTS))
    assert "1 already written" in run(*words, "--bf16").stderr
    assert "has files of another run, with other values of 'bf16'" in run(*words, expect=2).stderr


@computes
def test_classify_answers_from_embeddings_in_bfloat16(model, csv_file, tmp_path):
    done = run("classify", model, csv_file, "--text-column", "text", "--format", "jsonl", *_ON_CPU)
    found = [json.loads(line) for line in done.stdout.splitlines()]
    expected = LabelClassifier.load(model, load_model(model, device="cpu", bf16=True)).predict_proba(_TEXTS).max(axis=1)
    np.testing.assert_allclose([row["confidence"] for row in found], expected, atol=1e-3)


@computes
def test_search_duplicates_and_evaluate_take_it_too(bert, csv_file):
    pytest.importorskip("vicinity", reason="vicinity is not installed: pip install 'tercet[search]'")
    full, half = (load_model(bert, device="cpu", bf16=bf16) for bf16 in (False, True))
    vectors = half.encode(_TEXTS, normalize_embeddings=True)
    similarities = vectors @ vectors.T
    found = json.loads(run("search", bert, csv_file, _TEXTS[0], "--top", 16, "--json", *_ON_CPU).stdout)
    by_row = {hit["row"]: hit["similarity"] for hit in found[0]["results"]}
    np.testing.assert_allclose([by_row[row] for row in range(16)], similarities[0], atol=6e-5)
    in_float32 = full.encode(_TEXTS, normalize_embeddings=True)
    assert np.abs((in_float32 @ in_float32.T)[0] - similarities[0]).max() > 1e-4
    pairs = json.loads(run("duplicates", bert, csv_file, "--threshold", 0.5, "--json", *_ON_CPU).stdout)["pairs"]
    assert len(pairs) > 1
    for pair in pairs:
        assert pair["similarity"] == pytest.approx(similarities[pair["row"], pair["other_row"]], abs=6e-5)
    result = json.loads(run("evaluate", bert, csv_file, "--json", *_ON_CPU).stdout)
    metrics = label_metrics(vectors, [label for label, topic in TOPICS.items() for _ in topic])
    assert result["metrics"]["map@r"] == pytest.approx(metrics["map@r"], abs=1e-6)


@pytest.mark.skipif(cpu_has_bfloat16(), reason="this processor computes in bfloat16")
def test_a_processor_that_emulates_bfloat16_is_refused(bert, csv_file, tmp_path):
    done = run("encode", bert, csv_file, "--output", tmp_path / "half.npy", *_ON_CPU, expect=2)
    assert "--bf16 needs a GPU with bfloat16 or a processor with avx512_bf16, but the model runs on a" in done.stderr
    assert not (tmp_path / "half.npy").exists()


def test_the_functions_refuse_it_too(bert, csv_file, monkeypatch):
    monkeypatch.setattr(devices, "cpu_has_bfloat16", lambda: False)
    message = "the model runs on a processor without it; leave out bf16=True"
    with pytest.raises(ModelError, match=message):
        load_model(bert, device="cpu", bf16=True)
    with pytest.raises(ModelError, match=message):
        evaluate(bert, csv_file, device="cpu", bf16=True)


def test_it_has_no_effect_on_vectors(tmp_path):
    np.save(tmp_path / "v.npy", np.ones((2, 4), np.float32))
    words = ("encode", tmp_path / "v.npy", "--head", tmp_path / "head", "--output", tmp_path / "o.npy", "--bf16")
    assert "--bf16 would have no effect on a file of vectors; leave it out" in run(*words, expect=2).stderr
