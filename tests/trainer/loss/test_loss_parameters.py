"""Parameters of the loss itself: trained with the model, saved and resumed, or refused."""

import pytest
import torch
from torch import nn

from tercet import SentenceTransformer, SentenceTransformerTrainer, losses
from tercet._events import WarningKind, collect_warnings
from tercet.errors import DataError
from tests.trainer.helpers import flat_weights, make_arguments, turn_off_dropout


class ScaledLoss(losses.BatchAllTripletLoss):
    """A loss with one parameter, a factor of the embeddings, and one buffer, the number of batches."""

    def __init__(self, model=None):
        super().__init__(model, margin=0.3)
        self.scale = nn.Parameter(torch.tensor(1.5))
        self.register_buffer("batches", torch.zeros(()))

    def compute_loss_from_embeddings(self, embeddings, labels, memory=None):
        self.batches += 1
        return super().compute_loss_from_embeddings([self.scale * embeddings[0]], labels, memory)


def _make(bert, folder, labelled, loss=ScaledLoss, evaluator=None, **changes):
    torch.manual_seed(0)
    model = SentenceTransformer(bert, device="cpu")
    turn_off_dropout(model)
    arguments = make_arguments(folder, **changes)
    return SentenceTransformerTrainer(model, arguments, labelled, loss=loss(model), evaluator=evaluator)


@pytest.mark.slow
def test_they_are_trained_clipped_and_their_gradients_are_cleared(bert, labelled, tmp_path):
    norms = []
    for max_grad_norm in (1e9, 1e-9):
        trainer = _make(
            bert,
            tmp_path,
            labelled,
            optim="sgd",
            max_grad_norm=max_grad_norm,
            max_steps=1,
            lr_scheduler_type="constant",
        )
        trainer.train()
        norms.append(float(trainer.loss.scale.detach()) - 1.5)
        assert trainer.loss.scale.grad is None
    assert abs(norms[0]) > 1e-6
    assert norms[1] == 0.0  # In float32, the clipped step is below the resolution.


@pytest.mark.slow
@pytest.mark.parametrize("accumulation", [1, 2])
def test_cached_gradients_train_them_alike(accumulation, bert, labelled, tmp_path):
    results = []
    for tokens in (None, 20):
        trainer = _make(
            bert, tmp_path, labelled, mini_batch_tokens=tokens, gradient_accumulation_steps=accumulation,
            max_steps=2, optim="sgd", learning_rate=0.1,
        )  # fmt: skip
        trainer.train()
        results.append((float(trainer.loss.scale.detach()), flat_weights(trainer.model)))
    assert results[0][0] != 1.5
    assert results[1][0] == pytest.approx(results[0][0], rel=1e-4)
    torch.testing.assert_close(results[1][1], results[0][1], rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_a_resumed_run_has_their_values(bert, labelled, tmp_path):
    changes = {"max_steps": 4, "save_strategy": "steps", "save_steps": 2, "learning_rate": 1e-2}
    whole = _make(bert, tmp_path, labelled, **changes)
    whole.train()
    resumed = _make(bert, tmp_path, labelled, **changes)
    resumed.train(resume_from_checkpoint=str(tmp_path / "checkpoint-2"))
    assert torch.equal(resumed.loss.scale, whole.loss.scale)
    assert float(resumed.loss.batches) == float(whole.loss.batches) == 4
    assert torch.equal(flat_weights(resumed.model), flat_weights(whole.model))


@pytest.mark.slow
def test_the_best_checkpoint_brings_its_values(bert, labelled, tmp_path):
    values = iter([0.9, 0.1])
    trainer = _make(
        bert, tmp_path, labelled, evaluator=lambda model: {"map@r": next(values)}, max_steps=2,
        save_strategy="steps", save_steps=1, eval_strategy="steps", eval_steps=1,
        load_best_model_at_end=True, metric_for_best_model="map@r",
    )  # fmt: skip
    trainer.train()
    assert trainer.state.best_global_step == 1
    assert float(trainer.loss.batches) == 1


def test_an_optimizer_without_them_raises_an_error(bert, labelled, tmp_path):
    model = SentenceTransformer(bert, device="cpu")
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with pytest.raises(DataError, match=r"the optimizer does not have the parameters 'scale' of the loss; create it"):
        SentenceTransformerTrainer(
            model, make_arguments(tmp_path), labelled, loss=ScaledLoss(model), optimizers=(optimizer, None)
        )


class MarginLoss(losses.BatchAllTripletLoss):
    """A loss with a parameter that only the miner uses, where autograd does not see it."""

    def __init__(self, model=None):
        super().__init__(model, margin=0.3)
        self.learned = nn.Parameter(torch.tensor(0.3))

    def miner(self):
        self.margin = float(self.learned.detach())
        return super().miner()


@pytest.mark.slow
def test_a_parameter_without_a_gradient_is_reported(bert, labelled, tmp_path):
    trainer = _make(bert, tmp_path, labelled, MarginLoss)
    with collect_warnings() as warnings:
        trainer.train()
    found = [event for event in warnings if event.kind == WarningKind.UNTRAINED_PARAMETERS]
    assert len(found) == 1
    assert "the parameters 'learned' of the loss got no gradient in the first step" in found[0].message
