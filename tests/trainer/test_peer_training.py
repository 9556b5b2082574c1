"""The same batches without dropout give the losses of the trainer of sentence-transformers, to four digits."""

import pytest
import sentence_transformers as peer
import torch
from datasets import Dataset
from sentence_transformers.sentence_transformer import losses as peer_losses
from torch import nn

import tercet
from tercet import losses
from tercet.errors import DataError
from tests.trainer.helpers import logged_losses, make_arguments, make_trainer, turn_off_dropout

DIMENSIONS = [32, 16, 8]


def own_batches(dataset, batch_size, drop_last, valid_label_columns=None, generator=None, seed=0):
    """A batch sampler for both libraries: the rows in an order that depends on the epoch."""
    assert valid_label_columns[0] == "label"
    assert len(dataset) == 16

    class Batches:
        sampler, epoch = range(0), 0

        def __init__(self):
            self.batch_size, self.drop_last = batch_size, drop_last

        def set_epoch(self, epoch):
            self.epoch = epoch

        def __len__(self):
            return 16 // batch_size

        def __iter__(self):
            rows = torch.randperm(16, generator=torch.Generator().manual_seed(seed + self.epoch))
            yield from rows.view(-1, batch_size).tolist()

    return Batches()


def _data(sentences, labels):
    numbers = [sorted(set(labels)).index(label) for label in labels]
    return Dataset.from_dict({"text": sentences, "label": numbers})


def _triplets(sentences):
    return Dataset.from_dict(
        {"anchor": sentences, "positive": sentences[::-1], "negative": sentences[3:] + sentences[:3]}
    )


def _semi_hard(library, model):
    return library.BatchSemiHardTripletLoss(model, margin=0.3)


def _matryoshka(library, model):
    return peer_losses.MatryoshkaLoss(model, _semi_hard(library, model), DIMENSIONS)


def _matryoshka_of_triplets(library, model):
    return peer_losses.MatryoshkaLoss(model, library.TripletLoss(model, triplet_margin=0.3), DIMENSIONS)


def _matryoshka_of_each(library, model):
    return library.MatryoshkaLoss(model, _semi_hard(library, model), DIMENSIONS, [1, 0.5, 0.25])


def _by_set(library, model):
    return {"first": _semi_hard(library, model), "second": library.TripletLoss(model, triplet_margin=0.3)}


def train_in(library, loss, data, encoder, folder, *, learning_rate=1e-3, **changes):
    """Train without dropout in one of both libraries, and return the loss of each step and the model."""
    module = losses if library is tercet else peer_losses
    model = library.SentenceTransformer(str(encoder), device="cpu")
    turn_off_dropout(model)
    arguments = library.SentenceTransformerTrainingArguments(
        str(folder), per_device_train_batch_size=8, num_train_epochs=2, report_to="none", disable_tqdm=True,
        logging_steps=1, save_strategy="no", learning_rate=learning_rate, seed=5, use_cpu=True, **changes,
    )  # fmt: skip
    trainer = library.SentenceTransformerTrainer(
        model=model, args=arguments, train_dataset=data, loss=loss(module, model), processing_class=model.tokenizer
    )
    trainer.train()
    return logged_losses(trainer), model


@pytest.mark.parametrize(
    ("loss", "kind", "changes"),
    [
        (_semi_hard, "labelled", {"batch_sampler": own_batches, "warmup_ratio": 0.5}),
        (
            _semi_hard,
            "labelled",
            {"batch_sampler": own_batches, "learning_rate_mapping": {"embeddings": 1e-2, "pool": 0}},
        ),
        (_semi_hard, "labelled", {"batch_sampler": "no_duplicates", "prompts": {"text": "the soup "}}),
        (_matryoshka, "labelled", {"batch_sampler": own_batches}),
        (_matryoshka_of_each, "labelled", {"batch_sampler": own_batches}),
        (_matryoshka_of_triplets, "triplets", {"batch_sampler": "no_duplicates"}),
        (_by_set, "sets", {"multi_dataset_batch_sampler": "round_robin"}),
        (_by_set, "sets", {"prompts": {"first": "the soup ", "second": {"anchor": "the cake "}}}),
        (_semi_hard, "labelled sets", {}),
    ],
)
@pytest.mark.slow
def test_a_run_has_the_losses_of_the_peer(loss, kind, changes, bert, sentences, labels, tmp_path):
    curves = []
    for library in (peer, tercet):
        labelled, triplets = _data(sentences, labels), _triplets(sentences)  # The peer changes its data sets.
        data = {
            "labelled": labelled,
            "triplets": triplets,
            "sets": {"first": labelled, "second": triplets},
            "labelled sets": {"first": labelled, "second": _data(sentences[2:], labels[2:])},
        }[kind]
        curves.append(train_in(library, loss, data, bert, tmp_path, **changes)[0])
    assert curves[1] == pytest.approx(curves[0], rel=1e-4)
    assert len(set(curves[1])) > 3


@pytest.mark.slow
def test_a_loss_for_each_set_is_used_recorded_and_resumed(bert, labelled, sentences, tmp_path):
    def make(**changes):
        defaults = {
            "batch_sampler": "group_by_label",
            "prompts": "the soup ",
            "save_strategy": "steps",
            "save_steps": 2,
        }
        sets = {"first": labelled, "second": labelled.rename_column("text", "message")}
        made = {
            "first": lambda model: losses.BatchHardTripletLoss(model, margin=0.3),
            "second": losses.BatchHardSoftMarginTripletLoss,
        }
        return make_trainer(
            bert, tmp_path, sets, lambda model, **_: made, eval_dataset=sets, changes={**defaults, **changes}
        )

    trainer = make()
    trainer.train()
    metrics = trainer.evaluate()
    assert metrics["eval_first_loss"] < metrics["eval_second_loss"]
    alone = losses.BatchHardSoftMarginTripletLoss()
    one = trainer.evaluate({"second": labelled})
    assert one["eval_second_loss"] == metrics["eval_second_loss"]
    assert isinstance(trainer.loss["second"], type(alone))
    record = trainer.model.training_record
    assert record.data == {"Data sets": 2, "Training sentences": 32, "Training labels": 8}
    assert record.loss_settings["first"]["loss"] == "BatchHardTripletLoss"
    resumed = make()
    resumed.train(resume_from_checkpoint=str(tmp_path / "checkpoint-2"))
    torch.testing.assert_close(resumed.model.state_dict(), trainer.model.state_dict(), rtol=0, atol=0)
    with pytest.raises(DataError, match="there is no loss for a data set without a name, only for 'first', 'second'"):
        trainer.evaluate(labelled)
    with pytest.raises(DataError, match="cross_batch_memory=8 needs one data set"):
        make_trainer(bert, tmp_path, {"a": labelled}, changes={"cross_batch_memory": 8})


class _ForwardOnly(nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, sentence_features, labels):
        return self.model(sentence_features[0])["sentence_embedding"].square().mean()


class _OverridesForward(losses.BatchHardTripletLoss):
    def forward(self, sentence_features, labels):
        embeddings = self.sentence_embedder(sentence_features[0])["sentence_embedding"]
        return {"mined": self.batch_hard_triplet_loss(labels, embeddings), "one": torch.ones(())}


@pytest.mark.slow
@pytest.mark.parametrize("loss", [_ForwardOnly, _OverridesForward])
def test_a_loss_with_forward_alone_is_called_with_the_trained_model(loss, bert, labelled, tmp_path):
    other = tercet.SentenceTransformer(bert, device="cpu")
    trainer = make_trainer(bert, tmp_path, labelled, lambda _, **__: loss(other), eval_dataset=labelled)
    before = trainer.evaluate()["eval_loss"]
    trainer.train()
    assert trainer.loss.model is trainer.model
    assert trainer.evaluate()["eval_loss"] < before
    for name in ("mini_batch_tokens", "cross_batch_memory"):
        with pytest.raises(DataError, match=f"{name}=8 needs a loss that takes embeddings, but {loss.__name__} has"):
            make_trainer(bert, tmp_path, labelled, lambda model, **_: loss(model), changes={name: 8})


def test_a_subclass_may_collect_the_features_and_draw_its_own_batches(bert, labelled, tmp_path):
    class Own(tercet.SentenceTransformerTrainer):
        def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
            features, labels = self.collect_features(inputs)
            return self.loss(features, labels)

        def get_batch_sampler(self, dataset, batch_size, **options):
            return [[0, 1, 4, 5], [2, 3, 8, 9]]

    model = tercet.SentenceTransformer(bert, device="cpu")
    seen = []
    model.register_forward_pre_hook(lambda _, arguments: seen.append(len(arguments[0]["packing"].lengths)))
    trainer = Own(
        model, make_arguments(tmp_path, max_steps=3), labelled, loss=losses.BatchAllTripletLoss(model, margin=0.3)
    )
    trainer.train()
    assert seen == [4, 4, 4]


def test_a_learning_rate_without_a_weight_is_an_error(bert, labelled, tmp_path):
    trainer = make_trainer(bert, tmp_path, labelled, changes={"learning_rate_mapping": {"no such": 1.0}})
    with pytest.raises(
        DataError, match="learning_rate_mapping: 'no such' finds no weight that is trained; .* such as 0"
    ):
        trainer.train()
