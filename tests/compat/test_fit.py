"""`model.fit`: the batches and the losses of the old way to train, on the trainer."""

import shutil

import numpy as np
import pytest
import sentence_transformers as peer
import torch
from sentence_transformers.sentence_transformer import losses as peer_losses
from sentence_transformers.sentence_transformer.datasets import SentenceLabelDataset as PeerDataset
from tercet.datasets import SentenceLabelDataset
from torch import nn
from torch.utils.data import DataLoader

import tercet
from tercet import losses
from tercet._events import collect_warnings
from tercet.compat import fit as old_way
from tercet.compat.fit_batches import DrawnBatches
from tercet.errors import DataError
from tests.trainer.helpers import flat_weights, turn_off_dropout


class _Recorded(nn.Module):
    """A loss that keeps its values."""

    def __init__(self, loss):
        super().__init__()
        self.loss, self.values = loss, []

    def forward(self, features, labels):
        value = self.loss(features, labels)
        self.values.append(value.item())
        return value


def _objective(library, model, kind, sentences, labels):
    module, grouped = (losses, SentenceLabelDataset) if library is tercet else (peer_losses, PeerDataset)
    ids = [float(sorted(set(labels)).index(label)) for label in labels]
    examples = [library.InputExample(texts=[text], label=label) for text, label in zip(sentences, ids, strict=True)]
    if kind.startswith("triplets"):
        rows = zip(sentences, sentences[::-1], sentences[3:] + sentences[:3], strict=True)
        examples = [library.InputExample(texts=list(row)) for row in rows]
        loader = DataLoader(examples, shuffle=True, batch_size=6 if kind == "triplets of 6" else 8)
        return loader, _Recorded(module.TripletLoss(model, triplet_margin=0.3))
    if kind == "groups":
        return DataLoader(grouped(examples, 2), batch_size=8), _Recorded(module.BatchAllTripletLoss(model, margin=0.3))
    loader = DataLoader(examples, shuffle=True, batch_size=16 if kind == "one batch" else 6)
    return loader, _Recorded(module.BatchSemiHardTripletLoss(model, margin=0.3))


def _fit(library, method, kinds, encoder, sentences, labels, **options):
    torch.manual_seed(3)
    np.random.seed(4)
    model = library.SentenceTransformer(str(encoder), device="cpu")
    turn_off_dropout(model)
    objectives = [_objective(library, model, kind, sentences, labels) for kind in kinds]
    defaults = {"epochs": 3, "warmup_steps": 2, "optimizer_params": {"lr": 1e-3}, "show_progress_bar": False}
    getattr(model, method)(objectives, **{**defaults, **options})
    return model, [value for _, loss in objectives for value in loss.values]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "kinds", "options"),
    [
        ("fit", ["shuffled", "triplets of 6"], {"scheduler": "warmupcosine", "weight_decay": 0.1}),
        ("fit", ["shuffled"], {"steps_per_epoch": 5, "epochs": 1}),
        ("fit", ["triplets"], {"max_grad_norm": 0.1}),
        ("old_fit", ["groups"], {"steps_per_epoch": 3}),
    ],
)
@pytest.mark.filterwarnings("ignore:'pin_memory' argument")
def test_the_losses_are_those_of_the_peer(method, kinds, options, bert, sentences, labels, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    expected, found = (
        _fit(library, name, kinds, bert, sentences, labels, **options)[1]
        for library, name in ((peer, method), (tercet, "fit"))
    )
    assert found == pytest.approx(expected, rel=1e-4)
    assert len(set(found)) > 1


@pytest.mark.slow
def test_evaluations_checkpoints_and_files(bert, sentences, labels, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(old_way, "_warned", set())
    scores, seen, called = iter([0.1, 0.3, 0.2, 0.25, 0.2, 0.2]), [], []

    def evaluator(model, output_path, epoch, steps):
        assert not model.training
        seen.append((flat_weights(model).clone(), output_path))
        return {"other": -1.0, "score": next(scores)}

    evaluator.primary_metric = "score"
    options = {
        "evaluator": evaluator, "evaluation_steps": 2, "output_path": str(tmp_path / "best"), "epochs": 2,
        "callback": lambda *values: called.append(values), "checkpoint_path": str(tmp_path / "all"),
        "checkpoint_save_steps": 3, "checkpoint_save_total_limit": 1,
    }  # fmt: skip
    with collect_warnings() as warnings:
        model, values = _fit(tercet, "fit", ["shuffled", "triplets"], bert, sentences, labels, **options)
        with pytest.raises(DataError, match="train_objectives is empty"):
            model.fit([])
    assert [warning.message[:29] for warning in warnings if "fit" in warning.message] == [
        "model.fit is the old way to t"
    ]
    assert len(values) == 8
    assert [(score, step) for score, _, step in called] == [(0.1, 2), (0.3, 4), (0.2, 4), (0.25, 6), (0.2, 8), (0.2, 8)]
    best = tercet.SentenceTransformer(tmp_path / "best", device="cpu")
    assert torch.equal(flat_weights(best), seen[1][0])
    assert {path for _, path in seen} == {str(tmp_path / "best/eval")}
    assert [path.name for path in (tmp_path / "all").glob("checkpoint-*")] == ["checkpoint-8"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["all", "best"]


@pytest.mark.slow
def test_a_run_goes_on_from_its_checkpoint(bert, sentences, labels, tmp_path, caplog):
    options = {"checkpoint_path": str(tmp_path), "checkpoint_save_steps": 4, "resume_from_checkpoint": True}
    whole, _ = _fit(tercet, "fit", ["shuffled"], bert, sentences, labels, **options)
    assert "there is no checkpoint in checkpoint_path=" in caplog.text
    for step in (8, 9):
        shutil.rmtree(tmp_path / f"checkpoint-{step}")
    resumed, values = _fit(tercet, "fit", ["shuffled"], bert, sentences, labels, **options)
    assert len(values) == 5
    assert torch.equal(flat_weights(resumed), flat_weights(whole))


def test_what_fit_cannot_train_on_is_an_error(bert, tmp_path):
    model = tercet.SentenceTransformer(bert, device="cpu")
    loss = losses.BatchAllTripletLoss(model, margin=0.3)
    pairs = [tercet.InputExample(texts=["a", "b"], label=1.0)]
    for data, message in (
        (pairs, "data loader 1: the examples have '2' texts; the batch losses take one text with a label"),
        ([("a", 1)], r"data loader 1, example 0: expected an InputExample with a list of texts, got \('a', 1\)"),
        ([tercet.InputExample(texts=["a"], label=0.5)] * 2, r"row 0: the label is 0.5 \(float\)"),
    ):
        with pytest.raises(DataError, match=message):
            model.fit([(DataLoader(data, batch_size=2), loss)])
    data = [tercet.InputExample(texts=[text], label=label) for text, label in (("a", 0), ("b", 0), ("c", 1))]
    with pytest.raises(DataError, match="unknown scheduler 'Linear'; choose one of 'constantlr', 'warmupconstant'"):
        model.fit([(DataLoader(data, batch_size=3), loss)], scheduler="Linear")


def test_the_rows_of_a_batch_are_counted_a_few_times_only():
    counted = []

    class Batch(list):
        def __len__(self):
            counted.append(1)
            return super().__len__()

    drawn = DrawnBatches(None)
    drawn.epochs = [[Batch([0] * 4), *(Batch([0] * 3) for _ in range(98)), Batch([0] * 4)] for _ in range(3)]
    assert drawn.full_batches == 2
    assert len(counted) <= 4 * 100


def test_grouped_examples_are_those_of_the_peer(sentences, labels):
    drawn, pairs = [], list(zip(sentences, labels, strict=True))
    for kind in (PeerDataset, SentenceLabelDataset):
        np.random.seed(7)
        data = kind([peer.InputExample(texts=[text], label=label) for text, label in pairs][1:], 4)
        drawn.append([[example.texts[0] for example in data] for _ in range(3)])
        assert len(data) == 12
    assert drawn[1] == drawn[0]
    assert str(tercet.InputExample(texts=["a", "b"], label=2)) == str(peer.InputExample(texts=["a", "b"], label=2))
