"""Similarities by name: those of sentence-transformers, and the negative of each distance."""

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer as Peer

from tercet import SentenceTransformer, catalogue
from tercet.distances import Distance
from tercet.encoder import similarity
from tercet.errors import EmbeddingError, ModelError


@pytest.mark.slow
@pytest.mark.parametrize("name", ["cosine", "dot", "euclidean", "manhattan"])
def test_similarities_are_those_of_sentence_transformers(name, bert, sentences):
    ours = SentenceTransformer(bert, device="cpu", similarity_fn_name=name)
    theirs = Peer(str(bert), device="cpu", similarity_fn_name=name)
    x = ours.encode(sentences)
    torch.testing.assert_close(ours.similarity(x[:5], x), theirs.similarity(x[:5], x), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(
        ours.similarity_pairwise(x[:5], x[5:10]), theirs.similarity_pairwise(x[:5], x[5:10]), rtol=1e-4, atol=1e-4
    )
    assert ours.similarity(x[0], x).shape == (1, len(sentences))


@pytest.mark.parametrize("name", ["euclidean", "manhattan"])
def test_near_duplicates_keep_their_distance(name):
    """The expanded square ‖x‖² − 2xy + ‖y‖² returns 0 for many of these pairs."""
    generator = torch.Generator().manual_seed(0)
    x = torch.nn.functional.normalize(torch.randn(40, 384, generator=generator, dtype=torch.float64), dim=1)
    step = torch.nn.functional.normalize(torch.randn(40, 384, generator=generator, dtype=torch.float64), dim=1)
    x, y = x.float(), (x + 1e-4 * step).float()
    difference = x.double() - y.double()
    expected = -(difference.norm(dim=1) if name == "euclidean" else difference.abs().sum(dim=1))
    torch.testing.assert_close(similarity.matrix(x, y, name).diagonal().double(), expected, rtol=1e-3, atol=0)
    torch.testing.assert_close(similarity.pairs(x, y, name).double(), expected, rtol=1e-3, atol=0)


@pytest.mark.parametrize("name", ["cosine", "dot", "euclidean", "manhattan"])
def test_extreme_embeddings_are_right_or_refused(name):
    zeros = torch.zeros(2, 3)
    if name == "cosine":
        assert similarity.matrix(zeros, zeros, name).abs().max() == 0
        assert similarity.matrix([[1e-15, 0.0]], [[1.0, 0.0]], name).item() == pytest.approx(1)
        assert similarity.pairs([[1e-15, 0.0]], [[1.0, 0.0]], name).item() == pytest.approx(1)
    for value in (1e20, float("nan"), float("inf")):
        for function in (similarity.matrix, similarity.pairs):
            with pytest.raises(EmbeddingError, match="x: (values too large|NaN or infinite values) in row"):
                function(torch.full((2, 3), value), zeros, name)
    with pytest.raises(EmbeddingError, match="the same dimension, got 3 and 2"):
        similarity.matrix(zeros, torch.zeros(1, 2), name)
    with pytest.raises(EmbeddingError, match="got 2 and 1 embeddings; pass the same number"):
        similarity.pairs(zeros, zeros[:1], name)


def test_a_misspelt_name_is_refused_with_the_names(bert):
    model = SentenceTransformer(bert, device="cpu")
    with pytest.raises(
        ModelError, match="unknown similarity 'euclidian'; choose one of 'cosine', 'dot', 'euclidean', 'manhattan'"
    ):
        model.similarity_fn_name = "euclidian"
    assert model.similarity_fn_name == "cosine"
    with pytest.raises(ModelError, match="unknown similarity 'euclidian'"):
        similarity.matrix([[1.0]], [[1.0]], "euclidian")


class Chebyshev(Distance):
    name = "chebyshev"

    def pairs(self, x, y):
        return (x - y).abs().amax(1)

    def matrix(self, x, y):
        return torch.cdist(x, y, p=torch.inf)


def test_a_distance_of_the_catalogue_is_a_similarity(bert, sentences, tmp_path):
    model = SentenceTransformer(bert, device="cpu")
    catalogue.DISTANCES.register(
        catalogue.DistanceSpec(name="chebyshev", distance=Chebyshev(), summary="max |xᵢ − yᵢ|")
    )
    try:
        model.similarity_fn_name = "chebyshev"
        x = model.encode(sentences, convert_to_tensor=True)
        expected = -(x.unsqueeze(1) - x).abs().amax(2)
        torch.testing.assert_close(model.similarity(x, x), expected)
        torch.testing.assert_close(model.similarity_pairwise(x, x.flip(0)), expected.flip(1).diagonal())
        model.save_pretrained(tmp_path / "model")
        assert SentenceTransformer(tmp_path / "model", device="cpu").similarity_fn_name == "chebyshev"
        assert Peer(str(tmp_path / "model"), device="cpu").similarity_fn_name == "cosine"
    finally:
        catalogue.DISTANCES.unregister("chebyshev")


def test_sparse_embeddings_have_the_similarity_of_dense_ones():
    x, y = torch.eye(3), torch.rand(2, 3)
    for name in ("cosine", "dot", "euclidean", "manhattan"):
        found = similarity.matrix(x.to_sparse(), y.to_sparse(), name)
        torch.testing.assert_close(found, similarity.matrix(x, y, name))


@pytest.mark.parametrize("kind", ["f2", "f4", "f8", "i4"])
def test_the_byte_order_of_an_array_does_not_matter(kind):
    numbers = np.arange(12).reshape(3, 4).astype(f"={kind}")
    expected = similarity.matrix(numbers, numbers, "cosine")
    other = numbers.astype(numbers.dtype.newbyteorder(">"))
    assert not other.dtype.isnative
    assert torch.equal(similarity.matrix(other, other, "cosine"), expected)
