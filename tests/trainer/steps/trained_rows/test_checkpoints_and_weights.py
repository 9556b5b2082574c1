"""Checkpoints, saved and loaded weights have all rows of the word embeddings, also in the middle of a run."""

import copy
import io

import pytest
import torch
from torch import nn
from transformers import TrainerCallback

from tercet import SentenceTransformer
from tercet.trainer.steps.trained_rows import TrainedRows
from tests.trainer.helpers import flat_weights, make_trainer
from tests.trainer.steps.trained_rows.watched_run import UNUSED, Watch, of_the_library, run


def test_others_see_all_rows_in_the_middle_of_a_run(encoder, labelled, tmp_path, alone):
    """The state, a saved model, a copy, a pickled model, embeddings of other words, and the state of the optimizer."""
    words = [" ".join(UNUSED[:3]), "the team won"]

    def look(model, optimizer):
        buffer = io.BytesIO()
        torch.save(model, buffer)
        buffer.seek(0)
        model.save_pretrained(tmp_path / "inside")
        return {
            "state": {name: value.clone() for name, value in model.state_dict().items()},
            "saved": SentenceTransformer(tmp_path / "inside").state_dict(),
            "copy": copy.deepcopy(model).state_dict(),
            "pickled": torch.load(buffer, weights_only=False).state_dict(),
            "embeddings": model.encode(words),
            "kinds": (type(copy.deepcopy(model).input_module.word_embeddings), model.training),
            "optimizer": {number: copy.deepcopy(values) for number, values in optimizer.state_dict()["state"].items()},
        }

    found = []
    for on in (True, False):
        alone(on)
        found.append(run(encoder, tmp_path / str(on), labelled, look=look)[1].seen)
    with_rows, plain = found
    for name in ("saved", "copy", "pickled"):
        assert with_rows[name].keys() == plain["state"].keys()
        assert all(torch.equal(value, with_rows["state"][key]) for key, value in with_rows[name].items())
    torch.testing.assert_close(with_rows["state"], plain["state"], rtol=0, atol=0)
    assert (with_rows["embeddings"] == plain["embeddings"]).all()
    assert with_rows["kinds"] == plain["kinds"] == (nn.Embedding, True)
    torch.testing.assert_close(with_rows["optimizer"], plain["optimizer"], rtol=0, atol=0)


@pytest.mark.parametrize(("first", "then"), [(True, True), (True, False), (False, True)])
def test_a_checkpoint_is_resumed_with_and_without(first, then, encoder, labelled, tmp_path, alone):
    changes = {"save_strategy": "steps", "save_steps": 2, "max_steps": 6}
    alone(first)
    whole, _ = run(encoder, tmp_path / "run", labelled, changes=changes)
    alone(then)
    resumed, watch = run(
        encoder, tmp_path / "run", labelled, changes=changes, resume=str(tmp_path / "run" / "checkpoint-2")
    )
    assert (max(watch.rows) < 300) == then
    assert torch.equal(flat_weights(resumed.model), flat_weights(whole.model))


def test_rows_outside_that_have_a_state_are_trained(encoder, labelled, tmp_path, alone):
    """Only another run could write such a state, so all rows are trained."""
    alone(True)
    changes = {"save_strategy": "steps", "save_steps": 2, "max_steps": 4}
    run(encoder, tmp_path / "run", labelled, changes=changes)
    trainer = make_trainer(encoder, tmp_path / "run", labelled, changes=changes)
    layer = trainer.model.input_module.word_embeddings
    trained = TrainedRows(layer, torch.arange(20))
    optimizer = torch.optim.AdamW(trainer.model.parameters())
    trained.follow(optimizer)
    state = optimizer.state_dict()
    moments = {name: torch.ones(layer.num_embeddings, layer.embedding_dim) for name in ("exp_avg", "exp_avg_sq")}
    state["state"] = {0: {"step": torch.tensor(1.0), **moments}}
    optimizer.load_state_dict(state)
    assert not trained.is_active
    assert optimizer.state[layer.weight]["exp_avg"].shape == layer.weight.shape


def test_weights_are_known_in_the_middle_and_after(encoder, labelled, tmp_path, alone):
    """A copy and the model itself have the weights that were stored with a checkpoint."""
    alone(True)
    seen = {}

    @of_the_library
    class Look(TrainerCallback):
        def on_save(self, args, state, control, model=None, **kwargs):
            seen.update(model=model.weights_are_known, copy=copy.deepcopy(model).weights_are_known)
            raise KeyboardInterrupt

    changes = {"save_strategy": "steps", "save_steps": 2}
    trainer = make_trainer(encoder, tmp_path, labelled, changes=changes, callbacks=[Look()])
    with pytest.raises(KeyboardInterrupt):
        trainer.train()
    assert seen == {"model": True, "copy": True}
    assert trainer.model.weights_are_known


def test_weights_can_be_loaded_in_the_middle(encoder, labelled, tmp_path, alone):
    start = SentenceTransformer(encoder).state_dict()
    alone(True)

    def look(model, optimizer):
        model.load_state_dict(start)
        return {name: value.clone() for name, value in model.state_dict().items()}

    found = run(encoder, tmp_path, labelled, look=look)[1].seen
    torch.testing.assert_close(found, start, rtol=0, atol=0)


def test_a_failed_run_gives_the_rows_back(encoder, labelled, tmp_path, alone):
    alone(True)

    def fail(model, optimizer):
        raise KeyboardInterrupt

    trainer = make_trainer(encoder, tmp_path, labelled, callbacks=[Watch(fail)])
    before = trainer.model.input_module.word_embeddings.weight
    with pytest.raises(KeyboardInterrupt):
        trainer.train()
    layer = trainer.model.input_module.word_embeddings
    assert layer.weight is before
    assert type(layer) is nn.Embedding
    assert not layer._state_dict_hooks
