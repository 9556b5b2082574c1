"""Losses on several layers: the values of sentence-transformers, and training."""

import random

import pytest
import torch
from datasets import Dataset

from tercet import SentenceTransformer, SentenceTransformerTrainer, SentenceTransformerTrainingArguments
from tercet.encoder import Dense, Pooling, StaticEmbedding, Transformer
from tercet.encoder.packing.packing import pack
from tercet.errors import EmbeddingError
from tercet.losses import AdaptiveLayerLoss, BatchAllTripletLoss, Matryoshka2dLoss, TripletLoss

peer = pytest.importorskip("sentence_transformers")
peer_losses = pytest.importorskip("sentence_transformers.sentence_transformer.losses")


@pytest.fixture(scope="module")
def folder(bert, tmp_path_factory):
    torch.manual_seed(0)
    encoder = Transformer(str(bert))
    encoder.auto_model.config.hidden_dropout_prob = encoder.auto_model.config.attention_probs_dropout_prob = 0.0
    folder = tmp_path_factory.mktemp("model")
    SentenceTransformer(modules=[encoder, Pooling(32), Dense(32, 16)], device="cpu").save(folder)
    return folder


def _loss(library, kind, model, options):
    batch_all, triplet = library.BatchAllTripletLoss(model, margin=2), library.TripletLoss(model, triplet_margin=2)
    if kind == "triplets":
        return library.AdaptiveLayerLoss(model, triplet, **options)
    if kind == "2d":
        return library.Matryoshka2dLoss(model, batch_all, [16, 8, 4], **options)
    return library.AdaptiveLayerLoss(model, batch_all, **options)


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("labels", {"n_layers_per_step": -1}),
        ("labels", {"kl_temperature": 0, "layer_weighting": "linear", "last_layer_weight": 2.0}),
        ("triplets", {"layer_weighting": "log", "prior_layers_weight": 0.5, "kl_div_weight": 0.7}),
        ("2d", {}),
    ],
)
def test_the_values_and_gradients_are_those_of_sentence_transformers(folder, sentences, labels, kind, options):
    import tercet.losses as our_losses

    values, gradients = [], []
    for library, losses in ((peer, peer_losses), (SentenceTransformer, our_losses), ("packed", our_losses)):
        make = peer.SentenceTransformer if library is peer else SentenceTransformer
        model = make(str(folder), device="cpu")
        columns = [sentences, sentences[::-1], sentences[3:] + sentences[:3]] if kind == "triplets" else [sentences]
        if library == "packed":
            features = [pack(model.token_ids(column)) for column in columns]
        else:
            features = [model.tokenize(column) for column in columns]
        ids = torch.tensor([sorted(set(labels)).index(label) for label in labels])
        random.seed(5)
        loss = _loss(losses, kind, model, options)(features, ids)
        loss.backward()
        values.append(loss.item())
        gradients.append(torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None]))
    assert values[1:] == pytest.approx([values[0]] * 2, rel=1e-5)
    assert values[0] > 0
    for gradient in gradients[1:]:
        torch.testing.assert_close(gradient, gradients[0], rtol=1e-3, atol=1e-6)


def test_a_model_is_trained_on_its_layers(folder, sentences, labels, tmp_path):
    model = SentenceTransformer(folder, device="cpu")
    loss = Matryoshka2dLoss(model, BatchAllTripletLoss(model, margin=2), [16, 8])
    arguments = SentenceTransformerTrainingArguments(
        tmp_path, max_steps=3, per_device_train_batch_size=8, learning_rate=1e-3, use_cpu=True, report_to="none",
        logging_steps=1, save_strategy="no",
    )  # fmt: skip
    data = Dataset.from_dict({"text": sentences, "label": labels})
    trainer = SentenceTransformerTrainer(model, arguments, data, loss=loss)
    trainer.train()
    steps = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    assert steps[-1] < steps[0]
    assert model.training_record.loss == "Matryoshka2dLoss"
    assert loss.get_config_dict()["n_layers_per_step"] == 1
    assert not model[0].auto_model.config.output_hidden_states


def test_a_model_without_layers_is_refused(bert):
    from tokenizers import Tokenizer

    static = StaticEmbedding(Tokenizer.from_file(str(bert / "tokenizer.json")), embedding_dim=8)
    model = SentenceTransformer(modules=[static], device="cpu")
    for arguments, message in (
        ((model, TripletLoss(model)), "needs a model that begins with a Transformer, got StaticEmbedding"),
        ((None, TripletLoss(None)), "needs a model that begins with a Transformer, got NoneType"),
        ((model, torch.nn.Identity()), "needs a loss with the method compute_loss_from_embeddings, got Identity"),
        ((model, TripletLoss(model), 1, 1.0, 1.0, 1.0, 0.3, "cubic"), "layer_weighting must be 'uniform', 'log'"),
    ):
        with pytest.raises(EmbeddingError, match=message):
            AdaptiveLayerLoss(*arguments)
