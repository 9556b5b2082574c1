"""The training argument `train_head`: a head on the embeddings of the training data, before the first step."""

import logging
from dataclasses import replace

import pytest
import torch
from datasets import Dataset

from tercet import SentenceTransformer, SentenceTransformerTrainer, losses
from tercet._events import WarningKind, collect_warnings
from tercet.errors import DataError
from tercet.heads import HeadSettings, LinearHead, append_head, train_head
from tercet.heads.choice import CANDIDATES
from tercet.heads.models import find_head
from tests.ranks import run_ranks
from tests.trainer import first_head_run
from tests.trainer.helpers import flat_weights, make_arguments, make_trainer

WORDS = ["match", "soup", "bank", "rain"]
# Without a step that changes a weight, the model is the encoder with its head.
STILL = {"train_head": True, "max_steps": 1, "learning_rate": 0.0}
SAVING = {"train_head": True, "save_strategy": "steps", "save_steps": 1}


def _data(rows_per_label):
    """Sentences of four labels. Each sentence contains its label."""
    rows = [(f"the {word} number {number}", word) for word in WORDS for number in range(rows_per_label)]
    return Dataset.from_dict({"sentence": [text for text, _ in rows], "label": [label for _, label in rows]})


@pytest.fixture
def few():
    """Fewer rows than cross-validation needs, which takes seconds."""
    return _data(10)


def _trained(encoder, data, labels=None, prompt=None, **options):
    """The head that is expected for the embeddings of an encoder, with too few rows to choose one."""
    embeddings = encoder.encode(data["sentence"][:], prompt=prompt, convert_to_tensor=True)
    settings = HeadSettings(dropout=0.5, seed=1, jaccard_weights=options.pop("jaccard_weights", False))
    return train_head(embeddings, data["label"][:] if labels is None else labels, settings=settings, **options)


@pytest.mark.slow
def test_cross_validation_chooses_the_head(bert, tmp_path):
    data = _data(25)
    trainer = make_trainer(bert, tmp_path, data, changes=STILL)
    trainer.train()
    choice = trainer.head_choice
    assert len(choice.scores) == 5
    assert choice.scores[1 + CANDIDATES.index(replace(choice.settings, seed=0))].score == max(
        candidate.score for candidate in choice.scores[1:]
    )
    embeddings = SentenceTransformer(bert, device="cpu").encode(data["sentence"][:], convert_to_tensor=True)
    expected = train_head(embeddings, data["label"][:], settings=choice.settings)
    assert torch.equal(find_head(trainer.model).linear.weight, expected.weight)


@pytest.mark.parametrize("prompt", [None, "soup: "])
def test_the_head_takes_the_embeddings_of_the_training_data(prompt, bert, few, tmp_path):
    trainer = make_trainer(bert, tmp_path, few, changes={**STILL, "prompts": prompt})
    trainer.train()
    encoder = SentenceTransformer(bert, device="cpu")
    expected = _trained(encoder, few, prompt=prompt)
    assert [type(module).__name__ for module in trainer.model][-2:] == ["Dense", "Normalize"]
    assert torch.equal(find_head(trainer.model).linear.weight, expected.weight)
    assert trainer.head_choice.settings == HeadSettings(dropout=0.5, seed=1)
    assert trainer.model.training_record.settings["Linear head trained first"] is True
    texts = few["sentence"][:5]
    mapped = expected(encoder.encode(texts, convert_to_tensor=True))
    torch.testing.assert_close(trainer.model.encode(texts, convert_to_tensor=True), mapped)


def test_the_steps_train_the_encoder_and_the_head(bert, few, tmp_path):
    trainer = make_trainer(bert, tmp_path, few, changes={"train_head": True})
    trainer.train()
    assert trainer.state.global_step == 4
    assert not torch.equal(find_head(trainer.model).linear.weight, trainer.head_choice.head.weight)
    start = SentenceTransformer(bert, device="cpu")[0].parameters()
    assert any(not torch.equal(a, b) for a, b in zip(start, trainer.model[0].parameters(), strict=True))


def test_a_second_training_goes_on_with_the_head(bert, labelled, tmp_path):
    trainer = make_trainer(bert, tmp_path, labelled, changes={"train_head": True})
    trainer.train()
    choice, weight = trainer.head_choice, find_head(trainer.model).linear.weight
    before = weight.detach().clone()
    trainer.train()
    assert trainer.head_choice is choice
    assert find_head(trainer.model).linear.weight is weight
    assert not torch.equal(weight, before)


def test_a_model_that_has_a_head_does_not_grow(bert, few, tmp_path):
    first = LinearHead(torch.eye(32)[:8])
    encoder = SentenceTransformer(bert, device="cpu")
    append_head(encoder, first)
    encoder.save_pretrained(tmp_path / "start")
    trainer = make_trainer(tmp_path / "start", tmp_path / "run", few, changes=STILL)
    trainer.train()
    assert len(trainer.model) == len(encoder)
    expected = _trained(encoder, few).weight.double() @ first.weight.double()
    torch.testing.assert_close(find_head(trainer.model).linear.weight, expected.float())


@pytest.mark.parametrize("dim", [None, 32, 5])
def test_label_means_that_were_given_are_kept(dim, bert, few, tmp_path):
    trainer = make_trainer(bert, tmp_path, few, changes={**STILL, "neighbor_labels": 0.5})
    given = None if dim is None else torch.randn(4, dim).numpy()
    if dim is not None:
        trainer.set_label_means(given)
    trainer.train()
    head = trainer.head_choice.head
    embeddings = SentenceTransformer(bert, device="cpu").encode(few["sentence"][:], convert_to_tensor=True)
    after_head = head(embeddings).reshape(4, 10, -1).mean(dim=1)[[2, 0, 3, 1]] if dim is None else None
    found = torch.from_numpy(trainer._label_means.current)
    torch.testing.assert_close(found, after_head if dim is None else torch.from_numpy(given))


def test_a_frozen_encoder_trains_the_head_alone(bert, labelled, tmp_path):
    trainer = make_trainer(bert, tmp_path, labelled, changes={"train_head": True})
    trainer.model.requires_grad_(False)
    trainer.train()
    assert not torch.equal(find_head(trainer.model).linear.weight, trainer.head_choice.head.weight)


@pytest.mark.parametrize("changes", [{}, {"neighbor_labels": 0.5, "cross_batch_memory": 16}], ids=str)
@pytest.mark.parametrize("start", ["encoder", "with a head", "truncated"])
def test_a_resumed_run_is_the_uninterrupted_run(start, changes, bert, few, tmp_path, monkeypatch):
    encoder = SentenceTransformer(bert, device="cpu", truncate_dim=12 if start == "truncated" else None)
    if start == "with a head":
        append_head(encoder, LinearHead(torch.eye(32)[:8]))
    encoder.save_pretrained(tmp_path / "start")
    whole, resumed = (
        make_trainer(tmp_path / "start", tmp_path / "run", few, changes={**SAVING, **changes}) for _ in range(2)
    )
    whole.train()
    monkeypatch.setattr(SentenceTransformer, "encode", None)  # The head of the checkpoint is not trained again.
    resumed.train(resume_from_checkpoint=str(tmp_path / "run/checkpoint-1"))
    assert torch.equal(flat_weights(resumed.model), flat_weights(whole.model))
    assert resumed.model.truncate_dim is whole.model.truncate_dim is None
    assert resumed.head_choice is None


def test_a_run_without_a_head_is_not_resumed_with_one(bert, labelled, tmp_path):
    make_trainer(bert, tmp_path, labelled, changes={**SAVING, "train_head": False}).train()
    with pytest.raises(DataError, match="train_head was False, now it is True"):
        make_trainer(bert, tmp_path, labelled, changes=SAVING).train(resume_from_checkpoint=True)


def test_evaluations_measure_the_model_with_its_head_from_the_start(bert, few, tmp_path):
    changes = {
        **STILL, "max_steps": 2, "eval_strategy": "steps", "eval_steps": 1, "eval_on_start": True,
        "save_strategy": "steps", "save_steps": 1, "load_best_model_at_end": True, "metric_for_best_model": "map@r",
    }  # fmt: skip
    held_out = Dataset.from_dict(
        {"sentence": [f"a {word} {end}" for word in WORDS for end in "ab"], "label": WORDS * 2}
    )
    trainer = make_trainer(bert, tmp_path, few, changes=changes, eval_dataset=held_out)
    trainer.train()
    values = [entry["eval_map@r"] for entry in trainer.state.log_history if "eval_map@r" in entry]
    assert values == [values[0]] * 3
    assert trainer.evaluate()["eval_map@r"] == values[0]
    assert torch.equal(find_head(trainer.model).linear.weight, trainer.head_choice.head.weight)


@pytest.mark.parametrize("weighted", [False, True])
def test_several_labels_of_a_row(weighted, bert, few, tmp_path):
    sets = [[label, "old" if row % 2 else "new"] for row, label in enumerate(few["label"])]
    data = few.remove_columns("label").add_column("label", sets)
    trainer = make_trainer(bert, tmp_path, data, changes=STILL)
    trainer.loss.relation.weighted = weighted
    trainer.train()
    expected = _trained(SentenceTransformer(bert, device="cpu"), data, jaccard_weights=weighted)
    assert torch.equal(find_head(trainer.model).linear.weight, expected.weight)


def test_nested_labels(bert, few, tmp_path):
    paths = [("finance", "bank"), ("fun", "match"), ("fun", "soup"), ("rain",)]
    ids = [["bank", "match", "soup", "rain"].index(label) for label in few["label"]]
    data = few.remove_columns("label").add_column("label", ids)
    model = SentenceTransformer(bert, device="cpu")
    loss = losses.NestedTripletLoss(
        model, [losses.BatchHardTripletLoss(margin=0.4), losses.BatchHardTripletLoss(margin=0.2)], paths
    )
    trainer = SentenceTransformerTrainer(model, make_arguments(tmp_path, **STILL), data, loss=loss)
    trainer.train()
    names = ["/".join(paths[number]) for number in ids]
    expected = _trained(SentenceTransformer(bert, device="cpu"), data, names, label_levels="/")
    assert torch.equal(find_head(trainer.model).linear.weight, expected.weight)


def _optimizers(model):
    return {"optimizers": (torch.optim.SGD(model.parameters(), lr=0.1), None)}


def _triplets(model):
    rows = [{"anchor": "a goal", "positive": "a match", "negative": "a bank"}] * 8
    return {"train_dataset": Dataset.from_list(rows), "loss": losses.TripletLoss(model, triplet_margin=0.3)}


def _several_sets(model):
    rows = {"text": ["a goal", "a match", "a bank"], "label": [0, 0, 1]}
    return {"train_dataset": {"one": Dataset.from_dict(rows), "two": Dataset.from_dict(rows)}}


def _stream(model):
    rows = {"text": ["a goal", "a match", "a bank"] * 8, "label": [0, 0, 1] * 8}
    return {"train_dataset": Dataset.from_dict(rows).to_iterable_dataset()}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (_triplets, "train_head=True needs labels, but the training data are triplets; pass labelled sentences"),
        (_several_sets, "train_head=True needs one data set, because the labels of several data sets are not related"),
        (_stream, "train_head needs all rows, but train_dataset is a stream; leave out train_head"),
        (_optimizers, "adds weights to the model, which the optimizer in `optimizers` does not have"),
        (lambda model: {"model": None, "model_init": lambda: model}, "model_init makes another one for each run"),
    ],
)
def test_what_cannot_have_a_head_is_named_before_the_training(options, words, bert, labelled, tmp_path):
    model = SentenceTransformer(bert, device="cpu")
    given = {"model": model, "train_dataset": labelled, "loss": losses.BatchHardTripletLoss(model, margin=0.3)}
    with pytest.raises(DataError, match=words):
        SentenceTransformerTrainer(args=make_arguments(tmp_path, train_head=True), **{**given, **options(model)})


@pytest.mark.distributed
def test_every_process_has_the_head_of_one_process(bert, tmp_path):
    for processes in (1, 2):
        folder = tmp_path / str(processes)
        folder.mkdir()
        run_ranks(first_head_run.main, bert, folder, 8 // processes, processes=processes)
    alone = torch.load(tmp_path / "1/rank0.pt")
    first, second = (torch.load(tmp_path / f"2/rank{rank}.pt") for rank in range(2))
    assert torch.equal(first["head"], second["head"])
    assert torch.equal(first["weights"], second["weights"])
    torch.testing.assert_close(first["head"], alone["head"], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(first["weights"], alone["weights"], rtol=1e-3, atol=1e-5)


def test_a_head_that_separates_all_triplets_gives_no_warning(bert, tmp_path, caplog):
    """A margin that is too small in any case is still a warning."""
    copies = Dataset.from_dict({"sentence": [f"the {word}" for word in WORDS] * 10, "label": WORDS * 10})

    def kinds_of_run(margin, folder):
        def make(model, **_):
            return losses.BatchHardTripletLoss(model, margin=margin)

        changes = {"train_head": True, "max_steps": 2, "learning_rate": 0.0}
        with collect_warnings() as warnings, caplog.at_level(logging.INFO):
            make_trainer(bert, tmp_path / folder, copies, make, changes=changes).train()
        return {warning.kind for warning in warnings}

    assert not {WarningKind.SMALL_MARGIN, WarningKind.NOTHING_LEARNED} & kinds_of_run(0.3, "usual")
    expected = (
        "the encoder was not trained further: after the head, all mined triplets of the 2 batches satisfy the margin"
    )
    assert any(message.startswith(expected) for message in caplog.messages)
    assert {WarningKind.SMALL_MARGIN, WarningKind.NOTHING_LEARNED} & kinds_of_run(0.001, "tiny")
