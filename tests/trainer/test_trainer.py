"""The trainer on tiny real encoders: the script of the README, losses, seeds, checkpoints, resuming."""

import json
import math

import numpy as np
import pytest
import torch
from datasets import Dataset, DatasetDict
from sentence_transformers import SentenceTransformerTrainingArguments as PeerArguments
from torch import nn
from torch.utils.data import BatchSampler
from transformers import TrainingArguments

from tercet import SentenceTransformer, SentenceTransformerTrainer, losses
from tercet.errors import DataError
from tercet.evaluation import LabelEvaluator
from tercet.trainer.logs import monitoring
from tercet.trainer.logs.weight_changes import weight_sums
from tests.trainer.helpers import flat_weights, logged_losses, make_arguments, make_trainer, turn_off_dropout


@pytest.mark.slow
def test_the_script_of_the_readme(mpnet, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model = SentenceTransformer(str(mpnet))
    start = flat_weights(model).clone()
    train_dataset = Dataset.from_dict({
        "sentence": ["He played a great game.", "The stock is up 20%", "They won 2-1.",
                     "The last goal was amazing.", "They all voted against the bill."],
        "label": [0, 1, 0, 0, 2],
    })  # fmt: skip
    loss = losses.BatchSemiHardTripletLoss(model, margin=0.3)
    trainer = SentenceTransformerTrainer(model=model, train_dataset=train_dataset, loss=loss)
    result = trainer.train()
    assert result.global_step == 3
    assert math.isfinite(result.training_loss)
    assert result.training_loss > 0
    assert (flat_weights(model) - start).abs().max() > 0
    assert (tmp_path / "tmp_trainer/checkpoint-3/modules.json").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    "loss",
    [
        losses.BatchAllTripletLoss,
        losses.BatchHardTripletLoss,
        losses.BatchSemiHardTripletLoss,
        losses.BatchHardSoftMarginTripletLoss,
    ],
)
def test_every_batch_loss_improves_map_at_r(loss, bert, labelled, tmp_path):
    trainer = make_trainer(bert, tmp_path, labelled, loss, changes={"max_steps": 30, "learning_rate": 3e-3})
    evaluator = LabelEvaluator(labelled["text"][:], labelled["label"][:])
    before = evaluator(trainer.model)["map@r"]
    trainer.train()
    assert evaluator(trainer.model)["map@r"] > before + 0.1


def test_triplets(bert, sentences, tmp_path):
    data = Dataset.from_dict({"positive": sentences[1:], "anchor": sentences[:-1], "negative": sentences[::-1][1:]})
    model = SentenceTransformer(bert, device="cpu")
    args = make_arguments(tmp_path, batch_sampler="batch_sampler", eval_strategy="steps", eval_steps=4)
    trainer = SentenceTransformerTrainer(
        model=model, args=args, train_dataset=data, eval_dataset=data, loss=losses.TripletLoss(model)
    )
    trainer.train()
    metrics = trainer.evaluate()
    assert 0 <= metrics["eval_cosine_accuracy"] <= 1
    assert trainer.train_dataset.column_names == ["anchor", "positive", "negative"]
    with pytest.raises(DataError, match="'group_by_label' needs labels, but the data of TripletLoss are triplets"):
        SentenceTransformerTrainer(
            model=model, args=make_arguments(tmp_path), train_dataset=data, loss=losses.TripletLoss(model)
        )


def test_other_invalid_inputs_raise_an_error(bert, labelled, tmp_path):
    with pytest.raises(
        DataError, match=r"train_dataset has the splits \['test', 'train'\], and all data sets of a dict"
    ):
        make_trainer(bert, tmp_path, DatasetDict(train=labelled, test=labelled))
    with pytest.raises(DataError, match="train_dataset of type int are not supported; pass a datasets.Dataset"):
        make_trainer(bert, tmp_path, 3)
    model = SentenceTransformer(bert, device="cpu")
    with pytest.raises(DataError, match="the trainer needs a loss"):
        SentenceTransformerTrainer(model=model, train_dataset=labelled)
    for loss in ("BatchAllTripletLoss", {"labels": "BatchAllTripletLoss"}):
        with pytest.raises(DataError, match="loss must be a loss, a class of losses or a dictionary of these"):
            SentenceTransformerTrainer(model=model, train_dataset=labelled, loss=loss)
    with pytest.raises(
        DataError, match="there is no loss for a data set without a name, only for 'labels'; pass a dict"
    ):
        SentenceTransformerTrainer(model, None, labelled, loss={"labels": losses.BatchAllTripletLoss(model)})
    with pytest.raises(DataError, match="unknown batch_sampler 'duplicates'; choose one of 'batch_sampler', 'no_dup"):
        make_arguments(tmp_path, batch_sampler="duplicates")
    for kind in (TrainingArguments, PeerArguments):
        with pytest.raises(DataError, match=f"args must be tercet's .*, got .*{kind.__name__}; import the class from"):
            SentenceTransformerTrainer(
                model, kind(str(tmp_path), report_to="none"), labelled, loss=losses.BatchAllTripletLoss
            )
    with pytest.raises(DataError, match="processing_class is another tokenizer than that of the model"):
        make_trainer(bert, tmp_path, labelled, tokenizer=object())
    with pytest.raises(DataError, match="compute_metrics and .* get logits, .*; pass an evaluator"):
        make_trainer(bert, tmp_path, labelled, compute_metrics=print)
    with pytest.raises(DataError, match="the trainer needs a tercet.SentenceTransformer as model, .*; got no model"):
        SentenceTransformerTrainer(train_dataset=labelled, loss=losses.BatchAllTripletLoss)
    with pytest.raises(DataError, match="train_dataset: a batch of 9 cannot hold labels with 2 sentences each"):
        make_trainer(bert, tmp_path, labelled, changes={"per_device_train_batch_size": 9})
    with pytest.raises(DataError, match="the trainer has no data to train on; pass train_dataset"):
        make_trainer(bert, tmp_path, None).train()


class _OtherOrderEachEpoch(BatchSampler):
    """A batch sampler of a user, which knows the epoch by `set_epoch` alone."""

    epoch = 0

    def set_epoch(self, epoch):
        self.epoch = epoch

    def __iter__(self):
        order = torch.randperm(16, generator=torch.Generator().manual_seed(self.epoch)).tolist()
        return iter([order[:8], order[8:]])

    def __len__(self):
        return 2


def _other_order(dataset, **options):
    return _OtherOrderEachEpoch(range(16), 8, False)


@pytest.mark.slow
@pytest.mark.parametrize("sampler", ["group_by_label", "batch_sampler", "no_duplicates", _other_order])
@pytest.mark.parametrize("sets", [1, 2])
def test_a_run_that_is_resumed_within_an_epoch_equals_an_uninterrupted_run(sampler, sets, bert, labelled, tmp_path):
    data = labelled if sets == 1 else {"first": labelled, "second": labelled}
    epoch = 2 * sets
    changes = {"max_steps": 3 * epoch, "batch_sampler": sampler, "save_strategy": "steps", "save_steps": epoch + 1}
    whole = make_trainer(bert, tmp_path, data, changes=changes)
    whole.train()
    resumed = make_trainer(bert, tmp_path, data, changes=changes)
    assert not torch.equal(flat_weights(resumed.model), flat_weights(whole.model))
    resumed.train(resume_from_checkpoint=str(tmp_path / f"checkpoint-{epoch + 1}"))
    assert torch.equal(flat_weights(resumed.model), flat_weights(whole.model))


@pytest.mark.slow
def test_a_run_that_is_resumed_at_its_end_takes_no_step(bert, labelled, tmp_path):
    changes = {"max_steps": 3, "save_strategy": "steps", "save_steps": 1, "lr_scheduler_type": "constant"}
    first = make_trainer(bert, tmp_path, labelled, changes=changes)
    first.train()
    resumed = make_trainer(bert, tmp_path, labelled, changes=changes)
    result = resumed.train(resume_from_checkpoint=str(tmp_path / "checkpoint-3"))
    assert result.global_step == resumed.state.global_step == 3
    assert torch.equal(flat_weights(resumed.model), flat_weights(first.model))
    assert math.isnan(result.training_loss)  # No loss was computed, and 0 would be wrong.
    assert resumed.state.log_history[-1].get("train_loss") != 0


@pytest.mark.slow
def test_the_same_seed_gives_the_same_model(bert, labelled, tmp_path):
    weights = []
    for seed in (1, 1, 2):
        trainer = make_trainer(bert, tmp_path, labelled, changes={"seed": seed})
        trainer.train()
        weights.append(flat_weights(trainer.model))
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


@pytest.mark.slow
def test_a_second_run_of_model_init_is_compared_with_its_own_start(bert, labelled, tmp_path, caplog, monkeypatch):
    """The weights after both runs are the same, but those of each run have changed. Each run sums both ends once."""
    summed = []
    monkeypatch.setattr(monitoring, "weight_sums", lambda model: summed.append(weight_sums(model)) or summed[-1])
    trainer = SentenceTransformerTrainer(
        model_init=lambda: SentenceTransformer(bert, device="cpu"),
        args=make_arguments(tmp_path),
        train_dataset=labelled,
        loss=lambda model: losses.BatchAllTripletLoss(model, margin=0.3),
    )
    for _ in range(2):
        trainer.train()
    assert "has learned nothing" not in caplog.text
    assert len(summed) == 4
    assert summed[0] == summed[2]


def test_model_init_trains_the_model_that_it_returns(bert, labelled, tmp_path):
    """sentence-transformers' batch losses keep the first model in a hyper-parameter search."""
    made = []

    def model_init():
        made.append(SentenceTransformer(bert, device="cpu"))
        return made[-1]

    first = SentenceTransformer(bert, device="cpu")
    start = flat_weights(first).clone()
    trainer = SentenceTransformerTrainer(
        model_init=model_init, args=make_arguments(tmp_path), train_dataset=labelled,
        loss=losses.BatchHardTripletLoss(first, margin=0.3),
    )  # fmt: skip
    trainer.train()
    assert trainer.model is made[-1]
    assert not torch.equal(flat_weights(trainer.model), start)
    assert torch.equal(flat_weights(first), start)


def test_a_loss_can_be_given_as_a_class(bert, labelled, tmp_path):
    trainer = SentenceTransformerTrainer(
        model=SentenceTransformer(bert, device="cpu"), args=make_arguments(tmp_path), train_dataset=labelled,
        loss=losses.BatchHardSoftMarginTripletLoss,
    )  # fmt: skip
    assert isinstance(trainer.loss, nn.Module)
    trainer.train()


@pytest.mark.slow
def test_a_function_makes_a_loss_for_each_model(bert, labelled, tmp_path):
    made = []

    def loss(model):
        made.append((model, losses.BatchHardTripletLoss(model, margin=0.1 * model.get_sentence_embedding_dimension())))
        return made[-1][1]

    trainer = SentenceTransformerTrainer(
        model_init=lambda: SentenceTransformer(bert, device="cpu"), args=make_arguments(tmp_path, max_steps=1),
        train_dataset=labelled, loss=loss,
    )  # fmt: skip
    for _ in range(2):
        trainer.train()
        assert (trainer.model, trainer.loss) == made[-1]
        assert trainer.loss.stats is not None
    assert len(made) == 3


@pytest.mark.parametrize(
    "changes", [{"bf16": True}, {"gradient_accumulation_steps": 2}, {"gradient_checkpointing": True}]
)
def test_features_of_transformers_work(changes, bert, labelled, tmp_path):
    trainer = make_trainer(bert, tmp_path, labelled, changes={**changes, "use_cpu": True})
    start = flat_weights(trainer.model).clone()
    assert math.isfinite(trainer.train().training_loss)
    assert not torch.equal(flat_weights(trainer.model), start)


@pytest.mark.slow
def test_checkpoints_are_models(bert, labelled, tmp_path):
    trainer = make_trainer(bert, tmp_path, labelled, changes={"save_strategy": "steps", "save_steps": 4})
    trainer.train()
    saved = SentenceTransformer(tmp_path / "checkpoint-4", device="cpu")
    assert torch.equal(flat_weights(saved), flat_weights(trainer.model))
    record = json.loads((tmp_path / "checkpoint-4/tercet.json").read_text())
    assert record["training"]["settings"]["Steps"] == 4


@pytest.mark.slow
def test_adapters_are_trained_saved_loaded_and_resumed(bert, labelled, tmp_path):
    peft = pytest.importorskip("peft")

    def train(changes, **resume):
        torch.manual_seed(0)
        trainer = make_trainer(
            bert, tmp_path / "run", labelled, changes={"save_strategy": "steps", "save_steps": 2, **changes}
        )
        trainer.model.add_adapter(peft.LoraConfig(r=2, target_modules=["query", "value"]))
        start = {name: value.clone() for name, value in trainer.model.state_dict().items()}
        trainer.train(**resume)
        return start, trainer.model

    start, model = train({})
    changed = {name for name, value in model.state_dict().items() if not torch.equal(value, start[name])}
    assert changed
    assert all("lora" in name for name in changed)
    model.save_pretrained(tmp_path / "saved")
    assert not (tmp_path / "saved/model.safetensors").exists()
    loaded = SentenceTransformer(tmp_path / "saved", device="cpu")
    trained = {name for name, value in loaded.named_parameters() if value.requires_grad}
    assert trained == {name for name, value in model.named_parameters() if value.requires_grad}
    np.testing.assert_allclose(loaded.encode(["the game"]), model.encode(["the game"]), atol=1e-6)
    _, resumed = train({}, resume_from_checkpoint=str(tmp_path / "run/checkpoint-2"))
    for name, value in model.state_dict().items():
        torch.testing.assert_close(resumed.state_dict()[name], value, msg=name)


@pytest.mark.slow
@pytest.mark.parametrize("loss", [losses.BatchAllTripletLoss, losses.TripletLoss])
def test_a_packed_run_has_the_losses_of_a_padded_run(loss, mpnet, labelled, sentences, tmp_path):
    """Without dropout, the same batches give the same losses."""
    if loss is losses.TripletLoss:
        labelled = Dataset.from_dict(
            {"anchor": sentences, "positive": sentences[::-1], "negative": sentences[3:] + sentences[:3]}
        )
    found = []
    for packing in (True, False):
        sampler = {"batch_sampler": "batch_sampler"} if loss is losses.TripletLoss else {}
        trainer = make_trainer(mpnet, tmp_path, labelled, loss, changes={"max_steps": 8, **sampler})
        trainer.model.packing = packing
        turn_off_dropout(trainer.model)
        trainer.train()
        found.append(logged_losses(trainer))
    assert found[0] == pytest.approx(found[1], rel=1e-4)
    assert len(set(found[0])) > 1


@pytest.mark.slow
def test_label_names_of_an_earlier_training_are_not_kept(bert, tmp_path, sentences, labels):
    names = Dataset.from_dict({"sentence": sentences, "label": labels})
    first = make_trainer(bert, tmp_path / "1", names)
    first.train()
    first.model.save_pretrained(tmp_path / "named")
    assert SentenceTransformer(tmp_path / "named", device="cpu").label_names == sorted(set(labels))
    numbers = Dataset.from_dict({"sentence": sentences, "label": [ord(label[0]) for label in labels]})
    second = make_trainer(tmp_path / "named", tmp_path / "2", numbers)
    second.train()
    assert second.model.label_names is None
    second.model.save_pretrained(tmp_path / "numbered")
    assert SentenceTransformer(tmp_path / "numbered", device="cpu").label_names is None
    assert "sport" not in (tmp_path / "numbered/README.md").read_text()
