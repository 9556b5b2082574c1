"""The settings that a loss describes, which a model card shows and a checkpoint stores."""

import inspect
from functools import partial

import pytest

from tercet import SentenceTransformer
from tercet.errors import EmbeddingError
from tercet.losses import (
    AdaptiveLayerLoss,
    BatchHardSoftMarginTripletLoss,
    BatchHardTripletLoss,
    BatchHardTripletLossDistanceFunction,
    MatryoshkaLoss,
    NestedTripletLoss,
    TripletLoss,
)

_INNER = BatchHardTripletLoss()
_NESTED = partial(NestedTripletLoss, losses=[_INNER, _INNER], paths=[("a", "b"), ("c",)])


@pytest.fixture(scope="module")
def model(bert):
    return SentenceTransformer(str(bert), device="cpu")


@pytest.mark.parametrize(
    ("make_loss", "changes"),
    [
        (BatchHardTripletLoss, {"distance_metric": "cosine", "margin": 0.1, "jaccard_weights": True}),
        (BatchHardSoftMarginTripletLoss, {"distance_metric": "cosine", "jaccard_weights": True}),
        (TripletLoss, {"distance_metric": "cosine", "triplet_margin": 0.1}),
        (_NESTED, {"weights": [1, 12], "losses": [BatchHardTripletLoss(margin=0.1), _INNER]}),
        (
            partial(MatryoshkaLoss, loss=_INNER, matryoshka_dims=[4, 2]),
            {"matryoshka_dims": [4, 1], "matryoshka_weights": [1, 2], "n_dims_per_step": 1},
        ),
        (
            partial(AdaptiveLayerLoss, loss=_INNER),
            {
                "n_layers_per_step": 2, "last_layer_weight": 2, "prior_layers_weight": 2, "kl_div_weight": 2,
                "kl_temperature": 2, "layer_weighting": "linear",
            },
        ),
    ],
    ids=["batch", "soft margin", "triplet", "nested", "matryoshka", "adaptive layer"],
)  # fmt: skip
def test_each_argument_is_in_the_settings(make_loss, changes, model):
    """A run with another value is another run, so its checkpoint must differ."""

    def settings(**arguments):
        loss = make_loss(model, **arguments)
        if "jaccard_weights" in changes:
            loss.set_label_sets([[0, 1], [1]])
        return loss.get_config_dict()

    assert {*changes} == {*inspect.signature(make_loss).parameters} - {"model", "loss", "paths"}
    for name, value in changes.items():
        assert settings(**{name: value}) != settings(), name


@pytest.mark.parametrize("first", ["cosine", 0.3, BatchHardTripletLossDistanceFunction.cosine_distance])
def test_another_first_argument_than_the_model_is_refused(first):
    for make in (BatchHardTripletLoss, BatchHardSoftMarginTripletLoss, TripletLoss):
        with pytest.raises(EmbeddingError, match=f"argument of {make.__name__} must be the model object or None, got "):
            make(first)
