"""The names and module paths of sentence-transformers, imported from `tercet`."""

import importlib
import logging
import subprocess
import sys

import pytest
import torch

import tercet
from tercet.compat.paths import ABSENT_PATHS, GROUPS, PATHS

# One line of import of each kind, as public scripts have it for sentence-transformers 2 to 6.
IMPORTS = """
from tercet import SentenceTransformer, SentenceTransformerTrainer, SimilarityFunction, LoggingHandler, util, models
from tercet.SentenceTransformer import SentenceTransformer
from tercet.models import Transformer, Pooling, Dense, Normalize
from tercet.models.Pooling import Pooling
from tercet.sentence_transformer.modules import Pooling
from tercet.sentence_transformer.modules.pooling import Pooling
from tercet.base.modules.transformer import Transformer
from tercet.losses import BatchAllTripletLoss
from tercet.losses.BatchHardTripletLoss import BatchHardTripletLoss, BatchHardTripletLossDistanceFunction
from tercet.sentence_transformer.losses import BatchSemiHardTripletLoss, TripletDistanceMetric
from tercet.sentence_transformer.losses.batch_hard_triplet import BatchHardTripletLossDistanceFunction
from tercet.evaluation import TripletEvaluator, SimilarityFunction
from tercet.sentence_transformer.evaluation import TripletEvaluator
from tercet.training_args import BatchSamplers, SentenceTransformerTrainingArguments
from tercet.sentence_transformer.training_args import BatchSamplers
from tercet.base.sampler import BatchSamplers
from tercet.trainer import SentenceTransformerTrainer
from tercet.similarity_functions import SimilarityFunction
from tercet.util import cos_sim, semantic_search, batch_to_device
from tercet.util.similarity import pairwise_cos_sim
"""


def test_public_scripts_import_their_names():
    names: dict[str, object] = {}
    exec(IMPORTS, names)
    assert names["Pooling"] is tercet.encoder.Pooling
    assert names["SentenceTransformer"] is tercet.SentenceTransformer is tercet.encoder.SentenceTransformer
    assert names["BatchHardTripletLoss"] is tercet.losses.BatchHardTripletLoss  # the class, not the module of its path
    assert tercet.models.Dense is tercet.encoder.Dense


def test_every_listed_name_exists():
    for path, group in PATHS.items():
        module = importlib.import_module(f"tercet.{path}".removesuffix("."))
        for name in GROUPS[group].names:
            assert isinstance(getattr(module, name), type) or callable(getattr(module, name)), (path, name)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("from tercet import CrossEncoder", r"another kind of model; use `from sentence_transformers import CrossEnc"),
        ("from tercet.losses import MSELoss", r"triplet losses only; use `from sentence_transformers.losses import M"),
        ("from tercet.sentence_transformer.losses.triplet import MSELoss", "Tercet has no MSELoss"),
        ("from tercet.evaluation import MSEEvaluator", "which runs on models of Tercet"),
        ("from tercet.util import community_detection", "use `from sentence_transformers.util import community"),
        ("import tercet.cross_encoder", "Tercet has no cross_encoder: a CrossEncoder is another kind of model"),
    ],
)
def test_a_name_that_tercet_does_not_have_is_explained(line, message):
    with pytest.raises(ImportError, match=message):
        exec(line)


def test_a_name_that_nobody_has_is_an_ordinary_error():
    with pytest.raises(ImportError, match="cannot import name 'Poling'"):
        exec("from tercet.models import Poling")
    with pytest.raises(ModuleNotFoundError, match="No module named 'tercet.models.poling'"):
        importlib.import_module("tercet.models.poling")
    assert not hasattr(tercet.losses, "triplet_los")


def test_the_tables_have_all_names_of_sentence_transformers():
    theirs = pytest.importorskip("sentence_transformers")
    for name in ("losses", "evaluation", "readers", "datasets", "modules"):
        group = GROUPS[PATHS[f"sentence_transformer.{name}"]]
        public = importlib.import_module(f"sentence_transformers.sentence_transformer.{name}").__all__
        assert set(public) <= {*group.names, *group.absent}, name
    assert set(theirs.__all__) <= {*GROUPS["package"].names, *GROUPS["package"].absent}
    for path in PATHS:
        assert path not in ABSENT_PATHS


def test_the_layer_is_imported_when_it_is_used():
    code = (
        "import sys, tercet\n"
        "assert not any(name.startswith('tercet.compat') for name in sys.modules)\n"
        "from tercet import models\n"
        "assert 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_functions_of_util_are_those_of_sentence_transformers():
    theirs = pytest.importorskip("sentence_transformers.util")
    torch.manual_seed(0)
    x, y = torch.randn(5, 8), torch.randn(7, 8)
    for name in ("cos_sim", "dot_score", "euclidean_sim", "manhattan_sim"):
        torch.testing.assert_close(getattr(tercet.util, name)(x, y), getattr(theirs, name)(x, y))
        pairwise = f"pairwise_{name}"
        torch.testing.assert_close(getattr(tercet.util, pairwise)(x, y[:5]), getattr(theirs, pairwise)(x, y[:5]))
    for options in ({}, {"top_k": 3}, {"query_chunk_size": 2, "corpus_chunk_size": 3, "top_k": 4}):
        ours, expected = (module.semantic_search(x, y, **options) for module in (tercet.util, theirs))
        assert [[hit["corpus_id"] for hit in hits] for hits in ours] == [
            [hit["corpus_id"] for hit in hits] for hits in expected
        ]
        assert ours[0][0]["score"] == pytest.approx(expected[0][0]["score"])
    torch.testing.assert_close(tercet.util.normalize_embeddings(x), theirs.normalize_embeddings(x))
    assert tercet.util.truncate_embeddings(x, 3).shape == (5, 3)


def test_a_logging_handler_prints(capsys):
    logger = logging.Logger("example")
    logger.addHandler(tercet.LoggingHandler())
    logger.warning("a message")
    assert "a message" in capsys.readouterr().out
