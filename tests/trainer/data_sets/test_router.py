"""Training a model with a Router: the routes of `router_mapping`, with the losses of sentence-transformers."""

import pytest
import sentence_transformers as peer
import torch
from datasets import Dataset
from tokenizers import Tokenizer

import tercet
from tercet import SentenceTransformer, losses
from tercet.encoder import Dense, Pooling, Router, StaticEmbedding, Transformer
from tercet.errors import DataError
from tests.trainer.helpers import flat_weights, logged_losses, make_trainer, turn_off_dropout
from tests.trainer.test_peer_training import own_batches, train_in

TRIPLET_TASKS = {"question": "query", "pos": "document", "neg": "document"}
PROMPT = "the soup "


@pytest.fixture(scope="module")
def routed(bert, tmp_path_factory):
    """The folder of a model with a static embedding for queries and a tiny BERT for documents."""
    torch.manual_seed(0)
    tokenizer = Tokenizer.from_file(str(bert / "tokenizer.json"))
    query = [StaticEmbedding(tokenizer, embedding_dim=16), Dense(16, 32)]
    document = [Transformer(str(bert)), Pooling(32, include_prompt=False)]
    folder = tmp_path_factory.mktemp("routed")
    SentenceTransformer(modules=[Router.for_query_document(query, document)], device="cpu").save(folder)
    return folder


@pytest.fixture
def triplets(sentences):
    return Dataset.from_dict({"question": sentences, "pos": sentences[::-1], "neg": sentences[3:] + sentences[:3]})


def _labelled(sentences, labels):
    return Dataset.from_dict({"text": sentences, "label": [sorted(set(labels)).index(label) for label in labels]})


def _semi_hard(module, model):
    return module.BatchSemiHardTripletLoss(model, margin=0.3)


def _triplet(module, model):
    return module.TripletLoss(model, triplet_margin=0.3)


def _by_set(module, model):
    return {"first": _semi_hard(module, model), "second": _triplet(module, model)}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("loss", "kind", "changes"),
    [
        (_semi_hard, "labelled", {"router_mapping": {"text": "query"}, "batch_sampler": own_batches}),
        (_triplet, "triplets", {"router_mapping": TRIPLET_TASKS, "prompts": {"question": "a ", "pos": PROMPT}}),
        (_by_set, "sets", {"router_mapping": {"first": {"text": "document"}, "second": TRIPLET_TASKS}}),
    ],
)
def test_a_run_has_the_losses_of_the_peer(loss, kind, changes, routed, triplets, sentences, labels, tmp_path):
    results = []
    for library in (peer, tercet):
        labelled, own_triplets = _labelled(sentences, labels), triplets.select(range(len(triplets)))
        data = {"labelled": labelled, "triplets": own_triplets, "sets": {"first": labelled, "second": own_triplets}}
        results.append(train_in(library, loss, data[kind], routed, tmp_path, learning_rate=1e-2, **changes))
    (expected, theirs), (found, ours) = results
    assert found == pytest.approx(expected, rel=1e-4)
    assert len(set(found)) > 2
    before = SentenceTransformer(routed, device="cpu")
    for task in ("query", "document"):
        vectors = [model.encode(sentences, task=task, convert_to_tensor=True) for model in (ours, theirs, before)]
        torch.testing.assert_close(vectors[0], vectors[1], atol=1e-3, rtol=1e-3)
        trained = kind != "labelled" or task == "query"
        assert trained != torch.allclose(vectors[0], vectors[2], atol=1e-5)


def test_evaluations_encode_with_the_tasks_of_the_columns(routed, triplets, sentences, labels, tmp_path):
    labelled = _labelled(sentences, labels)
    changes = {"router_mapping": {"text": "query"}, "prompts": PROMPT}
    trainer = make_trainer(routed, tmp_path, labelled, eval_dataset=labelled, changes=changes)
    vectors = trainer.model.encode(sentences, task="query", prompt=PROMPT, convert_to_tensor=True)
    expected = tercet.evaluation.label_metrics(vectors, labelled["label"][:])
    found = trainer.evaluate()
    assert found["eval_map@r"] == pytest.approx(expected["map@r"], abs=1e-6)

    changes = {"router_mapping": TRIPLET_TASKS, "batch_sampler": "batch_sampler"}
    trainer = make_trainer(routed, tmp_path, triplets, losses.TripletLoss, eval_dataset=triplets, changes=changes)
    vectors = [
        trainer.model.encode(triplets[name][:], task=task, convert_to_tensor=True)
        for name, task in TRIPLET_TASKS.items()
    ]
    found = trainer.evaluate()
    assert found["eval_loss"] == pytest.approx(float(trainer.loss.compute_loss_from_embeddings(vectors)), rel=1e-4)
    assert found["eval_cosine_accuracy"] == pytest.approx(tercet.evaluation.triplet_accuracy(*vectors))


@pytest.mark.slow
def test_a_run_in_chunks_and_a_resumed_run_are_those_of_one_piece(routed, sentences, labels, tmp_path):
    labelled = _labelled(sentences, labels)
    changes = {"router_mapping": {"text": "document"}, "save_strategy": "steps", "save_steps": 2}
    whole = make_trainer(routed, tmp_path / "whole", labelled, changes=changes)
    whole.train()
    resumed = make_trainer(routed, tmp_path / "resumed", labelled, changes=changes)
    resumed.train(resume_from_checkpoint=str(tmp_path / "whole/checkpoint-2"))
    torch.testing.assert_close(flat_weights(resumed.model), flat_weights(whole.model), rtol=0, atol=0)
    changes = {**changes, "router_mapping": {"text": "query"}}
    other = make_trainer(routed, tmp_path / "other", labelled, changes=changes)
    with pytest.raises(DataError, match="router_mapping"):
        other.train(resume_from_checkpoint=str(tmp_path / "whole/checkpoint-2"))

    curves = []
    for number, tokens in enumerate((None, 20)):
        trainer = make_trainer(
            routed, tmp_path / str(number), labelled,
            changes={"router_mapping": {"text": "document"}, "mini_batch_tokens": tokens},
        )  # fmt: skip
        turn_off_dropout(trainer.model)
        trainer.train()
        curves.append(logged_losses(trainer))
    assert curves[1] == pytest.approx(curves[0], rel=1e-4)


@pytest.mark.slow
def test_what_has_no_route_is_an_error_before_the_first_step(bert, routed, triplets, sentences, labels, tmp_path):
    labelled = _labelled(sentences, labels)
    sets = {"first": labelled, "second": labelled}
    for encoder, data, mapping, message in (
        (routed, labelled, None, "a model with a Router is trained by .* with the training argument router_mapping"),
        (bert, labelled, {"text": "query"}, "router_mapping has no effect, because the model has no Router"),
        (routed, labelled, {"message": "query"}, "has a task for 'message', but the text columns .* are 'text'"),
        (
            routed,
            labelled,
            {"text": "image"},
            "the column 'text': the Router has no route for task='image'; its routes",
        ),
        (routed, labelled, {"first": {"text": "query"}}, "has the data set 'first', but there is one data set"),
        (routed, sets, {"third": {"text": "query"}}, "the data set 'third', but the data sets are 'first', 'second'"),
        (routed, sets, {"first": {"text": "image"}}, "the column 'text' of the data set 'first': the Router has no"),
    ):
        with pytest.raises(DataError, match=message):
            make_trainer(encoder, tmp_path, data, changes={"router_mapping": mapping})
    changes = {"router_mapping": TRIPLET_TASKS, "batch_sampler": "batch_sampler", "mini_batch_tokens": 20}
    with pytest.raises(DataError, match="triplets for a Router have one for each column; leave out mini_batch_tokens$"):
        make_trainer(routed, tmp_path, triplets, losses.TripletLoss, changes=changes)
