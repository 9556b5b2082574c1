"""A Dense module takes only what it can load again."""

import numpy as np
import pytest
import torch
from torch import nn

from tercet import SentenceTransformer
from tercet.encoder.modules import Dense
from tercet.errors import ModelError


class Doubled(nn.Module):
    def forward(self, x):
        return 2 * x


@pytest.mark.parametrize(
    "activation",
    [Doubled(), lambda x: x, torch.tanh, nn.functional.gelu, nn.PReLU(), nn.LeakyReLU(0.2), nn.GELU("tanh"), "ReLU"],
    ids=["module", "lambda", "tanh", "gelu", "PReLU", "LeakyReLU", "GELU", "name"],
)
def test_an_activation_that_could_not_be_loaded_again_is_refused(activation):
    with pytest.raises(ModelError, match=r"could not be loaded again, because only the name"):
        Dense(4, 2, activation=activation)


def test_an_activation_that_was_replaced_is_refused_when_it_is_saved(tmp_path):
    dense = Dense(4, 2)
    dense.activation = Doubled()
    with pytest.raises(ModelError, match="could not be loaded again"):
        dense.save(tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("activation", [None, nn.ReLU(), nn.Identity(), nn.GELU(), nn.LeakyReLU()], ids=str)
def test_an_accepted_activation_is_the_same_after_saving(activation, bert, tmp_path):
    model = SentenceTransformer(
        modules=[*SentenceTransformer(bert, device="cpu"), Dense(32, 8, activation=activation)], device="cpu"
    )
    model.save_pretrained(tmp_path / "model")
    again = SentenceTransformer(tmp_path / "model", device="cpu")
    np.testing.assert_array_equal(again.encode(["the game"]), model.encode(["the game"]))


@pytest.mark.parametrize("value", [0, -1, 1.5, "8", None, True])
def test_dimensions_must_be_positive_integers(value):
    with pytest.raises(ModelError, match="in_features must be a positive integer, got"):
        Dense(value, 2)
    with pytest.raises(ModelError, match="out_features must be a positive integer, got"):
        Dense(2, value)
