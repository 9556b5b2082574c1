"""Resuming takes only whole checkpoints of the same run."""

import json
import logging
import os
import shutil

import pytest
import torch

from tercet import SentenceTransformer, losses
from tercet.errors import DataError
from tercet.trainer.checkpoints.run_identity import RunIdentity, argument_defaults, check_same_run
from tercet.trainer.checkpoints.whole_checkpoints import latest_checkpoint
from tercet.trainer.loss.kinds import LossBySet, loss_settings
from tests.trainer.helpers import OwnLayout, flat_weights, make_trainer

CHANGES = {"max_steps": 4, "save_strategy": "steps", "save_steps": 1}


@pytest.fixture(scope="module")
def written(bert, tmp_path_factory):
    """The folder of a run with the checkpoints 1 to 4, and its final weights."""
    from tests.conftest import TOPICS

    folder = tmp_path_factory.mktemp("written")
    trainer = make_trainer(bert, folder, _data(TOPICS), changes=CHANGES)
    trainer.train()
    return folder, flat_weights(trainer.model)


def _data(topics):
    from datasets import Dataset

    sentences = [sentence for topic in topics.values() for sentence in topic]
    return Dataset.from_dict({"text": sentences, "label": [name for name, topic in topics.items() for _ in topic]})


@pytest.fixture
def folder(written, tmp_path):
    return shutil.copytree(written[0], tmp_path / "run")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"learning_rate": 0.5},
            "a checkpoint of another run: learning_rate was 0.001, now it is 0.5; pass",
        ),
        ({"seed": 2}, "seed was 1, now it is 2"),
        ({"max_steps": 8}, "max_steps was 4, now it is 8; the learning-rate schedule is fitted to the number of steps"),
        ({"samples_per_label": 4}, "samples_per_label was 2, now it is 4"),
        ({"cross_batch_memory": 8}, "cross_batch_memory was 0, now it is 8"),
        ({"weight_decay": 0.1, "optim": "sgd"}, r"optim was adamw_torch\w*, now it is sgd; weight_decay was 0.0"),
    ],
)
def test_other_settings_are_refused_by_name(changes, words, bert, labelled, folder):
    trainer = make_trainer(bert, folder, labelled, changes={**CHANGES, **changes})
    start = flat_weights(trainer.model).clone()
    with pytest.raises(DataError, match=words):
        trainer.train(resume_from_checkpoint=True)
    assert torch.equal(flat_weights(trainer.model), start)


@pytest.mark.parametrize(
    ("name", "now"), [("train_head", True), ("multi_dataset_batch_sampler", "round_robin"), ("weight_decay", 0.1)]
)
def test_an_argument_that_a_checkpoint_lacks_had_its_default(name, now, bert, labelled, folder):
    """A checkpoint of an earlier version lacks the arguments that were added later."""
    path = folder / "checkpoint-4/run.json"
    content = json.loads(path.read_text())
    default = content["identity"]["arguments"].pop(name)
    path.write_text(json.dumps(content))
    assert make_trainer(bert, folder, labelled, changes=CHANGES).find_checkpoint(True) == folder / "checkpoint-4"
    with pytest.raises(DataError, match=f"{name} was {default}, now it is {now}"):
        make_trainer(bert, folder, labelled, changes={**CHANGES, name: now}).find_checkpoint(True)


def test_a_setting_of_the_loss_that_a_checkpoint_lacks_had_its_default(bert, labelled, folder):
    """A checkpoint of an earlier version lacks the settings of the loss that were added later."""
    path = folder / "checkpoint-4/run.json"
    content = json.loads(path.read_text())
    assert content["identity"]["arguments"].pop("margin") == 0.3
    path.write_text(json.dumps(content))
    with pytest.raises(DataError, match="margin was 5.0, now it is 0.3"):
        make_trainer(bert, folder, labelled, changes=CHANGES).find_checkpoint(True)
    trainer = make_trainer(bert, folder, labelled, changes=CHANGES)
    trainer.loss.margin = 5.0
    assert trainer.find_checkpoint(True) == folder / "checkpoint-4"


@pytest.mark.parametrize(
    ("make_loss", "path", "name", "default"),
    [
        (lambda value: losses.MatryoshkaLoss(None, losses.BatchHardTripletLoss(margin=value), [2]), [], "margin", 5.0),
        (
            lambda value: losses.MatryoshkaLoss(None, losses.BatchHardTripletLoss(), [4, 2], n_dims_per_step=value),
            [],
            "n_dims_per_step",
            -1,
        ),
        (lambda value: LossBySet({"first": losses.BatchHardTripletLoss(margin=value)}), ["first"], "margin", 5.0),
    ],
)
def test_a_setting_within_a_loss_that_a_checkpoint_lacks_had_its_default(make_loss, path, name, default, tmp_path):
    """The settings of an inner loss, and of the losses of several data sets, have their defaults too."""

    def identity(value):
        loss = make_loss(value)
        return RunIdentity(arguments=loss_settings(loss), argument_defaults=argument_defaults(loss))

    written = identity(default).to_dict()
    settings = written["arguments"]
    for part in path:
        settings = settings[part]
    assert settings.pop(name) == default
    check_same_run(tmp_path / "checkpoint-1", written, identity(default))
    with pytest.raises(DataError, match=f"{'.'.join([*path, name])} was {default}, now it is 1"):
        check_same_run(tmp_path / "checkpoint-1", written, identity(1))


@pytest.mark.parametrize("wrap", [lambda loss: loss, lambda loss: losses.MatryoshkaLoss(None, loss, [2])])
def test_other_paths_of_integer_labels_are_refused(wrap, bert, labelled, tmp_path):
    """The data are equal, because integer labels have no names, and so are the settings of the loss."""
    names = sorted(set(labelled["label"]))
    data = labelled.remove_columns("label").add_column("label", [names.index(label) for label in labelled["label"]])

    def identity(*paths):
        loss = losses.NestedTripletLoss(None, [losses.BatchHardTripletLoss(), losses.BatchHardTripletLoss()], paths)
        return make_trainer(bert, tmp_path, data, lambda model, **_: wrap(loss))._identity()

    now = identity(("a", "b"), ("a", "c"), ("d", "e"), ("d",))
    written = now.to_dict()
    check_same_run(tmp_path / "checkpoint-1", written, now)
    with pytest.raises(DataError, match=r"of another run: the nested labels differ; pass the same"):
        check_same_run(tmp_path / "checkpoint-1", written, identity(("a", "b"), ("d", "c"), ("d", "e"), ("a",)))
    del written["arguments"]["paths_sha256"]  # as in a checkpoint of an earlier version
    check_same_run(tmp_path / "checkpoint-1", written, now)


@pytest.mark.slow
def test_another_loss_or_other_data_are_refused(bert, labelled, folder):
    trainer = make_trainer(bert, folder, labelled, losses.BatchAllTripletLoss, changes=CHANGES)
    with pytest.raises(DataError, match="loss was BatchSemiHardTripletLoss, now it is BatchAllTripletLoss"):
        trainer.train(resume_from_checkpoint=str(folder / "checkpoint-2"))
    labels = labelled["label"][:]
    for data, words in (
        (labelled.select(range(12)), r"the training data differ \(16 rows then, 12 now\)"),
        (
            labelled.select([1, 0, *range(2, 16)]),
            r"training data differ \(texts, labels or the order of the rows\)",
        ),
        (labelled.remove_columns("label").add_column("label", [*labels[:-1], "food"]), "the training data differ"),
        (labelled.remove_columns("label").add_column("label", ["x" + label for label in labels]), "the training data"),
    ):
        with pytest.raises(DataError, match=words):
            make_trainer(bert, folder, data, changes=CHANGES).train(resume_from_checkpoint=True)


@pytest.mark.slow
def test_intervals_and_speed_may_differ(bert, labelled, folder, written):
    changes = {**CHANGES, "save_steps": 3, "logging_steps": 2, "save_total_limit": 1, "per_device_eval_batch_size": 4}
    trainer = make_trainer(bert, folder, labelled, changes=changes)
    trainer.train(resume_from_checkpoint=str(folder / "checkpoint-2"))
    assert torch.equal(flat_weights(trainer.model), written[1])


def _flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(bytes(content))


def _pipe(path):
    path.unlink()
    os.mkfifo(path)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda path: (path / "optimizer.pt").unlink(), "optimizer.pt is missing"),
        (lambda path: (path / "scheduler.pt").unlink(), "scheduler.pt is missing"),
        (lambda path: (path / "rng_state.pth").unlink(), "rng_state.pth is missing"),
        (lambda path: (path / "trainer_state.json").write_text("[]"), "trainer_state.json is damaged or was changed"),
        (lambda path: _flip(path / "model.safetensors"), "model.safetensors is damaged or was changed"),
        (lambda path: _flip(path / "optimizer.pt"), "optimizer.pt is damaged or was changed"),
        (lambda path: (path / "optimizer.pt").write_bytes(b""), "optimizer.pt is damaged or was changed"),
        (lambda path: (path / "scheduler.pt").write_bytes(b"PK\x03\x04 x"), "scheduler.pt is damaged or was changed"),
        (lambda path: _pipe(path / "run.json"), "run.json is not a regular file"),
        (lambda path: _pipe(path / "trainer_state.json"), "trainer_state.json is not a regular file"),
        (lambda path: (path / "run.json").unlink(), "run.json is missing"),
        (lambda path: (path / "run.json").write_text("{}"), "run.json or trainer_state.json is invalid"),
    ],
)
@pytest.mark.slow
def test_the_newest_whole_checkpoint_is_used_with_a_warning(damage, words, bert, labelled, folder, written, caplog):
    damage(folder / "checkpoint-4")
    damage(folder / "checkpoint-3")
    assert latest_checkpoint(folder) == folder / "checkpoint-2"
    trainer = make_trainer(bert, folder, labelled, changes=CHANGES)
    with caplog.at_level(logging.WARNING):
        trainer.train(resume_from_checkpoint=True)
    assert torch.equal(flat_weights(trainer.model), written[1])
    (message,) = (record.getMessage() for record in caplog.records if "newer checkpoints" in record.getMessage())
    assert message.startswith(f"resuming from {folder / 'checkpoint-2'}, because newer checkpoints are not whole")
    assert f"{folder / 'checkpoint-4'}: {words}" in message


def test_a_named_checkpoint_must_be_whole(bert, labelled, folder):
    trainer = make_trainer(bert, folder, labelled, changes=CHANGES)
    with pytest.raises(DataError, match="cannot resume: there is no checkpoint"):
        trainer.train(resume_from_checkpoint=str(folder / "checkpoint-9"))
    (folder / "checkpoint-4/optimizer.pt").unlink()
    with pytest.raises(DataError, match=r"checkpoint-4: optimizer.pt is missing; resume from .*checkpoint-3"):
        trainer.train(resume_from_checkpoint=str(folder / "checkpoint-4"))
    for step in (1, 2, 3):
        (folder / f"checkpoint-{step}/scheduler.pt").unlink()
    with pytest.raises(DataError, match=r"has no whole checkpoint \(.*checkpoint-4: .*checkpoint-1: .*; call train"):
        trainer.train(resume_from_checkpoint=True)


@pytest.mark.slow
def test_a_checkpoint_of_the_model_alone_cannot_be_resumed(bert, labelled, tmp_path):
    changes = {**CHANGES, "save_only_model": True, "save_steps": 4}
    make_trainer(bert, tmp_path, labelled, changes=changes).train()
    with pytest.raises(DataError, match="it has no optimizer.pt, as with save_only_model=True"):
        make_trainer(bert, tmp_path, labelled, changes=changes).train(resume_from_checkpoint=True)


@pytest.mark.slow
def test_a_checkpoint_that_does_not_fit_is_named(bert, mpnet, labelled, folder):
    """The checksums fit, but the content does not, as in a forged checkpoint."""
    with pytest.raises(DataError, match="checkpoint-4 holds another model"):
        make_trainer(mpnet, folder, labelled, changes=CHANGES).train(resume_from_checkpoint=True)
    content = json.loads((folder / "checkpoint-4/run.json").read_text())
    shutil.copy(folder / "checkpoint-4/scheduler.pt", folder / "checkpoint-4/optimizer.pt")
    content["files"]["optimizer.pt"] = content["files"]["scheduler.pt"]
    (folder / "checkpoint-4/run.json").write_text(json.dumps(content))
    with pytest.raises(DataError, match="cannot load the optimizer and the schedule from .*checkpoint-4"):
        make_trainer(bert, folder, labelled, changes=CHANGES).train(resume_from_checkpoint=True)


@pytest.mark.slow
def test_the_training_argument_of_the_same_name_resumes(bert, labelled, folder, written):
    changes = {**CHANGES, "resume_from_checkpoint": str(folder / "checkpoint-2")}
    trainer = make_trainer(bert, folder, labelled, changes=changes)
    trainer.train()
    assert torch.equal(flat_weights(trainer.model), written[1])
    assert isinstance(SentenceTransformer(folder / "checkpoint-4", device="cpu"), SentenceTransformer)


def test_an_optimizer_with_another_layout_of_its_state_is_resumed(bert, labelled, tmp_path):
    weights = []
    for checkpoint in (None, tmp_path / "checkpoint-2"):
        options = {"optimizer_cls_and_kwargs": (OwnLayout, {"lr": 1e-3})}
        trainer = make_trainer(bert, tmp_path, labelled, changes=CHANGES, **options)
        trainer.train(resume_from_checkpoint=checkpoint and str(checkpoint))
        weights.append(flat_weights(trainer.model))
    assert torch.equal(*weights)
