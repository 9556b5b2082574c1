"""Packed rows against padded batches: every architecture, hidden states and gradients; poolings; what falls back."""

import copy
import itertools
import logging
import statistics

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from transformers import AutoConfig, AutoModel, AutoTokenizer

from tercet import SentenceTransformer
from tercet.encoder.modules import pooling as modules
from tercet.encoder.modules.pooling import Pooling, _reduce_parts
from tercet.encoder.modules.transformer import Transformer
from tercet.encoder.packing.attention import Layout, attend
from tercet.encoder.packing.packing import Packing, pack

PACKED = [
    "albert", "bert", "camembert", "data2vec-text", "distilbert", "electra", "ernie", "eurobert", "modernbert", "mpnet",
    "nomic_bert", "roberta", "xlm-roberta", "xlm-roberta-xl",
]  # fmt: skip
IN_PARTS = ["deberta-v2", "xlnet", "gpt2"]
LENGTHS = [7, 3, 33, 1, 3, 60, 12, 32, 3]


def _config(kind: str, dropout: float, **changes):
    sizes = {
        "vocab_size": 120, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48,
        "max_position_embeddings": 140, "pad_token_id": 1 if kind == "mpnet" else 0, "bos_token_id": 2,
        "eos_token_id": 3, "cls_token_id": 2, "sep_token_id": 3, "embedding_size": 16, "type_vocab_size": 2,
    }  # fmt: skip
    rates = ("hidden_dropout_prob", "attention_probs_dropout_prob", "attention_dropout", "mlp_dropout", "dropout",
             "embedding_dropout", "resid_pdrop", "embd_pdrop", "attn_pdrop", "summary_last_dropout")  # fmt: skip
    if kind == "distilbert":
        sizes |= {"dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 48}
    if kind == "modernbert":
        sizes |= {"local_attention": 8, "global_attn_every_n_layers": 2}
    if kind == "xlnet":
        sizes = {"vocab_size": 120, "d_model": 32, "n_layer": 2, "n_head": 4, "d_inner": 48, "pad_token_id": 0}
    if kind == "gpt2":
        sizes |= {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 140}
    return AutoConfig.for_model(kind, **sizes, **dict.fromkeys(rates, dropout), **changes)


def tiny(kind: str, folder, dropout: float = 0.0, dtype=torch.float64, **changes) -> Transformer:
    """A random encoder with weights large enough for attention to matter."""
    torch.manual_seed(0)
    model = AutoModel.from_config(_config(kind, dropout, **changes))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0, 0.3)
    return Transformer(model.to(dtype), AutoTokenizer.from_pretrained(folder), max_seq_length=64)


def _ids(lengths=LENGTHS, seed=0) -> list[list[int]]:
    random = np.random.default_rng(seed)
    return [random.integers(5, 100, length).tolist() for length in lengths]


def _padded(transformer: Transformer, ids: list[list[int]]) -> list[torch.Tensor]:
    """Hidden states of each sentence, from the model's own padded batch."""
    longest = max(map(len, ids))
    padding = transformer.auto_model.config.pad_token_id
    rows = torch.tensor([sentence + [padding] * (longest - len(sentence)) for sentence in ids])
    mask = torch.tensor([[1] * len(sentence) + [0] * (longest - len(sentence)) for sentence in ids])
    types = {"token_type_ids": torch.zeros_like(rows)} if "token_type_ids" in transformer._inputs else {}
    hidden = transformer.auto_model(input_ids=rows, attention_mask=mask, **types)[0]
    return [hidden[row, : len(sentence)] for row, sentence in enumerate(ids)]


def _packed(transformer: Transformer, ids: list[list[int]]) -> list[torch.Tensor]:
    features = pack(ids)
    packing = features["packing"]
    parts = transformer(features)["token_embeddings"].split(packing.lengths.tolist())
    return [parts[place] for place in packing.inverse_order]


def _runs_packed(transformer: Transformer) -> bool:
    return transformer._runs_packed(torch.device("cpu"))


def _gradients(transformer: Transformer, hidden: list[torch.Tensor]) -> dict[str, torch.Tensor]:
    transformer.zero_grad()
    weight = torch.randn(hidden[0].shape[1], generator=torch.Generator().manual_seed(1), dtype=hidden[0].dtype)
    sum((sentence.tanh() @ weight).mean() for sentence in hidden).backward()
    parameters = transformer.named_parameters()
    return {name: parameter.grad.clone() for name, parameter in parameters if parameter.grad is not None}


@pytest.mark.parametrize("kind", [*PACKED, *IN_PARTS])
def test_hidden_states_and_gradients_are_those_of_a_padded_batch(kind, bert, caplog):
    transformer, ids = tiny(kind, bert), _ids()
    with caplog.at_level(logging.INFO, "tercet"):
        packed = _packed(transformer, ids)
    assert _runs_packed(transformer) == (kind in PACKED)
    assert ("in parts" in caplog.text) == (kind in IN_PARTS)
    padded = _padded(transformer, ids)
    for ours, theirs in zip(packed, padded, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-9)
    ours, theirs = _gradients(transformer, packed), _gradients(transformer, padded)
    assert ours.keys() == theirs.keys()
    for name, gradient in theirs.items():
        torch.testing.assert_close(ours[name], gradient, rtol=1e-7, atol=1e-9, msg=name)


@pytest.mark.parametrize("kind", PACKED)
def test_in_float32_to_1e_5(kind, bert):
    transformer, ids = tiny(kind, bert, dtype=torch.float32), _ids()
    for ours, theirs in zip(_packed(transformer, ids), _padded(transformer, ids), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5 * float(theirs.detach().abs().max()))


@pytest.mark.parametrize("kind", PACKED)
def test_no_padding_is_computed(kind, bert):
    """What a linear layer sees: all tokens of the batch, and not one more."""
    transformer = tiny(kind, bert)
    _runs_packed(transformer)
    seen = []
    for module in transformer.auto_model.modules():
        if isinstance(module, nn.Linear):
            module.register_forward_hook(lambda _, inputs, __: seen.append(inputs[0].shape[:-1].numel()))
    _packed(transformer, _ids())
    of_tokens = [number for number in seen if number != 1]  # a pooler, whose output is not used, sees one vector
    assert set(of_tokens) == {sum(LENGTHS)}
    transformer.packing = False
    seen.clear()
    _packed(transformer, _ids())
    assert max(seen) == len(LENGTHS) * max(LENGTHS)


@pytest.mark.parametrize("kind", ["roberta", "mpnet", "xlm-roberta", "bert"])
def test_a_padding_token_in_a_text_keeps_the_position_that_the_model_gives_it(kind, bert):
    transformer, ids = tiny(kind, bert), _ids([5, 9, 2])
    ids[1][3] = ids[2][0] = transformer.auto_model.config.pad_token_id
    for ours, theirs in zip(_packed(transformer, ids), _padded(transformer, ids), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_queries_that_share_a_key(bert):
    transformer, ids = tiny("eurobert", bert, num_key_value_heads=2), _ids()
    assert _runs_packed(transformer)
    for ours, theirs in zip(_packed(transformer, ids), _padded(transformer, ids), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_a_model_that_fails_packed_falls_back_and_says_so(bert, caplog):
    transformer = tiny("bert", bert)

    def one_row_fails(_, inputs):
        if inputs[0].shape[0] == 1:
            raise ValueError("cannot take a single row")

    transformer.auto_model.encoder.layer[0].intermediate.register_forward_pre_hook(one_row_fails)
    with caplog.at_level(logging.WARNING, "tercet"):
        _packed(transformer, _ids([4] * 6))
    assert "bert does not run packed (cannot take a single row)" in caplog.text
    assert transformer.auto_model.config._attn_implementation == "sdpa"


def test_chunks_of_a_feed_forward_layer_are_left_to_padding(bert):
    transformer = tiny("bert", bert, chunk_size_feed_forward=2)
    assert not _runs_packed(transformer)
    _packed(transformer, _ids([4, 4, 2]))


def test_hooks_on_layers_of_mpnet_are_called(bert):
    transformer = tiny("mpnet", bert)
    assert _runs_packed(transformer)
    seen = []
    transformer.auto_model.encoder.layer[0].register_forward_hook(lambda *_: seen.append(1))
    _packed(transformer, _ids())
    assert seen


def test_a_trial_for_each_precision(bert):
    transformer = tiny("bert", bert, dtype=torch.float32)
    _packed(transformer, _ids())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        _packed(transformer, _ids())
    assert len(transformer._trials[1]) == 2
    copied = copy.deepcopy(transformer)
    _packed(copied, _ids())
    assert len(copied._trials[1]) == 2


def test_a_model_that_disagrees_falls_back_and_says_so(bert, caplog):
    """A layer that mixes tokens outside of attention is right only where a sentence has a row of its own."""
    transformer = tiny("bert", bert)
    transformer.auto_model.embeddings.register_forward_hook(lambda _, __, output: output + output.roll(1, dims=1))
    with caplog.at_level(logging.WARNING, "tercet"):
        packed = _packed(transformer, _ids([4] * 6))
        _packed(transformer, _ids([4] * 6))
    assert caplog.text.count("bert gives other numbers packed than padded") == 1
    for ours, theirs in zip(packed, _padded(transformer, _ids([4] * 6)), strict=True):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize(
    ("kind", "mistake"),
    [
        *itertools.product(["bert", "roberta", "modernbert", "mpnet"], ["positions", "neighbours"]),
        ("modernbert", "window"),
    ],
)
def test_the_trial_finds_mistakes(kind, mistake, bert, monkeypatch):
    transformer = tiny(kind, bert, dtype=torch.float32)
    if mistake == "positions":
        monkeypatch.setattr(Packing, "positions", property(lambda self: np.arange(self.cu_seqlens[-1]) % 60))
    elif mistake == "neighbours":
        monkeypatch.setattr(Layout, "masks", lambda self, window=None: [None] * len(self.parts))
    else:
        masks = Layout.masks
        monkeypatch.setattr(Layout, "masks", lambda self, window=None: masks(self))
    assert not _runs_packed(transformer)


def test_an_attention_of_the_users_choice_is_left_alone(bert):
    transformer = tiny("bert", bert)
    assert _runs_packed(transformer)
    transformer.auto_model.set_attn_implementation("eager")
    packed = _packed(transformer, _ids())
    assert not _runs_packed(transformer)
    assert transformer.auto_model.config._attn_implementation == "eager"
    torch.testing.assert_close(packed[0], _padded(transformer, _ids())[0])


@pytest.mark.parametrize("mode", [*Pooling.MODES, ["cls", "mean"]])
@pytest.mark.parametrize("include_prompt", [True, False])
def test_poolings_of_a_row_are_those_of_a_batch(mode, include_prompt, bert):
    transformer, ids = tiny("bert", bert), _ids([7, 5, 33, 4])
    pooling = Pooling(32, mode, include_prompt)
    row = pooling({**transformer(pack(ids)), "prompt_length": 3})["sentence_embedding"]
    longest = max(map(len, ids))
    rows = torch.tensor([sentence + [0] * (longest - len(sentence)) for sentence in ids])
    mask = (torch.arange(longest) < torch.tensor([[len(sentence)] for sentence in ids])).long()
    batch = transformer({"input_ids": rows, "attention_mask": mask, "prompt_length": 3})
    torch.testing.assert_close(row, pooling(batch)["sentence_embedding"])


@pytest.mark.parametrize("kind", ["bert", "gpt2"])
@pytest.mark.parametrize("mode", Pooling.MODES)
@pytest.mark.parametrize("prompt_length", [0, 2])
def test_sentences_without_tokens(kind, mode, prompt_length, bert):
    """Some tokenizers add no special tokens, so an empty text has no token at all, or none but those of a prompt."""
    transformer, pooling = tiny(kind, bert), Pooling(32, mode, include_prompt=not prompt_length)

    def embed(ids):
        return pooling({**transformer(pack(ids)), "prompt_length": prompt_length})["sentence_embedding"]

    prompt = [8, 9][:prompt_length]
    some = embed([prompt, [*prompt, 5, 6], prompt])
    assert some[0].abs().sum() == some[2].abs().sum() == 0
    torch.testing.assert_close(some[1], embed([[*prompt, 5, 6]])[0])
    assert embed([prompt, prompt]).abs().sum() == 0


@pytest.mark.parametrize("how", ["sum", "max"])
def test_parts_of_a_row_are_reduced_alike_on_every_device(how, monkeypatch):
    x = torch.randn(9, 4)
    lengths = torch.tensor([2, 3, 4])
    wanted = _reduce_parts(x, lengths, how)
    monkeypatch.setattr(modules, "_HAVE_SEGMENT_REDUCE", ())
    torch.testing.assert_close(_reduce_parts(x, lengths, how), wanted)


@settings(max_examples=60, deadline=None)
@given(
    lengths=st.lists(st.integers(0, 70), min_size=1, max_size=12).filter(any),
    window=st.none() | st.integers(1, 40),
    seed=st.integers(0, 9),
)
def test_attention_is_that_of_each_sentence_alone(lengths, window, seed):
    generator = torch.Generator().manual_seed(seed)
    lengths = np.sort(lengths)
    packing = Packing(lengths, np.arange(len(lengths)))
    q, k, v = (torch.randn(int(lengths.sum()), 2, 4, generator=generator, dtype=torch.float64) for _ in range(3))
    layout = Layout(packing, torch.device("cpu"))
    result = attend(q, k, v, layout, layout.masks(window), scale=0.7)
    for start, length in zip(packing.cu_seqlens, lengths, strict=False):
        part = slice(start, start + length)
        scores = torch.einsum("qhd,khd->hqk", q[part], k[part]) * 0.7
        apart = (torch.arange(length).unsqueeze(1) - torch.arange(length)).abs()
        scores = scores if window is None else scores.masked_fill(apart >= window, -torch.inf)
        torch.testing.assert_close(result[part], torch.einsum("hqk,khd->qhd", scores.softmax(-1), v[part]))


def test_dropout_draws_from_the_same_distribution(bert):
    """The means of the loss over seeds agree within their errors, and so do the spreads."""
    transformer, ids = tiny("bert", bert, dropout=0.2, dtype=torch.float32), _ids([4, 9, 6, 6])
    _runs_packed(transformer)
    transformer.train()
    values: dict[str, list[float]] = {"packed": [], "padded": []}
    for seed in range(400):
        for name, run in (("packed", _packed), ("padded", _padded)):
            torch.manual_seed(seed)
            with torch.no_grad():
                values[name].append(
                    sum(float(sentence.square().mean(0)[:8].sum()) for sentence in run(transformer, ids))
                )
    spread = {name: statistics.stdev(numbers) for name, numbers in values.items()}
    assert min(spread.values()) > 0.01 * statistics.mean(values["padded"])  # there is dropout
    gap = statistics.mean(values["packed"]) - statistics.mean(values["padded"])
    assert abs(gap) < 4 * max(spread.values()) * (2 / 400) ** 0.5
    assert spread["packed"] == pytest.approx(spread["padded"], rel=0.25)


@pytest.mark.parametrize("kind", ["bert", "modernbert"])
def test_gradient_checkpointing(kind, bert):
    plain = tiny(kind, bert)
    checkpointed = copy.deepcopy(plain)
    checkpointed.auto_model.gradient_checkpointing_enable({"use_reentrant": False})
    gradients = []
    for transformer in (plain, checkpointed):
        transformer.train()
        gradients.append(_gradients(transformer, _packed(transformer, _ids())))
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], gradient, msg=name)


@pytest.mark.parametrize("kind", ["bert", "mpnet", "modernbert"])
def test_autocast_errs_no_more_than_padded(kind, bert):
    transformer, ids = tiny(kind, bert, dtype=torch.float32), _ids()
    exact = torch.cat(_padded(transformer, ids))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        packed, padded = torch.cat(_packed(transformer, ids)), torch.cat(_padded(transformer, ids))
    assert (packed - exact).abs().mean() <= 1.3 * (padded - exact).abs().mean()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("kind", ["bert", "mpnet", "modernbert"])
def test_variable_length_attention_on_a_gpu_errs_no_more_than_padded(kind, bert):
    transformer, ids = tiny(kind, bert, dtype=torch.float32), _ids()
    exact = torch.cat(_padded(transformer, ids))
    transformer.to("cuda", torch.bfloat16)
    errors = []
    for transformer.packing in (True, False):
        features = pack(ids)
        parts = transformer({**features, "input_ids": features["input_ids"].cuda()})["token_embeddings"].float().cpu()
        parts = parts.split(features["packing"].lengths.tolist())
        errors.append((torch.cat([parts[place] for place in features["packing"].inverse_order]) - exact).abs().mean())
    assert _runs_packed(transformer)
    assert errors[0] <= 1.3 * errors[1]


@pytest.mark.parametrize("kind", ["bert", "mpnet"])
def test_low_rank_adapters(kind, bert):
    peft = pytest.importorskip("peft")
    transformer = tiny(kind, bert, dtype=torch.float32)
    targets = ["query", "value"] if kind == "bert" else ["q", "v"]
    config = peft.LoraConfig(r=2, target_modules=targets, init_lora_weights=False)
    transformer.auto_model = peft.get_peft_model(transformer.auto_model, config)
    packed, padded = _packed(transformer, _ids()), _padded(transformer, _ids())
    assert _runs_packed(transformer)
    torch.testing.assert_close(torch.cat(packed), torch.cat(padded), rtol=1e-4, atol=1e-4)
    ours, theirs = _gradients(transformer, packed), _gradients(transformer, padded)
    assert ours.keys() == theirs.keys()
    assert all("lora" in name for name in ours)
    for name, gradient in theirs.items():
        torch.testing.assert_close(ours[name], gradient, rtol=1e-3, atol=1e-4, msg=name)


def test_compiled(bert):
    """The whole model traced by torch's compiler; a backend that compiles nothing keeps the test short."""
    model = SentenceTransformer(modules=[tiny("bert", bert), Pooling(32)], device="cpu")
    features = [pack(_ids(lengths, seed)) for seed, lengths in enumerate([LENGTHS, [4, 4, 9], [2, 40, 7, 7]])]
    wanted = [model(part)["sentence_embedding"] for part in features]
    compiled = torch.compile(model, backend="eager", dynamic=True)
    for part, embeddings in zip(features, wanted, strict=True):
        torch.testing.assert_close(compiled(part)["sentence_embedding"], embeddings)


def test_what_is_saved_does_not_name_our_attention(bert, tmp_path):
    model = SentenceTransformer(bert, device="cpu")
    model.encode("the game")
    assert model.transformer.auto_model.config._attn_implementation == "tercet_packed"
    model.save_pretrained(tmp_path / "saved")
    assert "tercet_packed" not in (tmp_path / "saved/config.json").read_text()
    loaded = SentenceTransformer(tmp_path / "saved", device="cpu")
    np.testing.assert_allclose(loaded.encode("the game"), model.encode("the game"), atol=1e-6)
