"""All rows of the word embeddings are trained if the result could differ."""

import copy

import pytest
import torch
from torch import nn

from tercet.trainer.steps.trained_rows import TrainedRows, can_train_rows
from tests.trainer.helpers import make_trainer
from tests.trainer.steps.trained_rows.watched_run import run


@pytest.mark.parametrize(
    "changes",
    [{"weight_decay": 0.01}, {"optim": "sgd"}, {"optim": "adafactor"}, {"optim_args": "amsgrad=True"}],
)
def test_all_rows_are_trained_if_the_result_could_differ(changes, encoder, labelled, tmp_path, alone):
    alone(True)
    trainer, watch = run(encoder, tmp_path, labelled, changes=changes)
    assert watch.rows == {trainer.model.input_module.word_embeddings.num_embeddings}


def test_all_rows_are_trained_if_the_tokens_are_not_known(encoder, labelled, tmp_path, alone, monkeypatch):
    """A data set with a transform, an own collator, a stream, an own optimizer, and a data set that is too large."""
    from tercet.trainer.batches import tokenizing

    alone(True)
    changing = labelled.with_transform(lambda rows: {**rows, "text": [f"{text} new" for text in rows["text"]]})
    own = make_trainer(encoder, tmp_path / "own", labelled)
    for name, data, options in (
        ("transform", changing, {}),
        ("stream", labelled.to_iterable_dataset(), {"changes": {"max_steps": 3}}),
        ("optimizer", labelled, {"optimizer_cls_and_kwargs": (torch.optim.AdamW, {"lr": 1e-3})}),
    ):
        trainer, watch = run(encoder, tmp_path / name, data, **options)
        assert watch.rows == {trainer.model.input_module.word_embeddings.num_embeddings}, name
    monkeypatch.setattr(tokenizing, "ROWS_TOKENIZED_ONCE", 3)
    assert run(encoder, tmp_path / "large", labelled)[1].rows == {own.model.input_module.word_embeddings.num_embeddings}


@pytest.mark.parametrize(
    "layer",
    [
        nn.Embedding(4, 2, sparse=True), nn.Embedding(4, 2, max_norm=1.0), nn.Embedding(4, 2, scale_grad_by_freq=True),
        nn.EmbeddingBag(4, 2, mode="sum"), nn.Linear(4, 2), nn.Embedding.from_pretrained(torch.ones(4, 2)),
    ],
)  # fmt: skip
def test_layers_whose_rows_are_not_trained_alone(layer):
    assert not can_train_rows(layer)


@pytest.mark.filterwarnings("ignore:.*weight_norm.*is deprecated:FutureWarning")
def test_layers_with_a_forward_pass_or_a_weight_of_their_own():
    replaced, normed = nn.Embedding(4, 2), nn.utils.weight_norm(nn.Embedding(4, 2))
    replaced.forward = lambda ids: replaced.weight[ids]
    assert not can_train_rows(replaced)
    assert not can_train_rows(normed)


def test_a_padding_row_gets_no_gradient():
    """As in `nn.Embedding`."""
    plain = nn.Embedding(6, 3, padding_idx=4)
    layer = copy.deepcopy(plain)
    trained = TrainedRows(layer, torch.tensor([1, 2, 4]))
    ids = torch.tensor([[4, 1], [2, 4]])
    for one in (plain, layer):
        (one(ids) ** 2).sum().backward()
    trained.stop()
    assert torch.equal(layer.weight.grad, plain.weight.grad)
    assert not layer.weight.grad[4].any()
