"""Attention by one kernel: the reference on a CPU, the kernels of torch on a GPU, and the choice of a kernel."""

import numpy as np
import pytest
import torch

from tercet._events import WarningKind, collect_warnings
from tercet.encoder.packing import attention, varlen, varlen_kernels
from tercet.encoder.packing.attention import PackedLayout
from tercet.encoder.packing.layers import find_layers
from tercet.encoder.packing.packing import Packing, pack
from tercet.encoder.packing.varlen_check import find_problem, reference_attention
from tercet.encoder.packing.varlen_kernels import KERNELS, Kernel, Request, Sentences
from tests.encoder.tiny import LENGTHS, gradients_of, run_packed, run_padded, runs_packed, tiny, token_ids

KINDS = ["bert", "mpnet", "roberta", "modernbert"]
REFERENCE = Kernel("reference", reference_attention, lambda request: True)
CPU = torch.device("cpu")


def request_of(dtype=torch.float64, *, dropout=False, window=False, device=CPU, head_dim=8) -> Request:
    return Request(torch.device(device), dtype, 4, head_dim, dropout, window)


@pytest.fixture
def kernels(monkeypatch):
    """Run the reference as the kernel of a CPU; return the requests that it got."""
    seen = []

    def supports(request: Request) -> bool:
        seen.append(request)
        return True

    monkeypatch.setattr(varlen, "DEVICE_TYPES", {"cpu"})
    monkeypatch.setattr(varlen, "KERNELS", (Kernel("reference", reference_attention, supports),))
    monkeypatch.setattr(varlen, "_chosen", {})
    return seen


@pytest.mark.parametrize("kind", KINDS)
def test_one_call_for_all_lengths_gives_values_and_gradients_of_the_padded_batch(kind, bert, kernels):
    transformer, ids = tiny(kind, bert), token_ids([*LENGTHS, 0])
    packed, padded = run_packed(transformer, ids)[:-1], run_padded(transformer, ids)[:-1]
    assert runs_packed(transformer)
    assert [request.has_window for request in kernels] == {"mpnet": [], "modernbert": [False, True]}.get(kind, [False])
    for ours, theirs in zip(packed, padded, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-9)
    ours, theirs = gradients_of(transformer, packed), gradients_of(transformer, padded)
    for name, gradient in theirs.items():
        torch.testing.assert_close(ours[name], gradient, rtol=1e-7, atol=1e-9, msg=name)


@pytest.mark.parametrize("kind", KINDS)
def test_one_bucket_gives_values_and_gradients_of_the_padded_batch(kind, bert, monkeypatch):
    """As on other devices than a CPU."""
    monkeypatch.setattr(attention, "SEVERAL_BUCKETS", set())
    (bucket,) = PackedLayout(pack(token_ids())["packing"], CPU).buckets
    assert bucket.shape == (3, 64)
    transformer, ids = tiny(kind, bert), token_ids()
    packed, padded = run_packed(transformer, ids), run_padded(transformer, ids)
    assert runs_packed(transformer)
    for ours, theirs in zip(packed, padded, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-9)
    ours, theirs = gradients_of(transformer, packed), gradients_of(transformer, padded)
    for name, gradient in theirs.items():
        torch.testing.assert_close(ours[name], gradient, rtol=1e-7, atol=1e-9, msg=name)


@pytest.mark.parametrize("window", [False, True])
def test_the_reference_passes_the_test_of_kernels(window):
    for dtype in (torch.float64, torch.float32, torch.bfloat16):
        assert find_problem(REFERENCE, request_of(dtype, dropout=True, window=window)) is None


def other_sentences(q, k, v, sentences, *options):
    ends = torch.tensor([0, len(q)], dtype=torch.int32)
    return reference_attention(q, k, v, Sentences(ends, len(q)), *options)


def without_window(q, k, v, sentences, dropout_p, scale, window):
    return reference_attention(q, k, v, sentences, dropout_p, scale)


def without_dropout(q, k, v, sentences, dropout_p, scale, window):
    return reference_attention(q, k, v, sentences, 0.0, scale, window)


def less_dropout(q, k, v, sentences, dropout_p, scale, window):
    output = reference_attention(q, k, v, sentences, dropout_p / 2, scale, window)
    return output * (1 - dropout_p / 2) / (1 - dropout_p) if dropout_p else output


def wrong_gradient(q, k, v, sentences, *options):
    return reference_attention(q, k.detach() + 0 * k, v, sentences, *options)


def new_masks(q, k, v, sentences, *options):
    first, second = (reference_attention(q, k, v, sentences, *options) for _ in range(2))
    return first.detach() + second - second.detach()


def missing(*_):
    return torch.ops.aten._attention_of_another_version()


@pytest.mark.parametrize(
    ("run", "message"),
    [
        (other_sentences, "differs from the padded computation"),
        (without_window, "differs from the padded computation"),
        (without_dropout, "another factor"),
        (less_dropout, "keeps 0.8"),
        (wrong_gradient, "differs from the padded computation"),
        (new_masks, "other dropout masks in the backward pass"),
        (missing, "fails (AttributeError"),
    ],
)
def test_a_wrong_kernel_is_replaced_with_a_warning(run, message, kernels, monkeypatch, caplog):
    request = request_of(dropout=True, window=True)
    before = torch.get_rng_state()
    problem = find_problem(Kernel("wrong", run, lambda _: True), request)
    assert problem is not None
    assert message in problem
    assert torch.equal(torch.get_rng_state(), before)
    monkeypatch.setattr(varlen, "KERNELS", (Kernel("wrong", run, lambda _: True), REFERENCE))
    assert varlen.choose(request) is REFERENCE
    assert f"runs in torch's reference, because on this GPU torch's wrong {problem}" in caplog.text
    monkeypatch.setattr(varlen, "KERNELS", (Kernel("wrong", run, lambda _: True),))
    varlen._chosen.clear()
    with collect_warnings() as warnings:
        assert varlen.choose(request) is varlen.choose(request) is None
    (warning,) = warnings
    assert warning.kind == WarningKind.PACKING_DISABLED
    assert "rows with a mask" in warning.message
    assert message in warning.message


def test_the_kernels_of_torch_accept_our_arguments():
    """On the meta device nothing is computed, but torch checks the arguments and the shapes."""
    sentences = Sentences(torch.empty(6, device="meta", dtype=torch.int32), 40)
    for kernel, window in zip(KERNELS[:2], (3, None), strict=True):
        q, k, v = (torch.empty(100, 4, 32, device="meta", dtype=torch.bfloat16, requires_grad=True) for _ in range(3))
        output = kernel.run(q, k, v, sentences, 0.1, 0.5, window)
        assert output.shape == q.shape
        assert output.requires_grad


def test_requests_that_a_kernel_cannot_serve(monkeypatch):
    def chosen(capability, **options):
        monkeypatch.setattr(varlen_kernels, "_capability", lambda device: capability)
        request = request_of(**options, device="cuda")
        return [kernel.name.strip("_").split("_")[0] for kernel in KERNELS if kernel.supports(request)]

    assert chosen((9, 0), dtype=torch.bfloat16) == ["flash", "efficient", "varlen"]
    assert chosen((9, 0), dtype=torch.bfloat16, dropout=True) == ["flash", "efficient"]
    assert chosen((9, 0), dtype=torch.bfloat16, window=True) == ["flash", "varlen"]
    assert chosen((9, 0), dtype=torch.float32, dropout=True) == ["efficient"]
    assert chosen((9, 0), dtype=torch.float32, window=True) == []
    assert chosen((7, 5), dtype=torch.float16) == ["efficient"]
    assert chosen((7, 5), dtype=torch.bfloat16) == []
    assert chosen((9, 0), dtype=torch.float16, head_dim=12) == ["efficient"]
    assert chosen((9, 0), dtype=torch.float64) == []


def test_a_row_is_copied_to_a_device_once():
    packing = Packing(lengths=np.array([0, 2, 3]), sort_order=np.array([2, 0, 1]))
    on_cpu = packing.on(CPU)
    assert packing.on(CPU) is on_cpu
    assert on_cpu.sentences.cu_seqlens.tolist() == [0, 2, 5]
    assert on_cpu.sentences.cu_seqlens.dtype == torch.int32
    assert on_cpu.positions.tolist() == [0, 1, 0, 1, 2]
    assert on_cpu.inverse_order.tolist() == [1, 2, 0]


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("window", [False, True])
def test_a_kernel_of_the_gpu_passes(dtype, window):
    for head_dim in (32, 64):
        request = request_of(dtype, dropout=True, window=window, device="cuda", head_dim=head_dim)
        supported = [kernel for kernel in KERNELS if kernel.supports(request)]
        assert supported or (dtype == torch.float32 and window)
        assert [find_problem(kernel, request) for kernel in supported] == [None] * len(supported)


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("kind", KINDS)
def test_a_packed_step_on_a_gpu_errs_no_more_than_the_padded_one(kind, dtype, bert):
    """Hidden states and gradients, against the padded batch in float64 on the CPU."""
    exact, ids = tiny(kind, bert), token_ids()
    expected = gradients_of(exact, run_padded(exact, ids))
    hidden = torch.cat([*run_padded(exact, ids)]).detach()
    errors = {}
    for packing in (True, False):
        transformer = tiny(kind, bert).to("cuda", dtype)
        transformer.packing = packing
        features = pack(ids)
        states = transformer({**features, "input_ids": features["input_ids"].cuda()})["token_embeddings"]
        assert not packing or transformer._runs_packed(torch.device("cuda"), find_layers(transformer.auto_model))
        lengths, order = features["packing"].lengths.tolist(), features["packing"].inverse_order
        parts = [states.double().cpu().split(lengths)[index] for index in order]
        weight = torch.randn(states.shape[1], generator=torch.Generator().manual_seed(1), dtype=torch.float64)
        sum((part.tanh() @ weight).mean() for part in parts).backward()
        gradients = {
            name: value.grad.double().cpu() for name, value in transformer.named_parameters() if value.grad is not None
        }
        errors[packing] = [float((torch.cat(parts).detach() - hidden).abs().mean())]
        # The bias of the keys has no gradient, because a constant does not change a softmax: it shows rounding alone.
        errors[packing] += [
            float((gradients[name] - value).norm() / value.norm())
            for name, value in expected.items()
            if value.norm() > 1e-9
        ]
    assert errors[True][0] <= 1.3 * errors[False][0] + 1e-6
    assert sum(errors[True][1:]) <= 1.3 * sum(errors[False][1:]) + 1e-3
