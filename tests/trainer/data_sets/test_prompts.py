"""Prompts in training: the default prompt of the model, prompts by column, and pooling that leaves the prompt out."""

import pytest
import torch
from datasets import Dataset

from tercet import SentenceTransformer, SentenceTransformerTrainer, losses
from tercet.encoder.modules import Pooling
from tercet.errors import DataError
from tercet.losses.functional import batch_all_triplet_loss
from tests.trainer.helpers import flat_weights, make_arguments, turn_off_dropout

PROMPT = "the cake was "


def _make(bert, folder, data, loss=losses.BatchAllTripletLoss, *, default=None, include=True, evaluate=True, **changes):
    prompts = {"default_prompt_name": "own", "prompts": {"own": default}} if default else {}
    model = SentenceTransformer(bert, device="cpu", **prompts)
    turn_off_dropout(model)
    for module in model:
        if isinstance(module, Pooling):
            module.include_prompt = include
    made = loss(model, **({"triplet_margin": 0.3} if loss is losses.TripletLoss else {"margin": 0.3}))
    evaluation = data if evaluate else None
    return SentenceTransformerTrainer(model, make_arguments(folder, **changes), data, evaluation, made)


@pytest.mark.slow
@pytest.mark.parametrize("include", [True, False])
@pytest.mark.parametrize("how", ["default prompt", "argument", "argument for the column"])
def test_training_and_evaluation_embed_what_encode_embeds(how, include, bert, labelled, tmp_path):
    argument = {"default prompt": None, "argument": PROMPT, "argument for the column": {"text": PROMPT}}[how]
    default = PROMPT if how == "default prompt" else None
    trainer = _make(
        bert, tmp_path, labelled, default=default, include=include, prompts=argument, per_device_eval_batch_size=16
    )
    embeddings = trainer.model.encode(labelled["text"][:], prompt=PROMPT, convert_to_tensor=True)
    labels = [["food", "money", "sport", "travel"].index(label) for label in labelled["label"][:]]
    metrics = trainer.evaluate()
    assert metrics["eval_loss"] == pytest.approx(
        float(batch_all_triplet_loss(embeddings, labels, margin=0.3)), rel=1e-4
    )
    other = _make(bert, tmp_path, labelled, per_device_eval_batch_size=16, include=include).evaluate()
    assert metrics["eval_loss"] != pytest.approx(other["eval_loss"], rel=1e-3)
    assert metrics["eval_mean_positive_distance"] != pytest.approx(other["eval_mean_positive_distance"], rel=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("include", [True, False])
def test_packed_padded_and_cached_steps_use_the_prompt_alike(include, bert, labelled, tmp_path):
    weights = []
    for packing, tokens in ((True, None), (False, None), (True, 30)):
        changes = {"prompts": PROMPT, "mini_batch_tokens": tokens, "optim": "sgd", "max_steps": 3}
        trainer = _make(bert, tmp_path, labelled, include=include, evaluate=False, **changes)
        trainer.model.packing = packing
        trainer.train()
        weights.append(flat_weights(trainer.model))
    torch.testing.assert_close(weights[1], weights[0], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(weights[2], weights[0], rtol=1e-4, atol=1e-5)
    without = _make(bert, tmp_path, labelled, include=include, evaluate=False, optim="sgd", max_steps=3)
    without.train()
    assert (flat_weights(without.model) - weights[0]).abs().max() > 1e-4


def test_an_empty_prompt_turns_the_default_prompt_off(bert, labelled, tmp_path):
    off = _make(bert, tmp_path, labelled, default=PROMPT, prompts="").evaluate()
    without = _make(bert, tmp_path, labelled).evaluate()
    for name in ("eval_loss", "eval_map@r", "eval_mean_positive_distance"):
        assert off[name] == without[name]


@pytest.fixture
def triplets(sentences):
    return Dataset.from_dict({"query": sentences[:8], "pos": sentences[4:12], "neg": sentences[8:16]})


@pytest.mark.parametrize(
    "prompts", [{"query": PROMPT, "pos": "the soup "}, {"anchor": PROMPT, "positive": "the soup "}]
)
def test_columns_of_triplets_have_their_own_prompts(prompts, bert, triplets, tmp_path):
    changes = {"batch_sampler": "batch_sampler", "prompts": prompts}
    trainer = _make(bert, tmp_path, triplets, losses.TripletLoss, **changes)
    encode = trainer.model.encode
    anchors, positives, negatives = (
        encode(triplets[name][:], prompt=prompt, convert_to_tensor=True)
        for name, prompt in (("query", PROMPT), ("pos", "the soup "), ("neg", ""))
    )
    expected = trainer.loss.compute_loss_from_embeddings([anchors, positives, negatives])
    metrics = trainer.evaluate()
    assert metrics["eval_loss"] == pytest.approx(float(expected), rel=1e-4)
    similar = torch.cosine_similarity(anchors, positives) > torch.cosine_similarity(anchors, negatives)
    assert metrics["eval_cosine_accuracy"] == pytest.approx(float(similar.float().mean()))


@pytest.mark.slow
def test_invalid_prompts_raise_an_error(bert, labelled, triplets, tmp_path):
    with pytest.raises(DataError, match="prompts has a prompt for 'query', but the text columns of .* are 'text'"):
        _make(bert, tmp_path, labelled, prompts={"query": "a "})
    with pytest.raises(DataError, match="prompts: the prompt of 'text' must be a string, got int"):
        _make(bert, tmp_path, labelled, prompts={"text": 3})
    changes = {"batch_sampler": "batch_sampler", "prompts": {"query": "the soup is "}}
    with pytest.raises(DataError, match="the prompts of the columns have different lengths"):
        _make(bert, tmp_path, triplets, losses.TripletLoss, include=False, **changes)


def test_a_custom_collator_gets_texts_with_the_prompt(bert, labelled, tmp_path):
    seen = []

    def own_collate(rows):
        seen.extend(row["sentence"] for row in rows)
        features = trainer.model.tokenize([row["sentence"] for row in rows])
        return {"features": features, "labels": torch.tensor([row["label"] for row in rows])}

    model = SentenceTransformer(bert, device="cpu", prompts={"own": PROMPT}, default_prompt_name="own")
    trainer = SentenceTransformerTrainer(
        model, make_arguments(tmp_path, max_steps=1), labelled, data_collator=own_collate,
        loss=losses.BatchAllTripletLoss(model, margin=0.3),
    )  # fmt: skip
    trainer.train()
    assert seen
    assert all(text.startswith(PROMPT) for text in seen)
