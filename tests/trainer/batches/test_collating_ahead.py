"""Collating training batches in a thread: the same run as without, its errors, and where it happens at all."""

import threading
from types import SimpleNamespace

import pytest
import torch
from datasets import Dataset, IterableDataset
from transformers import TrainerCallback

from tercet import SentenceTransformer, SentenceTransformerTrainer, SentenceTransformerTrainingArguments, losses
from tercet._distributed import leave_group
from tercet.data.batch_samplers import DefaultBatchSampler
from tercet.errors import DataError
from tercet.trainer.batches import tokenizing
from tercet.trainer.batches.collating_ahead import CollatingAheadTrainer
from tercet.trainer.batches.rows import Rows, TextRows
from tests.conftest import TOPICS
from tests.ranks import run_ranks
from tests.trainer.helpers import flat_weights, logged_losses, make_arguments, make_trainer, turn_off_dropout


def threads():
    """The threads that read ahead."""
    return [thread for thread in threading.enumerate() if thread.name.startswith("tercet-ahead")]


@pytest.fixture
def ahead(monkeypatch):
    """A function that turns the thread on, also on a CPU, or off."""

    def turn(on):
        monkeypatch.setattr(CollatingAheadTrainer, "_collates_ahead", lambda self: on)

    return turn


@pytest.fixture
def readers(monkeypatch):
    """The kinds of threads that read rows: "tercet-ahead" or "MainThread"."""
    found = set()
    for kind in (Rows, TextRows):
        read = kind._read

        def watched(self, indices, read=read):
            found.add(threading.current_thread().name.split("_")[0])
            return read(self, indices)

        monkeypatch.setattr(kind, "_read", watched)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["labels", "random", "triplets", "several sets", "large"])
def test_a_run_is_bit_identical_with_and_without_a_thread(
    kind, bert, labelled, sentences, tmp_path, ahead, readers, monkeypatch
):
    """Three epochs with dropout, an evaluation that reads rows, too, and gradient accumulation."""
    data, loss, changes = labelled, losses.BatchAllTripletLoss, {"batch_sampler": "batch_sampler"}
    if kind == "labels":
        changes = {"neighbor_labels": 0.5}
    if kind == "triplets":
        data = Dataset.from_dict({"anchor": sentences[:-2], "positive": sentences[1:-1], "negative": sentences[2:]})
        loss = losses.TripletLoss
    if kind == "several sets":
        data = {"one": labelled, "two": labelled.select(range(0, len(labelled), 2))}
    if kind == "large":
        monkeypatch.setattr(tokenizing, "ROWS_TOKENIZED_ONCE", 1)
    changes |= {
        "per_device_train_batch_size": 4, "max_steps": -1, "num_train_epochs": 3, "gradient_accumulation_steps": 2,
        "mini_batch_tokens": 30 if kind == "labels" else None,
    }  # fmt: skip
    runs = []
    for on in (False, True):
        ahead(on)
        readers.clear()
        options = {} if kind == "several sets" else {"eval_dataset": data}
        changes["eval_strategy"] = "epoch" if options else "no"
        trainer = make_trainer(bert, tmp_path, data, loss, changes=changes, **options)
        trainer.train()
        assert ("tercet-ahead" in readers) == on
        assert not threads()
        runs.append((logged_losses(trainer), flat_weights(trainer.model)))
    assert len(runs[0][0]) >= 3
    assert runs[0][0] == runs[1][0]
    assert torch.equal(runs[0][1], runs[1][1])


@pytest.mark.slow
def test_a_run_is_resumed_within_an_epoch(bert, labelled, tmp_path, ahead):
    changes = {"per_device_train_batch_size": 4, "max_steps": 9, "save_strategy": "steps", "save_steps": 6}
    ahead(False)
    expected = make_trainer(bert, tmp_path, labelled, changes=changes)
    expected.train()
    ahead(True)
    trainer = make_trainer(bert, tmp_path, labelled, changes=changes)
    trainer.train(resume_from_checkpoint=str(tmp_path / "checkpoint-6"))
    assert torch.equal(flat_weights(trainer.model), flat_weights(expected.model))
    assert not threads()


def test_an_error_of_a_batch_is_raised_with_its_message_and_ends_the_thread(
    bert, labelled, tmp_path, ahead, monkeypatch
):
    read, batches = Rows._read, []

    def fail(self, indices):
        batches.append(indices)
        if len(batches) == 3:
            raise DataError(f"{self.name}: row {indices[0]} is broken")
        return read(self, indices)

    monkeypatch.setattr(Rows, "_read", fail)
    ahead(True)
    trainer = make_trainer(bert, tmp_path, labelled, changes={"per_device_train_batch_size": 4})
    with pytest.raises(DataError, match="None: row .* is broken"):
        trainer.train()
    assert not threads()
    assert len(batches) <= 5


class _Interrupt(TrainerCallback):
    """End a run in its second step: by an error, or as the user stops it."""

    def __init__(self, error):
        self.error, self.alive = error, 0

    def on_step_end(self, args, state, control, **kwargs):
        if state.global_step == 2:
            self.alive = len(threads())
            if self.error is not None:
                raise self.error
            control.should_training_stop = True


@pytest.mark.parametrize("error", [None, KeyboardInterrupt("stop"), RuntimeError("broken")])
def test_no_thread_is_left_after_a_run_that_ends_early(error, bert, labelled, tmp_path, ahead):
    ahead(True)
    stop = _Interrupt(error)
    trainer = make_trainer(bert, tmp_path, labelled, changes={"per_device_train_batch_size": 4}, callbacks=[stop])
    caught = None
    try:
        trainer.train()
    except (KeyboardInterrupt, RuntimeError) as found:
        caught = found  # It keeps the frames of the run, and so the iterators of its data loader.
    assert caught is error
    assert stop.alive == 1
    assert not threads()


class _OwnSampling(SentenceTransformerTrainer):
    def get_batch_sampler(self, *args, **kwargs):
        return super().get_batch_sampler(*args, **kwargs)


@pytest.mark.parametrize(
    "kind", ["", "no_duplicates", "workers", "sampler", "subclass", "collator", "transform", "stream"]
)
def test_only_batches_without_code_of_the_user_are_collated_in_a_thread(kind, bert, labelled, tmp_path, monkeypatch):
    changes, options, data = {}, {}, labelled
    if kind in ("no_duplicates", "workers", "sampler"):
        changes = {
            "no_duplicates": {"batch_sampler": "no_duplicates"},
            "workers": {"dataloader_num_workers": 1},
            "sampler": {"batch_sampler": lambda rows, **given: DefaultBatchSampler(range(len(rows)), **given)},
        }[kind]
    elif kind == "collator":
        options = {"data_collator": lambda rows: {}}
    elif kind == "transform":
        data = labelled.with_transform(lambda rows: rows)
    elif kind == "stream":
        data = IterableDataset.from_generator(lambda: iter(labelled.to_list()))
    model = SentenceTransformer(bert, device="cpu")
    trainer = (_OwnSampling if kind == "subclass" else SentenceTransformerTrainer)(
        model, make_arguments(tmp_path, **changes), data, loss=losses.BatchAllTripletLoss(model), **options
    )
    assert not trainer._collates_ahead()
    monkeypatch.setattr(SentenceTransformerTrainingArguments, "device", torch.device("cuda"))
    assert trainer._collates_ahead() == (kind in ("", "no_duplicates"))


def test_batches_that_the_data_loader_does_not_move_are_copied_while_a_gpu_computes(bert, labelled, tmp_path):
    """Such as those of a stream, which accelerate does not prepare."""
    copies = []

    def to(device, non_blocking=False):
        copies.append((device, non_blocking))

    config = {"accelerator_config": {"non_blocking": True}}
    trainer = make_trainer(bert, tmp_path, labelled, changes=config)
    trainer._prepare_inputs({"features": {"input_ids": SimpleNamespace(to=to), "packing": object()}})
    assert copies == [(trainer.args.device, True)]


def _train_rank(bert, output, on):
    """Train in this process of a launch, and write its losses and weights."""
    CollatingAheadTrainer._collates_ahead = lambda self: on
    columns = {
        "text": [text for topic in TOPICS.values() for text in topic][:13],
        "label": [name for name, topic in TOPICS.items() for _ in topic][:13],
    }
    changes = {"max_steps": 6, "per_device_train_batch_size": 4, "use_cpu": True, "batch_sampler": "batch_sampler"}
    trainer = make_trainer(bert, output, Dataset.from_dict(columns), losses.BatchAllTripletLoss, changes=changes)
    trainer.train()
    assert not threads()
    torch.save((logged_losses(trainer), flat_weights(trainer.model)), output / f"{trainer.args.process_index}-{on}.pt")
    leave_group()


@pytest.mark.distributed
def test_several_processes_train_the_same_with_a_thread_each(bert, tmp_path):
    for on in (False, True):
        run_ranks(_train_rank, bert, tmp_path, on, processes=2)
    for rank in range(2):
        (before, weights), (after, with_thread) = (torch.load(tmp_path / f"{rank}-{on}.pt") for on in (False, True))
        assert before == after
        assert torch.equal(weights, with_thread)


@pytest.mark.gpu
def test_a_run_on_a_gpu_collates_in_a_thread(bert, labelled, tmp_path, readers, monkeypatch):
    """Sums on a GPU may differ in their last bit from run to run, so the losses are compared roughly."""
    changes = {"per_device_train_batch_size": 4, "max_steps": 12}
    trainer = make_trainer(bert, tmp_path, labelled, changes=changes)
    turn_off_dropout(trainer.model)
    trainer.train()
    assert "tercet-ahead" in readers
    assert not threads()
    monkeypatch.setattr(CollatingAheadTrainer, "_collates_ahead", lambda self: False)
    expected = make_trainer(bert, tmp_path, labelled, changes=changes)
    turn_off_dropout(expected.model)
    expected.train()
    assert logged_losses(trainer) == pytest.approx(logged_losses(expected), rel=0.01)
