"""Layers with gradients written by hand: against the modules of transformers, and which models run them."""

import copy
import math

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from tercet.encoder.packing import layer_functions, layers
from tercet.encoder.packing.layers import find_layers, run_layers
from tests.encoder.tiny import gradients_of, run_packed, runs_packed, tiny, token_ids

KINDS = ["bert", "roberta", "xlm-roberta", "camembert", "mpnet", "distilbert"]


@pytest.fixture(params=["three products", "one product", "unused rows"])
def products(request, monkeypatch):
    """As on a CPU, as on a GPU, and as on a CPU in bfloat16."""
    if request.param == "one product":
        monkeypatch.setattr(layer_functions, "SEPARATE_PRODUCTS", set())
    if request.param == "unused rows":
        monkeypatch.setattr(layers, "_COMPILED_PRODUCTS", {("cpu", torch.float64), ("cpu", torch.float32)})


@pytest.fixture
def modules(monkeypatch):
    """A function that runs the modules of transformers on the packed row."""

    def run(transformer, ids):
        with monkeypatch.context() as patch:
            patch.setattr(layers, "_NAMES", {})
            return run_packed(transformer, ids)

    return run


def loss_gradients(transformer, hidden):
    return gradients_of(transformer, hidden), [part.detach() for part in hidden]


@pytest.mark.parametrize("kind", KINDS)
def test_values_and_gradients_equal_those_of_the_modules(kind, bert, products, modules):
    transformer, ids = tiny(kind, bert), token_ids()
    assert runs_packed(transformer)
    assert find_layers(transformer.auto_model) is not None
    expected, states = loss_gradients(transformer, modules(transformer, ids))
    gradients, ours = loss_gradients(transformer, run_packed(transformer, ids))
    torch.testing.assert_close(torch.cat(ours), torch.cat(states), rtol=1e-12, atol=1e-12)
    assert gradients.keys() == expected.keys()
    for name, gradient in expected.items():
        torch.testing.assert_close(gradients[name], gradient, rtol=1e-9, atol=1e-11, msg=name)
    with torch.no_grad():
        torch.testing.assert_close(torch.cat(run_packed(transformer, ids)), torch.cat(states), rtol=1e-12, atol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("dropout", [0.0, 0.3, 1.0])
def test_the_gradient_of_the_functions(dropout, products):
    """gradcheck in float64, with the same dropout in each evaluation."""
    settings = layer_functions.OutputSettings(
        attention_dropout=dropout, output_dropout=dropout, attention_eps=1e-5, output_eps=1e-6, dtype=torch.float64
    )
    random = torch.Generator().manual_seed(0)
    sizes = [(4, 4), (4,), (4,), (4,), (6, 4), (6,), (4, 6), (4,), (4,), (4,)]
    attended, x, *parameters = (
        torch.randn(size, generator=random, dtype=torch.float64, requires_grad=True)
        for size in [(3, 4), (3, 4), *sizes]
    )

    def output(attended, x, *parameters):
        torch.manual_seed(1)
        return layer_functions.layer_output(attended, x, settings, parameters)

    def rows(x, *parameters):
        return tuple(layer_functions.query_key_value(x, parameters[:3], parameters[3:], torch.float64))

    assert torch.autograd.gradcheck(output, (attended, x, *parameters))
    weights = [torch.randn(2, 4, dtype=torch.float64, requires_grad=True) for _ in range(3)]
    biases = [torch.randn(2, dtype=torch.float64, requires_grad=True) for _ in range(3)]
    assert torch.autograd.gradcheck(rows, (x, *weights, *biases))


def test_a_kept_mask_is_used_in_both_passes(bert, modules):
    """With the seed of torch.nn.Dropout's masks the modules draw the same numbers in the same order on a CPU."""
    transformer, ids = tiny("bert", bert, dropout=0.3), token_ids()
    assert runs_packed(transformer)
    transformer.train()
    results = []
    for run in (run_packed, modules):
        torch.manual_seed(3)
        results.append(loss_gradients(transformer, run(transformer, ids)))
    torch.testing.assert_close(torch.cat(results[0][1]), torch.cat(results[1][1]), rtol=1e-9, atol=1e-9)
    for name, gradient in results[1][0].items():
        torch.testing.assert_close(results[0][0][name], gradient, rtol=1e-7, atol=1e-9, msg=name)


@pytest.mark.parametrize("frozen", ["encoder.layer.0", "query", "LayerNorm", "bias", "embeddings"])
def test_frozen_parameters_get_no_gradient(frozen, bert, products, modules):
    transformer, ids = tiny("bert", bert), token_ids()
    for name, parameter in transformer.named_parameters():
        parameter.requires_grad_(frozen not in name)
    expected, _ = loss_gradients(transformer, modules(transformer, ids))
    gradients, _ = loss_gradients(transformer, run_packed(transformer, ids))
    assert gradients.keys() == expected.keys()
    for name, gradient in expected.items():
        torch.testing.assert_close(gradients[name], gradient, rtol=1e-9, atol=1e-11, msg=name)


@pytest.mark.parametrize("kind", ["bert", "mpnet"])
def test_mixed_precision_errs_no_more_than_the_modules(kind, bert, products, modules):
    transformer, ids = tiny(kind, bert, dtype=torch.float32), token_ids()
    exact, states = loss_gradients(transformer, modules(transformer, ids))
    errors = []
    for run in (run_packed, modules):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            hidden = run(transformer, ids)
        gradients, values = loss_gradients(transformer, hidden)
        assert {gradient.dtype for gradient in gradients.values()} == {torch.float32}
        differences = [float((gradients[name] - value).norm() / (value.norm() + 1e-3)) for name, value in exact.items()]
        errors.append([float((torch.cat(values) - torch.cat(states)).abs().mean()), sum(differences)])
    assert errors[0][0] <= 1.3 * errors[1][0]
    assert errors[0][1] <= 1.3 * errors[1][1]


def changed(transformer, how):
    layer = transformer.auto_model.encoder.layer[1]
    if how == "hook":
        layer.output.dense.register_forward_hook(lambda *_: None)
    elif how == "activation":
        layer.intermediate.intermediate_act_fn = nn.ReLU()
    elif how == "subclass":
        layer.output.dense.__class__ = type("Quantized", (nn.Linear,), {})
    elif how == "no bias":
        layer.output.dense.bias = None
    elif how == "layer":
        layer.output.dense = nn.Sequential(layer.output.dense)
    elif how == "container":
        layer.attention.__class__ = type("Attention", (type(layer.attention),), {})
    elif how == "weight":
        layer.output.dense.weight = type("Quantized", (nn.Parameter,), {})(layer.output.dense.weight)
    elif how == "forward":
        layer.attention.forward = layer.attention.forward
    elif how == "checkpointing":
        transformer.auto_model.gradient_checkpointing_enable({"use_reentrant": False})
    elif how == "class":
        transformer.auto_model.__class__ = type("BertModel", (type(transformer.auto_model),), {})
    return transformer


CHANGES = [
    "hook", "layer", "container", "weight", "activation", "subclass", "no bias", "forward", "checkpointing", "class",
]  # fmt: skip


@pytest.mark.parametrize("how", CHANGES)
def test_a_changed_model_runs_its_own_modules(how, bert):
    transformer = tiny("bert", bert)
    assert find_layers(transformer.auto_model) is not None
    changed(transformer, how)
    assert find_layers(transformer.auto_model) is None
    assert runs_packed(transformer)
    assert run_packed(transformer, token_ids())[0].isfinite().all()


@pytest.mark.parametrize("change", ["more", "fewer", "another", "weights"])
def test_layers_that_change_after_the_first_call_are_noticed(change, bert, modules):
    transformer, ids = tiny("bert", bert), token_ids()
    run_packed(transformer, ids)
    layers_of_model = transformer.auto_model.encoder.layer
    if change == "more":
        layers_of_model.append(copy.deepcopy(layers_of_model[0]))
    elif change == "fewer":
        del layers_of_model[0]
    elif change == "another":
        layers_of_model[0].output.dense = nn.Linear(48, 32).double()
    else:
        layers_of_model[0].output.dense.weight = nn.Parameter(torch.randn(32, 48, dtype=torch.float64))
    assert len(find_layers(transformer.auto_model)) == len(layers_of_model)
    torch.testing.assert_close(torch.cat(run_packed(transformer, ids)), torch.cat(modules(transformer, ids)))


def test_an_attention_with_an_unknown_part_runs_itself(bert):
    """As that of a version of transformers with another computation."""
    transformer = tiny("bert", bert)
    transformer.auto_model.encoder.layer[1].attention.self.distance_embedding = nn.Embedding(4, 8)
    assert find_layers(transformer.auto_model) is None


def test_a_class_with_another_forward_runs_itself(bert, monkeypatch):
    transformer = tiny("bert", bert)
    kind, seen = type(transformer.auto_model.encoder.layer[0].output), []
    forward = kind.forward
    monkeypatch.setattr(kind, "forward", lambda self, *x: seen.append(1) or forward(self, *x))
    run_packed(transformer, token_ids())
    assert seen
    assert find_layers(transformer.auto_model) is None


def test_autocast_on_half_precision_weights_runs_the_modules(bert):
    transformer = tiny("bert", bert, dtype=torch.bfloat16)
    assert find_layers(transformer.auto_model) is not None
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert find_layers(transformer.auto_model) is None


def test_a_global_hook_is_called(bert):
    transformer, seen = tiny("bert", bert), []
    handle = nn.modules.module.register_module_forward_hook(lambda module, *_: seen.append(type(module).__name__))
    run_packed(transformer, token_ids())
    handle.remove()
    assert "BertLayer" in seen
    assert find_layers(transformer.auto_model) is not None


def test_a_copy_and_another_dtype_run(bert):
    transformer = tiny("bert", bert, dtype=torch.float32)
    expected = torch.cat(run_packed(transformer, token_ids()))
    for other in (copy.deepcopy(transformer), copy.deepcopy(transformer).to(torch.bfloat16)):
        states = torch.cat(run_packed(other, token_ids()))
        assert states.dtype == other.auto_model.dtype
        error = (states.float() - expected).abs().max() / expected.abs().max()
        assert error < (1e-6 if states.dtype == torch.float32 else 0.05)


class _Rows(TorchDispatchMode):
    """Collects the numbers of rows of the products of two matrices, and the lengths of their sums."""

    def __init__(self):
        super().__init__()
        self.numbers = set()

    def __torch_dispatch__(self, function, types, arguments=(), keywords=None):
        if (name := function.overloadpacket.__name__) in ("mm", "addmm"):
            first = arguments[0 if name == "mm" else 1]
            self.numbers |= {size for size in first.shape if size not in (32, 48)}  # the sizes of the tiny model
        return function(*arguments, **(keywords or {}))


def test_products_in_bfloat16_on_a_cpu_have_few_sizes(bert):
    transformer = tiny("bert", bert, dtype=torch.float32)
    run_packed(transformer, token_ids())  # the self-check
    with torch.autocast("cpu", dtype=torch.bfloat16):
        run_packed(transformer, token_ids())
        for lengths, multiple in (([5, 9], 8), ([20, 43], 8), ([30, 30, 10], 64), ([64, 64], 64)):
            with _Rows() as rows:
                loss_gradients(transformer, run_packed(transformer, token_ids(lengths)))
            assert rows.numbers == {multiple * math.ceil(sum(lengths) / multiple)}
    with _Rows() as rows:
        loss_gradients(transformer, run_packed(transformer, token_ids([5, 9])))
    assert rows.numbers == {14}


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
def test_gradients_are_finite_in_any_precision(dtype, bert):
    """Fresh biases are zero, so rows of zeros would have no variance in the norms."""
    transformer = tiny("bert", bert, dtype=torch.float32)
    for name, parameter in transformer.named_parameters():
        if name.endswith("bias"):
            parameter.data.zero_()
    layers = find_layers(transformer.auto_model.to(dtype))
    x = torch.randn(10, layers[0].out.weight.shape[0]).to(dtype).requires_grad_()
    run_layers(layers, x, lambda q, k, v, dropout: v.contiguous()).float().square().sum().backward()
    found = [x.grad, *(parameter.grad for layer in layers for parameter in layer.down.parameters())]
    assert all(bool(gradient.isfinite().all()) for gradient in found)


class _Launches(TorchDispatchMode):
    """Counts the operations that would launch a kernel on a GPU."""

    views = (
        "view", "t", "transpose", "expand", "unsqueeze", "squeeze", "slice", "split", "unbind", "detach", "select",
        "alias", "empty", "new_empty", "_unsafe_view", "as_strided", "permute", "split_with_sizes", "empty_like",
    )  # fmt: skip

    def __init__(self):
        super().__init__()
        self.number = 0

    def __torch_dispatch__(self, function, types, arguments=(), keywords=None):
        self.number += function.overloadpacket.__name__ not in self.views
        return function(*arguments, **(keywords or {}))


def test_mixed_precision_launches_fewer_kernels_than_the_modules(bert, modules, monkeypatch):
    monkeypatch.setattr(layer_functions, "SEPARATE_PRODUCTS", set())
    transformer, ids = tiny("bert", bert, dtype=torch.float32), token_ids([5, 5])
    numbers = []
    for run in (run_packed, modules):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            run(transformer, ids)  # the self-check
        with _Launches() as launches:
            with torch.autocast("cpu", dtype=torch.bfloat16):
                hidden = run(transformer, ids)
            torch.cat(hidden).sum().backward()
        numbers.append(launches.number)
    assert numbers[0] < 0.75 * numbers[1]
