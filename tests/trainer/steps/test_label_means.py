"""The label means of an epoch come from the embeddings of the epoch before, also in a resumed run."""

import shutil

import numpy as np
import pytest
import torch
from datasets import Dataset

from tercet.errors import DataError
from tercet.trainer.steps.label_means import LabelMeans
from tests.conftest import TOPICS
from tests.trainer.helpers import flat_weights, make_arguments, make_trainer, turn_off_dropout

# Twelve labels of four sentences: six batches of eight in an epoch, in groups of two.
_LABELS = 12
_STEPS = 6
CHANGES = {"neighbor_labels": 0.5, "max_steps": 3 * _STEPS, "save_strategy": "steps", "save_steps": 1}


@pytest.fixture
def twelve():
    texts = [text for topic in TOPICS.values() for text in topic]
    sentences = [f"{texts[row % 16]} {texts[(5 * row) % 16]}" for row in range(4 * _LABELS)]
    return Dataset.from_dict({"text": sentences, "label": [10 * (row // 4) for row in range(4 * _LABELS)]})


def _means(seed=0):
    return np.random.default_rng(seed).normal(size=(_LABELS, 5))


def test_the_sums_give_the_means_of_a_plain_loop():
    rng = np.random.default_rng(0)
    labels = np.array([3, 3, 8, 8, 8, 20])
    embeddings = rng.normal(size=(6, 4)) * rng.uniform(0.1, 30, (6, 1))
    means = LabelMeans(labels, 4, torch.device("cpu"))
    means.reset()
    means.start_epoch(0)
    assert means.current is None
    for rows in ([0, 4], [2, 1, 3]):
        means.add(torch.tensor(embeddings[rows], requires_grad=True), torch.tensor(labels[rows]))
    means.start_epoch(0)
    assert means.current is None, "the epoch was resumed"
    means.start_epoch(1)
    for row, label in enumerate((3, 8)):
        wanted = np.zeros(4)
        for embedding in embeddings[labels == label]:
            wanted += embedding / np.sqrt((embedding**2).sum())
        assert means.current[row] / 2.0**20 == pytest.approx(wanted, abs=1e-5)
    assert not means.current[2].any(), "no row of this label was seen"


def test_a_label_without_a_row_keeps_its_mean():
    means = LabelMeans([0, 0, 1, 1], 2, torch.device("cpu"))
    means.set_first([[1.0, 0.0], [0.0, 1.0]])
    means.reset()
    means.start_epoch(0)
    means.add(torch.tensor([[0.0, -3.0]]), torch.tensor([0]))
    means.start_epoch(1)
    assert means.current[0].tolist() == [0.0, -(2.0**20)]
    assert means.current[1].tolist() == [0.0, 1.0]


@pytest.mark.slow
def test_an_epoch_uses_the_means_of_the_epoch_before(bert, twelve, tmp_path):
    """With a learning rate of 0, these are the means of `encode`."""
    changes = {**CHANGES, "save_strategy": "no", "learning_rate": 0.0, "max_steps": 2 * _STEPS}
    trainer = make_trainer(bert, tmp_path, twelve, changes=changes)
    turn_off_dropout(trainer.model)
    trainer.train()
    embeddings = np.asarray(trainer.model.encode(twelve["text"][:]), dtype=np.float64)
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    wanted = np.stack([embeddings[4 * label : 4 * label + 4].sum(axis=0) for label in range(_LABELS)])
    np.testing.assert_allclose(trainer._label_means.current / 2.0**20, wanted, atol=1e-4)


@pytest.mark.slow
def test_the_batches_are_those_of_the_sampler_with_the_means(bert, twelve, tmp_path):
    drawn = []

    class Recorder(LabelMeans):
        def add(self, embeddings, labels):
            drawn.append(sorted(labels.tolist()))
            super().add(embeddings, labels)

    trainer = make_trainer(bert, tmp_path, twelve, changes={**CHANGES, "save_strategy": "no"})
    trainer._label_means.__class__ = Recorder
    trainer.set_label_means(_means())
    trainer.train()
    sampler = trainer._get_train_sampler()
    sampler.set_label_means(_means())
    labels = np.array(twelve["label"][:])
    assert drawn[:_STEPS] == np.sort(labels[sampler.batches()], axis=1).tolist()
    sampler.set_epoch(2)
    sampler.set_label_means(trainer._label_means.current)
    assert drawn[-_STEPS:] == np.sort(labels[sampler.batches()], axis=1).tolist()


@pytest.mark.slow
@pytest.mark.parametrize("first", [None, _means()], ids=["random", "given"])
def test_a_resumed_run_has_the_weights_of_the_whole_run(first, bert, twelve, tmp_path):
    """Within the first epoch, at its end, within the second epoch, and within the third."""
    whole = make_trainer(bert, tmp_path / "whole", twelve, changes=CHANGES)
    whole.set_label_means(first)
    whole.train()
    for step in (2, _STEPS, _STEPS + 1, 2 * _STEPS + 3):
        resumed = make_trainer(bert, tmp_path / "whole", twelve, changes={**CHANGES, "save_strategy": "no"})
        resumed.train(resume_from_checkpoint=str(tmp_path / f"whole/checkpoint-{step}"))
        assert torch.equal(flat_weights(resumed.model), flat_weights(whole.model))
        np.testing.assert_array_equal(resumed._label_means.current, whole._label_means.current)
        assert torch.equal(resumed._label_means._sums, whole._label_means._sums)


@pytest.mark.slow
def test_a_second_run_of_a_trainer_starts_with_the_first_means(bert, twelve, tmp_path):
    trainer = make_trainer(bert, tmp_path, twelve, changes={**CHANGES, "save_strategy": "no", "learning_rate": 0.0})
    turn_off_dropout(trainer.model)
    trainer.set_label_means(_means())
    states = []
    for _ in range(2):
        trainer.train()
        states.append((trainer._label_means._sums.clone(), trainer._label_means.current))
    assert torch.equal(states[0][0], states[1][0])
    np.testing.assert_array_equal(states[0][1], states[1][1])


@pytest.mark.slow
def test_a_checkpoint_of_other_settings_or_a_damaged_one_is_refused(bert, twelve, tmp_path):
    changes = {**CHANGES, "max_steps": 2}
    make_trainer(bert, tmp_path, twelve, changes=changes).train()
    with pytest.raises(DataError, match=r"neighbor_labels was 0.5, now it is 0.25"):
        make_trainer(bert, tmp_path, twelve, changes={**changes, "neighbor_labels": 0.25}).train(True)
    with pytest.raises(DataError, match=r"neighbor_labels was 0.5, now it is 0.0"):
        make_trainer(bert, tmp_path, twelve, changes={**changes, "neighbor_labels": 0.0}).train(True)
    shutil.rmtree(tmp_path / "checkpoint-1")
    (tmp_path / "checkpoint-2/label_means.safetensors").unlink()
    with pytest.raises(DataError, match="label_means.safetensors is missing"):
        make_trainer(bert, tmp_path, twelve, changes=changes).train(True)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"neighbor_labels": -0.1}, "neighbor_labels must be at least 0, got -0.1"),
        ({"neighbor_labels": 1.5}, "neighbor_labels must be at most 1, got 1.5"),
        ({"neighbor_labels": float("nan")}, "neighbor_labels must be at least 0, got nan"),
        ({"neighbor_labels": "half"}, "neighbor_labels must be a number, got 'half'"),
        (
            {"neighbor_labels": 0.5, "batch_sampler": "batch_sampler"},
            "neighbor_labels=0.5 has no effect on random batches; set batch_sampler='group_by_label', or leave out",
        ),
    ],
)
def test_arguments_without_effect_or_sense_raise_an_error(changes, message, tmp_path):
    with pytest.raises(DataError, match=message):
        make_arguments(tmp_path, **changes)


def test_means_that_do_not_fit_raise_an_error(bert, twelve, tmp_path):
    trainer = make_trainer(bert, tmp_path, twelve)
    with pytest.raises(DataError, match="the label means have no effect, because neighbor_labels is 0; set"):
        trainer.set_label_means(_means())
    trainer = make_trainer(bert, tmp_path, twelve, changes=CHANGES)
    with pytest.raises(DataError, match=r"must have the shape \(12, dim\), one row for each label in sorted order"):
        trainer.set_label_means(_means()[:3])
