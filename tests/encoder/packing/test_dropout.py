"""Dropout masks: fractions, means, gradients, and the layers of a model that are replaced."""

import pytest
import torch
from torch import nn

from tercet.encoder.packing.dropout import Dropout, dropout, replace_dropout


@pytest.mark.parametrize("p", [0.05, 0.1, 0.5, 0.9])
def test_fraction_mean_and_independence(p):
    ones = torch.ones(1001, 1003, requires_grad=True)
    result = dropout(ones, p)
    kept = result != 0
    error = 5 * (p * (1 - p) / ones.numel()) ** 0.5
    assert kept.double().mean() == pytest.approx(1 - p, abs=error)
    assert result.mean().item() == pytest.approx(1, abs=2 * error / (1 - p))
    for lane in range(4):  # of each 64-bit number
        assert kept.flatten()[lane::4].double().mean() == pytest.approx(1 - p, abs=2 * error)
    neighbours = (kept.flatten()[:-1] & kept.flatten()[1:]).double().mean()
    assert neighbours == pytest.approx((1 - p) ** 2, abs=3 * error)
    result.sum().backward()
    torch.testing.assert_close(ones.grad, result.detach())


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
def test_types_and_shapes(dtype):
    for shape in [(), (1,), (3, 5), (2, 0)]:
        result = dropout(torch.ones(shape, dtype=dtype), 0.5)
        assert result.dtype == dtype
        assert result.shape == shape
    transposed = dropout(torch.ones(4, 6, dtype=dtype).T, 0.5)
    assert set(transposed.flatten().tolist()) <= {0.0, 2.0}


def test_probability_0_and_1():
    assert dropout(torch.ones(100), 0.0).sum() == 100
    assert dropout(torch.ones(100), 1.0).sum() == 0


def test_the_same_seed_draws_the_same_mask():
    masks = []
    for _ in range(2):
        torch.manual_seed(3)
        masks.append(dropout(torch.ones(50), 0.5))
    assert torch.equal(*masks)
    assert not torch.equal(masks[0], dropout(torch.ones(50), 0.5))


def test_replaced_layers_do_nothing_in_evaluation_mode():
    model = nn.Sequential(nn.Linear(3, 3), nn.Dropout(0.5), nn.Dropout(0.5, inplace=True))
    replace_dropout(model)
    assert [type(layer) for layer in model] == [nn.Linear, Dropout, nn.Dropout]
    assert (model[1](torch.ones(1000)) == 0).sum() > 300
    model.eval()
    assert model[1](torch.ones(1000)).sum() == 1000
