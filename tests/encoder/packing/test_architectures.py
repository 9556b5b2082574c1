"""Hidden states and gradients of every architecture: a packed row against a padded batch."""

import copy
import logging
import statistics

import numpy as np
import pytest
import torch
from torch import nn

from tercet import SentenceTransformer
from tercet.encoder.modules.pooling import Pooling
from tercet.encoder.packing.packing import pack
from tests.encoder.tiny import (
    LENGTHS,
    PACKED,
    PADDED,
    gradients_of,
    run_packed,
    run_padded,
    runs_packed,
    tiny,
    token_ids,
)


@pytest.mark.parametrize("kind", [*PACKED, *PADDED])
def test_hidden_states_and_gradients_equal_those_of_a_padded_batch(kind, bert, caplog):
    transformer, ids = tiny(kind, bert), token_ids()
    with caplog.at_level(logging.INFO, "tercet"):
        packed = run_packed(transformer, ids)
    assert runs_packed(transformer) == (kind in PACKED)
    assert ("groups of similar length" in caplog.text) == (kind in PADDED)
    padded = run_padded(transformer, ids)
    for ours, theirs in zip(packed, padded, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-9)
    ours, theirs = gradients_of(transformer, packed), gradients_of(transformer, padded)
    assert ours.keys() == theirs.keys()
    for name, gradient in theirs.items():
        torch.testing.assert_close(ours[name], gradient, rtol=1e-7, atol=1e-9, msg=name)


@pytest.mark.parametrize("kind", PACKED)
def test_hidden_states_agree_to_1e_5_in_float32(kind, bert):
    transformer, ids = tiny(kind, bert, dtype=torch.float32), token_ids()
    for ours, theirs in zip(run_packed(transformer, ids), run_padded(transformer, ids), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5 * float(theirs.detach().abs().max()))


@pytest.mark.parametrize("kind", PACKED)
def test_no_padding_is_computed(kind, bert):
    """Linear layers receive the tokens of the batch and no padding."""
    transformer = tiny(kind, bert)
    seen = []
    for module in transformer.auto_model.modules():
        if isinstance(module, nn.Linear):
            module.register_forward_hook(lambda _, inputs, __: seen.append(inputs[0].shape[:-1].numel()))
    runs_packed(transformer)
    seen.clear()
    run_packed(transformer, token_ids())
    of_tokens = [number for number in seen if number != 1]  # A pooler, whose output is not used, receives one vector.
    assert set(of_tokens) == {sum(LENGTHS)}
    transformer.packing = False
    seen.clear()
    run_packed(transformer, token_ids())
    assert max(seen) == len(LENGTHS) * max(LENGTHS)


@pytest.mark.parametrize("kind", ["roberta", "mpnet", "xlm-roberta", "bert"])
def test_a_padding_token_in_a_text_keeps_the_position_that_the_model_gives_it(kind, bert):
    transformer, ids = tiny(kind, bert), token_ids([5, 9, 2])
    ids[1][3] = ids[2][0] = transformer.auto_model.config.pad_token_id
    for ours, theirs in zip(run_packed(transformer, ids), run_padded(transformer, ids), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_grouped_query_attention(bert):
    transformer, ids = tiny("eurobert", bert, num_key_value_heads=2), token_ids()
    assert runs_packed(transformer)
    for ours, theirs in zip(run_packed(transformer, ids), run_padded(transformer, ids), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_a_model_that_chunks_its_feed_forward_layer_is_padded(bert):
    transformer = tiny("bert", bert, chunk_size_feed_forward=2)
    assert not runs_packed(transformer)
    run_packed(transformer, token_ids([4, 4, 2]))


def test_hooks_on_layers_of_mpnet_are_called(bert):
    transformer = tiny("mpnet", bert)
    assert runs_packed(transformer)
    seen = []
    transformer.auto_model.encoder.layer[0].register_forward_hook(lambda *_: seen.append(1))
    run_packed(transformer, token_ids())
    assert seen


def test_attention_that_the_user_chose_is_kept(bert):
    transformer = tiny("bert", bert)
    assert runs_packed(transformer)
    transformer.auto_model.set_attn_implementation("eager")
    packed = run_packed(transformer, token_ids())
    assert not runs_packed(transformer)
    assert transformer.auto_model.config._attn_implementation == "eager"
    torch.testing.assert_close(packed[0], run_padded(transformer, token_ids())[0])


@pytest.mark.slow
def test_dropout_draws_from_the_same_distribution(bert):
    """The means of the loss over seeds agree within their errors, and so do the standard deviations."""
    transformer, ids = tiny("bert", bert, dropout=0.2, dtype=torch.float32), token_ids([4, 9, 6, 6])
    runs_packed(transformer)
    transformer.train()
    values: dict[str, list[float]] = {"packed": [], "padded": []}
    for seed in range(400):
        for name, run in (("packed", run_packed), ("padded", run_padded)):
            torch.manual_seed(seed)
            with torch.no_grad():
                values[name].append(
                    sum(float(sentence.square().mean(0)[:8].sum()) for sentence in run(transformer, ids))
                )
    std = {name: statistics.stdev(numbers) for name, numbers in values.items()}
    assert min(std.values()) > 0.01 * statistics.mean(values["padded"])  # Dropout is on.
    gap = statistics.mean(values["packed"]) - statistics.mean(values["padded"])
    assert abs(gap) < 4 * max(std.values()) * (2 / 400) ** 0.5
    assert std["packed"] == pytest.approx(std["padded"], rel=0.25)


@pytest.mark.parametrize("kind", ["bert", "modernbert"])
def test_gradient_checkpointing(kind, bert):
    plain = tiny(kind, bert)
    checkpointed = copy.deepcopy(plain)
    checkpointed.auto_model.gradient_checkpointing_enable({"use_reentrant": False})
    gradients = []
    for transformer in (plain, checkpointed):
        transformer.train()
        gradients.append(gradients_of(transformer, run_packed(transformer, token_ids())))
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], gradient, msg=name)


@pytest.mark.parametrize("kind", ["bert", "mpnet", "modernbert"])
def test_autocast_errs_no_more_than_padded(kind, bert):
    transformer, ids = tiny(kind, bert, dtype=torch.float32), token_ids()
    exact = torch.cat(run_padded(transformer, ids))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        packed, padded = torch.cat(run_packed(transformer, ids)), torch.cat(run_padded(transformer, ids))
    assert (packed - exact).abs().mean() <= 1.3 * (padded - exact).abs().mean()


@pytest.mark.parametrize("kind", ["bert", "mpnet"])
def test_low_rank_adapters(kind, bert):
    peft = pytest.importorskip("peft")
    transformer = tiny(kind, bert, dtype=torch.float32)
    targets = ["query", "value"] if kind == "bert" else ["q", "v"]
    config = peft.LoraConfig(r=2, target_modules=targets, init_lora_weights=False)
    transformer.auto_model = peft.get_peft_model(transformer.auto_model, config)
    packed, padded = run_packed(transformer, token_ids()), run_padded(transformer, token_ids())
    assert runs_packed(transformer)
    torch.testing.assert_close(torch.cat(packed), torch.cat(padded), rtol=1e-4, atol=1e-4)
    ours, theirs = gradients_of(transformer, packed), gradients_of(transformer, padded)
    assert ours.keys() == theirs.keys()
    assert all("lora" in name for name in ours)
    for name, gradient in theirs.items():
        torch.testing.assert_close(ours[name], gradient, rtol=1e-3, atol=1e-4, msg=name)


@pytest.mark.skipif(
    torch.__version__ < "2.8", reason="the compiler of torch 2.7 fails if the process has trained a model before"
)
@pytest.mark.slow
def test_a_compiled_model_returns_the_same_embeddings(bert):
    """The whole model traced by torch's compiler; a backend that compiles nothing keeps the test short."""
    model = SentenceTransformer(modules=[tiny("bert", bert), Pooling(32)], device="cpu")
    features = [pack(token_ids(lengths, seed)) for seed, lengths in enumerate([LENGTHS, [4, 4, 9], [2, 40, 7, 7]])]
    expected = [model(batch)["sentence_embedding"] for batch in features]
    compiled = torch.compile(model, backend="eager", dynamic=True)
    for batch, embeddings in zip(features, expected, strict=True):
        torch.testing.assert_close(compiled(batch)["sentence_embedding"], embeddings)


def test_a_saved_model_does_not_name_our_attention(bert, tmp_path):
    model = SentenceTransformer(bert, device="cpu")
    model.transformer.auto_model.encoder.layer[0].register_forward_hook(lambda *_: None)  # Its own modules run.
    model.encode("the game")
    assert model.transformer.auto_model.config._attn_implementation == "tercet_packed"
    model.save_pretrained(tmp_path / "saved")
    assert "tercet_packed" not in (tmp_path / "saved/config.json").read_text()
    loaded = SentenceTransformer(tmp_path / "saved", device="cpu")
    np.testing.assert_allclose(loaded.encode("the game"), model.encode("the game"), atol=1e-6)
