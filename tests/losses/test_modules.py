"""The loss modules: warnings, errors, and runs in the trainer of sentence-transformers."""

import logging

import pytest
import torch
from datasets import Dataset
from torch import nn

from tercet import losses
from tercet.errors import EmbeddingError
from tests.losses.helpers import VARIANTS, gradient, healthy_batch

every_variant = pytest.mark.parametrize("variant", VARIANTS.values(), ids=VARIANTS)
_UNIT = nn.functional.normalize(torch.randn(8, 4, generator=torch.Generator().manual_seed(0)))
_LABELS = torch.arange(8) % 2


@every_variant
def test_module_and_function_agree(variant):
    x, labels = healthy_batch(1)
    loss = variant.module(None, **variant.options(0.5))
    assert loss.compute_loss_from_embeddings(x, labels) == variant.value(x, labels, margin=0.5)
    assert loss.compute_loss_from_embeddings([x], labels) == variant.value(x, labels, margin=0.5)


@every_variant
def test_swapping_the_import_changes_no_number(variant):
    """The same call, arguments by position, with a distance function of sentence-transformers."""
    from sentence_transformers.sentence_transformer.losses import BatchHardTripletLossDistanceFunction as Functions

    x, labels = healthy_batch(2)
    arguments = (nn.Identity(), Functions.cosine_distance, *([0.3] if variant.has_margin else []))
    ours, theirs = (
        kind(*arguments).compute_loss_from_embeddings([x], labels) for kind in (variant.module, variant.peer)
    )
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(gradient(ours, x), gradient(theirs, x))


@every_variant
def test_batches_without_a_triplet_are_counted_and_warned_about_once(variant, caplog):
    loss = variant.module(None)
    x = _UNIT.clone().requires_grad_()
    for _ in range(3):
        value = loss.compute_loss_from_embeddings([x], torch.zeros(8, dtype=torch.long))
        assert value.item() == 0
        assert not gradient(value, x).any()
    assert loss.batches_without_triplet == 3
    assert caplog.text.count("a batch holds no triplet, so its loss is 0: found 8 sentences and 1 label(s)") == 1


@pytest.mark.parametrize(
    ("distance", "embeddings", "bound"),
    [("cosine", 3 * _UNIT, "at most 2"), ("euclidean", _UNIT, "at most 2"), ("manhattan", _UNIT, "at most 4")],
)
def test_an_unreachable_margin_is_warned_about_once_with_the_bound_and_a_remedy(distance, embeddings, bound, caplog):
    loss = losses.BatchAllTripletLoss(None, distance)
    for _ in range(2):
        loss.compute_loss_from_embeddings([embeddings], _LABELS)
    assert caplog.text.count("margin 5 can never be met") == 1
    assert bound in caplog.text
    assert "Use a margin well below" in caplog.text


def test_the_bound_of_a_margin_is_not_rounded_above_it(caplog):
    x = torch.nn.functional.normalize(torch.randn(4, 33), dim=1)  # The Manhattan distance is at most 11.489.
    losses.BatchAllTripletLoss(None, "manhattan", 11.49).compute_loss_from_embeddings([x], torch.tensor([0, 0, 1, 1]))
    assert "margin 11.49 can never be met" in caplog.text
    assert "is at most 11.489, so every triplet stays active. Use a margin well below 11.489," in caplog.text


def test_a_reachable_margin_gives_no_warning(caplog):
    caplog.set_level(logging.WARNING)
    losses.BatchAllTripletLoss(None, "euclidean", 5).compute_loss_from_embeddings([3 * _UNIT], _LABELS)
    losses.BatchAllTripletLoss(None, "cosine", 0.3).compute_loss_from_embeddings([_UNIT], _LABELS)
    losses.BatchHardSoftMarginTripletLoss(None, "cosine").compute_loss_from_embeddings([_UNIT], _LABELS)
    assert caplog.text == ""


@pytest.mark.parametrize("margin", [-0.1, float("nan"), float("inf"), "0.3"])
def test_an_invalid_margin_is_an_error(margin):
    with pytest.raises(EmbeddingError, match="margin must be a finite number of at least 0"):
        losses.BatchSemiHardTripletLoss(None, margin=margin)


def test_wrong_columns_and_missing_models_are_errors():
    loss = losses.BatchHardTripletLoss(None)
    with pytest.raises(EmbeddingError, match="takes one column of sentences, got 2"):
        loss([{}, {}], _LABELS)
    with pytest.raises(EmbeddingError, match="this loss has no model"):
        loss([{}], _LABELS)
    with pytest.raises(EmbeddingError, match=r"takes three columns \(anchor, positive and negative\), got 2"):
        losses.TripletLoss(None).compute_loss_from_embeddings([_UNIT, _UNIT])
    with pytest.raises(EmbeddingError, match="unknown distance 'l2'"):
        losses.TripletLoss(None, "l2")


def test_distances_by_the_names_of_sentence_transformers():
    x, labels = healthy_batch(4)
    batch, given = losses.BatchHardTripletLossDistanceFunction, losses.TripletDistanceMetric
    for name, distance in (("cosine", batch.cosine_distance), ("euclidean", batch.euclidean_distance)):
        expected = losses.BatchAllTripletLoss(None, name).compute_loss_from_embeddings(x, labels)
        assert losses.BatchAllTripletLoss(None, distance).compute_loss_from_embeddings(x, labels) == expected
    assert losses.TripletLoss(None, given.MANHATTAN).get_config_dict()["distance_metric"] == "manhattan"


def test_settings_for_the_card():
    assert losses.BatchAllTripletLoss(None, "cosine", 0.2).get_config_dict() == {
        "distance_metric": "cosine",
        "margin": 0.2,
    }
    assert losses.BatchHardSoftMarginTripletLoss(None).get_config_dict() == {"distance_metric": "euclidean"}
    assert losses.TripletLoss(None).get_config_dict() == {"distance_metric": "euclidean", "triplet_margin": 5.0}


@pytest.mark.slow
@every_variant
def test_in_the_trainer_of_sentence_transformers_the_numbers_are_its_own(variant, bert, sentences, labels, tmp_path):
    from sentence_transformers import SentenceTransformer, SentenceTransformerTrainer
    from sentence_transformers import SentenceTransformerTrainingArguments as Arguments

    data = Dataset.from_dict({"text": sentences, "label": [sorted(set(labels)).index(label) for label in labels]})
    weights = []
    for kind in (variant.module, variant.peer):
        model = SentenceTransformer(str(bert), device="cpu")
        model[0].auto_model.eval()
        for module in model.modules():
            if isinstance(module, nn.Dropout):
                module.p = 0.0
        loss = kind(model, **variant.options(0.3))
        args = Arguments(
            str(tmp_path / kind.__module__), max_steps=3, per_device_train_batch_size=16, report_to="none", seed=1,
            learning_rate=0.1, optim="sgd", save_strategy="no", disable_tqdm=True, dataloader_pin_memory=False,
        )  # fmt: skip
        SentenceTransformerTrainer(model=model, args=args, train_dataset=data, loss=loss).train()
        weights.append(torch.cat([p.detach().flatten() for p in model.parameters()]))
    torch.testing.assert_close(weights[0], weights[1], rtol=1e-4, atol=1e-5)
    start = SentenceTransformer(str(bert), device="cpu")
    moved = weights[0] - torch.cat([p.detach().flatten() for p in start.parameters()])
    assert moved.abs().max() > 1e-4


def test_triplet_loss_in_the_trainer_of_sentence_transformers(bert, sentences, tmp_path):
    from sentence_transformers import SentenceTransformer, SentenceTransformerTrainer
    from sentence_transformers import SentenceTransformerTrainingArguments as Arguments

    data = Dataset.from_dict({"anchor": sentences, "positive": sentences[::-1], "negative": [*sentences[1:], "the"]})
    model = SentenceTransformer(str(bert), device="cpu")
    args = Arguments(
        str(tmp_path),
        max_steps=2,
        report_to="none",
        save_strategy="no",
        disable_tqdm=True,
        logging_steps=1,
        dataloader_pin_memory=False,
    )
    trainer = SentenceTransformerTrainer(
        model=model, args=args, train_dataset=data, loss=losses.TripletLoss(model, triplet_margin=0.5)
    )
    trainer.train()
    assert all(entry["loss"] > 0 for entry in trainer.state.log_history if "loss" in entry)
