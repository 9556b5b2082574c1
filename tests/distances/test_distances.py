"""Distances against their formulas, near collapse, and in low precision."""

import math

import numpy as np
import pandas as pd
import pytest
import torch

from tercet import distances
from tercet.catalogue import DISTANCES
from tercet.errors import EmbeddingError

_FORMULAS = {
    "euclidean": lambda x, y: math.sqrt(sum((a - b) ** 2 for a, b in zip(x, y, strict=True))),
    "manhattan": lambda x, y: sum(abs(a - b) for a, b in zip(x, y, strict=True)),
    "cosine": lambda x, y: 1 - sum(a * b for a, b in zip(x, y, strict=True)) / (math.hypot(*x) * math.hypot(*y)),
}


@pytest.mark.parametrize("distance", tuple(DISTANCES))
def test_matrix_and_pairs_are_the_formula(distance):
    x, y = torch.randn(5, 3, dtype=torch.float64), torch.randn(4, 3, dtype=torch.float64)
    wanted = torch.tensor([[_FORMULAS[distance](a, b) for b in y.tolist()] for a in x.tolist()], dtype=torch.float64)
    torch.testing.assert_close(distances.matrix(x, y, distance), wanted)
    torch.testing.assert_close(distances.pairs(x[:4], y, distance), wanted.diagonal())


@pytest.mark.parametrize("distance", ["euclidean", "cosine"])
@pytest.mark.parametrize("gap", [1e-4, 3e-4])
def test_near_duplicates_keep_their_distance_in_float32(distance, gap):
    """Unit vectors 1e-4 apart: the expanded square gives exactly 0, and 3e-4 apart it is off by half."""
    x = torch.nn.functional.normalize(torch.randn(1, 384, dtype=torch.float64))
    sideways = torch.randn(1, 384, dtype=torch.float64)
    sideways = torch.nn.functional.normalize(sideways - (sideways @ x.T) * x)
    both = torch.cat([x, x * math.cos(gap) + sideways * math.sin(gap)]).float()
    exact = (both[0].double() - both[1].double()).norm().item()
    exact = exact**2 / 2 if distance == "cosine" else exact
    assert distances.matrix(both, both, distance)[0, 1].item() == pytest.approx(exact, rel=1e-3)
    assert distances.pairs(both[:1], both[1:], distance).item() == pytest.approx(exact, rel=1e-3)


@pytest.mark.parametrize("distance", tuple(DISTANCES))
def test_gradient_at_distance_zero_is_zero(distance):
    x = torch.tensor([[0.6, 0.8], [0.6, 0.8]], requires_grad=True)
    distances.matrix(x, x, distance).sum().backward()
    assert torch.equal(x.grad, torch.zeros_like(x))


def test_zero_vectors_have_cosine_distance_one_and_a_finite_gradient():
    x = torch.tensor([[0.0, 0.0], [3.0, 4.0], [0.0, 0.0]], requires_grad=True)
    d = distances.matrix(x, x, "cosine")
    assert d.detach().tolist() == [[1, 1, 1], [1, 0, 1], [1, 1, 1]]
    assert distances.pairs(x, x.flip(0), "cosine").tolist() == [1, 0, 1]
    d.sum().backward()
    assert x.grad.isfinite().all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("distance", tuple(DISTANCES))
def test_low_precision_is_computed_in_float32(dtype, distance):
    x = torch.randn(4, 8).to(dtype)
    assert torch.equal(distances.matrix(x, x, distance), distances.matrix(x.float(), x.float(), distance))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert distances.matrix(x.float(), x.float(), distance).dtype == torch.float32


def test_upper_bounds():
    assert distances.get_distance("cosine").upper_bound(unit_length=False, dim=3) == 2
    assert distances.get_distance("euclidean").upper_bound(unit_length=True, dim=3) == 2
    assert distances.get_distance("euclidean").upper_bound(unit_length=False, dim=3) == math.inf
    opposite = torch.ones(1, 4) / 2
    bound = distances.get_distance("manhattan").upper_bound(unit_length=True, dim=4)
    assert distances.pairs(opposite, -opposite, "manhattan").item() == bound


def test_functions_as_distances():
    x = torch.randn(3, 2)
    assert torch.equal(distances.matrix(x, x, lambda e: torch.cdist(e, e)), torch.cdist(x, x))
    with pytest.raises(EmbeddingError, match=r"returned shape \(3,\), expected \(3, 3\)"):
        distances.matrix(x, x, lambda e: e.sum(1))
    hint = r"unknown distance 'euclid'; did you mean 'euclidean'\? choose one of 'euclidean'"
    with pytest.raises(EmbeddingError, match=hint):
        distances.matrix(x, x, "euclid")


def test_embeddings_in_any_array():
    """The same values in each container give the same distances, without a warning."""
    x = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)
    wanted = distances.matrix(torch.from_numpy(x.copy()), torch.from_numpy(x.copy()), "euclidean")
    read_only = x.copy()
    read_only.flags.writeable = False
    same = [x.tolist(), list(x), x[::-1].copy()[::-1], x.astype(">f4"), x.astype(object), read_only, pd.DataFrame(x),
            pd.Series(list(x), index=[3, 2, 1, 0]), pd.DataFrame(x).astype("Float32"), x.astype(np.longdouble),
            np.ma.masked_array(x, mask=False)]  # fmt: skip
    for values in same:
        torch.testing.assert_close(distances.matrix(values, values, "euclidean").float(), wanted)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.ma.masked_array(np.ones((2, 2)), mask=[[0, 0], [0, 1]]), "masked values"),
        (np.array([["1", "2"]], dtype=object), "rows of numbers"),
        (pd.DataFrame([[1.0, pd.NA]], dtype="Float64"), "rows of numbers"),
        (pd.Series([[1.0], [1.0, 2.0]]), "rows of numbers of the same length"),
    ],
)
def test_arrays_that_are_no_embeddings(values, message):
    with pytest.raises(EmbeddingError, match=message):
        distances.matrix(values, values, "euclidean")
