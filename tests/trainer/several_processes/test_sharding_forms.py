"""A sharded model and its whole form, in a process group of one process."""

from copy import deepcopy

import pytest
import torch
from torch import distributed, nn
from torch.distributed.tensor import DTensor

from tercet import SentenceTransformer
from tercet.encoder.packing.layers import find_layers
from tercet.errors import DataError
from tercet.trainer.steps.sharding import Sharding, gathered_model
from tests.trainer.helpers import flat_weights


@pytest.fixture
def group():
    distributed.init_process_group("gloo", store=distributed.HashStore(), rank=0, world_size=1)
    yield
    distributed.destroy_process_group()


@pytest.fixture
def model(bert):
    return SentenceTransformer(bert, device="cpu")


def test_a_model_is_sharded_and_whole_again(group, model, sentences):
    parameters, weights, expected = list(model.parameters()), flat_weights(model), model.encode(sentences)
    sharding = Sharding(model, keeps_gathered=False)
    assert all(isinstance(value, DTensor) for value in model.parameters())
    assert all(value.numel() == 0 for value in parameters)
    assert find_layers(model.transformer.auto_model) is None  # The hooks of the layers have to run.
    assert model.encode(sentences) == pytest.approx(expected, abs=1e-6)
    with gathered_model(model):
        assert type(model) is SentenceTransformer
        assert all(value is before for value, before in zip(model.parameters(), parameters, strict=True))
        assert torch.equal(flat_weights(deepcopy(model)), weights)
        assert find_layers(model.transformer.auto_model) is not None
        with gathered_model(model), torch.no_grad():
            parameters[0].fill_(2.0)
    assert all(isinstance(value, DTensor) for value in model.parameters())
    sharding.gather()
    assert model.state_dict()["0.auto_model.embeddings.word_embeddings.weight"].eq(2).all()
    assert torch.equal(flat_weights(model)[parameters[0].numel() :], weights[parameters[0].numel() :])


def test_a_hook_that_is_removed_from_the_whole_model_is_gone(group, model, sentences):
    calls = []
    handle = model.register_forward_hook(lambda *_: calls.append(1))
    sharding = Sharding(model, keeps_gathered=True)
    model.encode(sentences)
    assert calls == [1]
    sharding.gather()
    handle.remove()
    model.encode(sentences)
    assert calls == [1]


def test_weights_that_cannot_be_sharded_are_errors(model):
    model.scale = nn.Parameter(torch.tensor(1.0))
    with pytest.raises(DataError, match=r"fsdp cannot shard the weight scale, which is a single number .* \(1,\)"):
        Sharding(model, keeps_gathered=False)
    model.scale = nn.Parameter(torch.ones(1, dtype=torch.float64))
    with pytest.raises(DataError, match="fsdp needs weights of one dtype, but .* 'torch.float32', 'torch.float64'; co"):
        Sharding(model, keeps_gathered=False)
