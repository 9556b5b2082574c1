"""Maps: neighbours stay together, and two maps of the same sentences are aligned."""

import numpy as np
import pytest
import torch

from tercet.report.projection import project


def clusters(groups=4, each=15, dim=20, seed=0):
    generator = torch.Generator().manual_seed(seed)
    centres = 5 * torch.randn(groups, dim, generator=generator)
    return centres.repeat_interleave(each, 0) + torch.randn(groups * each, dim, generator=generator)


def test_groups_stay_groups():
    points = project(clusters())
    d = np.linalg.norm(points[:, None] - points[None], axis=2)
    np.fill_diagonal(d, np.inf)
    assert (d.argmin(1) // 15 == np.arange(60) // 15).all()


@pytest.mark.slow
def test_a_second_map_is_rotated_to_the_first():
    x = clusters()
    first = project(x)
    second = project(x + 0.1 * torch.randn_like(x), aligned_to=first)
    u, _, v = np.linalg.svd(second.T @ first)
    assert u @ v == pytest.approx(np.eye(2), abs=1e-3)  # no turn brings it nearer


@pytest.mark.parametrize("rows", [1, 2, 3, 7, 8, 9])
@pytest.mark.parametrize("dim", [1, 2, 5])
def test_few_sentences_few_dimensions_and_all_alike(rows, dim):
    for x in (torch.randn(rows, dim), torch.ones(rows, dim), torch.zeros(rows, dim)):
        first = project(x)
        assert first.shape == project(x, aligned_to=first).shape == (rows, 2)
        assert np.isfinite(first).all()


@pytest.mark.slow
def test_the_same_embeddings_give_the_same_map():
    assert np.array_equal(project(clusters()), project(clusters()))


def test_with_few_sentences_the_second_map_shows_the_second_embeddings():
    """Seven sentences are too few for t-SNE; the map after training must not repeat the map before."""
    before, after = torch.randn(7, 5), torch.randn(7, 5)
    first = project(before)
    second = project(after, aligned_to=first)
    assert not np.allclose(first, second)
    lengths = np.linalg.norm(second, axis=1)
    assert lengths == pytest.approx(np.linalg.norm(project(after), axis=1), abs=1e-4)  # rotated, and nothing else
