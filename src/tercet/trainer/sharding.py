"""Divide a model among the processes of a training (FSDP, `fully_shard` of torch).

Each process keeps an equal part of every weight, of its gradient and of the state of the optimizer. The layers of the
encoder gather their weights for their forward and backward pass, one after the other.

`fully_shard` changes the class, the hooks and the parameters of a module. `Sharding` keeps both forms of each module
and switches between them, because a sharded model can only run in all processes at once: no process could save it,
and processes could not evaluate different numbers of batches.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from typing import Any

from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor

from tercet._distributed import world_size
from tercet._gather import broadcast_from_first
from tercet.encoder.modules.packed_rows import PackedRows
from tercet.errors import DataError, listed

# The attribute of a sharded model that holds its `Sharding`.
_ATTRIBUTE = "_sharding"
# The dictionaries of a module that hold its parameters and its hooks.
_TABLES = ("_parameters", *(name for name in vars(nn.Module()) if "_hooks" in name))


class Sharding:
    """A model whose weights are divided among the processes. All processes must call each method.

    The layers that the encoder of `transformers` names in `_no_split_modules` are divided one by one. The rest of the
    model, or an encoder that names none, is gathered for the whole step.

    Args:
        model: the model, equal in all processes. It is sharded in place.
        keeps_gathered: whether a step gathers all layers once, in its first forward pass. This takes more memory, and
            lets the processes run different numbers of passes in a step (see `gradient_cache.py`).

    Attributes:
        model: the model.
        is_sharded: whether the model is divided now.

    Raises:
        DataError: the model has a weight without dimensions, or weights of several dtypes.
    """

    def __init__(self, model: nn.Module, *, keeps_gathered: bool) -> None:
        _check_shardable(model)
        self.model = model
        for tensor in chain(model.parameters(), model.buffers()):
            broadcast_from_first(tensor.detach())
        self._whole = self._forms()
        names = {module: set(vars(module)) for module in model.modules()}
        mesh = init_device_mesh(next(model.parameters()).device.type, (world_size(),))
        # The embeddings of tokens are a view of a packed row. Nothing writes into them.
        warnings.filterwarnings("ignore", message="FSDP2-wrapped module .* returned a view", category=UserWarning)
        layers = _layers(model)
        for module in layers:
            fully_shard(module, mesh=mesh, reshard_after_forward=not keeps_gathered)
        fully_shard(model, mesh=mesh, reshard_after_forward=False)
        if layers:
            for module in model.modules():
                if isinstance(module, PackedRows):
                    module.pads_to_longest = True
        setattr(model, _ATTRIBUTE, self)
        # What only a sharded module has, by name: the state of FSDP, and the attributes above.
        self._extras = {
            module: {name: value for name, value in vars(module).items() if name not in names[module]}
            for module in model.modules()
        }
        self._sharded = self._forms()
        self._release_whole()
        self.is_sharded = True

    def _forms(self) -> dict[nn.Module, "_Form"]:
        return {module: _Form(module) for module in self.model.modules()}

    def gather(self) -> None:
        """Make the model whole in each process, with its own class, hooks and parameters."""
        for module in self.model.modules():
            if isinstance(module, FSDPModule):
                module.reshard()
        # torch adds hooks in the first forward pass.
        self._sharded = self._forms()
        for whole, part in self._pairs():
            detached: Any = part.detach()
            whole.data = detached.full_tensor()
        for module, form in self._whole.items():
            form.install(module)
            for name in self._extras[module]:
                vars(module).pop(name, None)
        self.is_sharded = False

    def shard(self) -> None:
        """Divide the model again, with the weights that it has now."""
        for whole, part in self._pairs():
            part.to_local().data.copy_(part_of(whole.detach(), part).to_local())
        for module, form in self._sharded.items():
            form.install(module)
            vars(module).update(self._extras[module])
        self._release_whole()
        self.is_sharded = True

    def _release_whole(self) -> None:
        for whole, _ in self._pairs():
            whole.data = whole.data.new_empty(0)

    def _pairs(self) -> list[tuple[nn.Parameter, DTensor]]:
        """Return each parameter of the whole model with its part. A parameter in several places is returned once."""
        pairs: dict[int, Any] = {}
        for module, form in self._whole.items():
            for name, whole in form.parameters.items():
                if whole is not None:
                    pairs[id(whole)] = (whole, self._sharded[module].parameters[name])
        return list(pairs.values())


@contextmanager
def whole_model(model: nn.Module) -> Iterator[None]:
    """Gather a sharded model while the block runs, in each process, so that it can be saved, loaded or evaluated.

    All processes must enter the block. It does nothing if the model is not sharded.
    """
    sharding: Sharding | None = vars(model).get(_ATTRIBUTE)
    if sharding is None:
        yield
        return
    sharding.gather()
    try:
        yield
    finally:
        sharding.shard()


@contextmanager
def without_reduction(model: nn.Module) -> Iterator[None]:
    """In the block, backward passes add to the gradients of this process, without those of the others."""
    if isinstance(model, FSDPModule):
        model.set_requires_gradient_sync(False)
        model.set_reshard_after_backward(False)
        try:
            yield
        finally:
            model.set_requires_gradient_sync(True)
            model.set_reshard_after_backward(True)
    elif hasattr(model, "no_sync"):
        with model.no_sync():  # type: ignore[operator]
            yield
    else:
        yield


def part_of(value: Tensor, parameter: DTensor) -> DTensor:
    """Return the part of a tensor of the size of a parameter, divided as the parameter is."""
    return distribute_tensor(
        value.to(parameter.device), parameter.device_mesh, parameter.placements, src_data_rank=None
    )


class _Form:
    """The class, the hooks and the parameters of a module, as they are now."""

    def __init__(self, module: nn.Module) -> None:
        self._kind = type(module)
        self._tables = {name: dict(vars(module)[name]) for name in _TABLES}

    @property
    def parameters(self) -> dict[str, Any]:
        """The parameters of the module itself, by name."""
        return self._tables["_parameters"]

    def install(self, module: nn.Module) -> None:
        """Give the module this form."""
        module.__class__ = self._kind
        for name, table in self._tables.items():
            current = vars(module)[name]  # The handles of hooks refer to this dictionary.
            current.clear()
            current.update(table)


def _layers(model: nn.Module) -> list[nn.Module]:
    """Return the modules that `transformers` never divides, inner ones first."""
    names = {name for module in model.modules() for name in getattr(module, "_no_split_modules", None) or ()}
    found = [module for module in model.modules() if type(module).__name__ in names]
    return [module for module in reversed(found) if next(module.parameters(), None) is not None]


def _check_shardable(model: nn.Module) -> None:
    """Raise `DataError` for weights that `fully_shard` refuses later, in other words."""
    scalars = [name for name, value in model.named_parameters() if value.ndim == 0]
    if scalars:
        raise DataError(
            f"fsdp cannot divide the weight {scalars[0]}, which is a single number without a dimension; give it the "
            "shape (1,), or leave out fsdp=True"
        )
    dtypes = {str(value.dtype) for value in model.parameters() if value.is_floating_point()}
    if len(dtypes) > 1:
        raise DataError(
            f"fsdp needs weights of one dtype, but the model has {listed(sorted(dtypes))}; convert it, for example "
            "with model.float(), or leave out fsdp=True"
        )
