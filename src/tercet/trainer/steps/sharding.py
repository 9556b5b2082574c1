"""Shard a model over the processes of a training (FSDP, `fully_shard` of torch).

Each process keeps an equal shard of every weight, of its gradient and of the state of the optimizer. The layers of the
encoder gather their weights for their forward and backward pass, one after the other.

`fully_shard` changes the class, the hooks and the parameters of a module. `Sharding` keeps them for the sharded and for
the gathered model and switches between them, because a sharded model can only run in all processes at once: no process
could save it, and processes could not evaluate different numbers of batches.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from typing import Any

from torch import Tensor, nn
from torch.distributed._composable_state import _module_state_mapping as _FSDP_STATES
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor

from tercet._distributed import world_size
from tercet._gather import broadcast_from_first
from tercet.encoder.modules.packed_rows import PackedRows
from tercet.errors import DataError, listed

# In `_FSDP_STATES` torch finds the state of FSDP of a module. `fully_shard` refuses modules that are in it. So `gather`
# takes its modules out; then another trainer can shard the model.

# The attribute of a sharded model that holds its `Sharding`.
_ATTRIBUTE = "_sharding"
# The dictionaries of a module that hold its parameters and its hooks.
_STATE_DICTS = ("_parameters", *(name for name in vars(nn.Module()) if "_hooks" in name))


class Sharding:
    """A model whose weights are sharded over the processes. All processes must call each method.

    The layers that the encoder of `transformers` names in `_no_split_modules` are sharded one by one. The rest of the
    model, or an encoder that names none, is gathered for the whole step.

    Hooks that are registered while the model is sharded are lost when it is gathered, and the other way round.

    Args:
        model: the model, equal in all processes. It is sharded in place.
        keeps_gathered: whether a step gathers all layers once, in its first forward pass. This takes more memory, and
            lets the processes run different numbers of passes in a step (see `gradient_cache.py`).

    Attributes:
        model: the model.
        is_sharded: whether the model is sharded now.

    Raises:
        DataError: the model has a weight without dimensions, has weights of several dtypes, or is already sharded.
    """

    def __init__(self, model: nn.Module, *, keeps_gathered: bool) -> None:
        check_not_sharded(model)
        _check_shardable(model)
        self.model = model
        for tensor in chain(model.parameters(), model.buffers()):
            broadcast_from_first(tensor.detach())
        self._gathered = self._module_states()
        attributes = {module: set(vars(module)) for module in model.modules()}
        self._apply_fully_shard(keeps_gathered=keeps_gathered)
        setattr(model, _ATTRIBUTE, self)
        # The attributes that only a sharded module has, by name.
        self._fsdp_attributes = {
            module: {name: value for name, value in vars(module).items() if name not in attributes[module]}
            for module in model.modules()
        }
        self._fsdp_states = {module: _FSDP_STATES[module] for module in model.modules() if module in _FSDP_STATES}
        self._sharded = self._module_states()
        self._free_gathered()
        self.is_sharded = True

    def _apply_fully_shard(self, *, keeps_gathered: bool) -> None:
        mesh = init_device_mesh(next(self.model.parameters()).device.type, (world_size(),))
        # The embeddings of tokens are a view of a packed row. Nothing writes into them.
        warnings.filterwarnings("ignore", message="FSDP2-wrapped module .* returned a view", category=UserWarning)
        layers = _layers(self.model)
        for module in layers:
            fully_shard(module, mesh=mesh, reshard_after_forward=not keeps_gathered)
        fully_shard(self.model, mesh=mesh, reshard_after_forward=False)
        if layers:
            for module in self.model.modules():
                if isinstance(module, PackedRows):
                    module.pads_to_longest = True

    def _module_states(self) -> dict[nn.Module, "_ModuleState"]:
        return {module: _ModuleState(module) for module in self.model.modules()}

    def gather(self) -> None:
        """Gather all weights in each process. The model gets back its own class, hooks and parameters."""
        for module in self.model.modules():
            if isinstance(module, FSDPModule):
                module.reshard()
        # torch adds hooks in the first forward pass.
        self._sharded = self._module_states()
        for gathered, shard in self._pairs():
            detached: Any = shard.detach()
            gathered.data = detached.full_tensor()
        for module, state in self._gathered.items():
            state.restore(module)
            for name in self._fsdp_attributes[module]:
                vars(module).pop(name, None)
        for module in self._fsdp_states:
            _FSDP_STATES.pop(module, None)
        self.is_sharded = False

    def shard(self) -> None:
        """Shard the model again, with the weights that it has now."""
        check_not_sharded(self.model)
        for gathered, shard in self._pairs():
            shard.to_local().data.copy_(shard_of(gathered.detach(), shard).to_local())
        for module, state in self._sharded.items():
            state.restore(module)
            vars(module).update(self._fsdp_attributes[module])
        _FSDP_STATES.update(self._fsdp_states)
        self._free_gathered()
        self.is_sharded = True

    def _free_gathered(self) -> None:
        for gathered, _ in self._pairs():
            gathered.data = gathered.data.new_empty(0)

    def _pairs(self) -> list[tuple[nn.Parameter, DTensor]]:
        """Return each gathered parameter with its shard. A parameter in several places is returned once."""
        pairs: dict[int, Any] = {}
        for module, state in self._gathered.items():
            for name, gathered in state.parameters.items():
                if gathered is not None:
                    pairs[id(gathered)] = (gathered, self._sharded[module].parameters[name])
        return list(pairs.values())


@contextmanager
def gathered_model(model: nn.Module) -> Iterator[None]:
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
    """Accumulate gradients in the `with` block in each process alone. The next backward pass after it sums them.

    This saves the communication of all chunks of a step but the last. It works for FSDP and DDP; for another model the
    block does nothing.
    """
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


def check_not_sharded(model: nn.Module) -> None:
    """Raise `DataError` if an earlier training has left the model sharded."""
    if _ATTRIBUTE in vars(model):
        raise DataError(
            "the model is still sharded, because an earlier training with fsdp=True failed; start the training again "
            "in new processes, for example from its last checkpoint"
        )


def shard_of(value: Tensor, parameter: DTensor) -> DTensor:
    """Return the shard of a tensor, which has as many numbers as a sharded parameter, that belongs to this process."""
    return distribute_tensor(
        value.to(parameter.device), parameter.device_mesh, parameter.placements, src_data_rank=None
    )


class _ModuleState:
    """A copy of the class, the hooks and the parameters that a module has now."""

    def __init__(self, module: nn.Module) -> None:
        self._kind = type(module)
        self._dicts = {name: dict(vars(module)[name]) for name in _STATE_DICTS}

    @property
    def parameters(self) -> dict[str, Any]:
        """The parameters of the module itself, by name."""
        return self._dicts["_parameters"]

    def restore(self, module: nn.Module) -> None:
        """Give the module this class, these hooks and these parameters."""
        module.__class__ = self._kind
        for name, saved in self._dicts.items():
            current = vars(module)[name]  # The handles of hooks refer to this dictionary.
            current.clear()
            current.update(saved)


def _layers(model: nn.Module) -> list[nn.Module]:
    """Return the modules that `transformers` never splits, inner ones first."""
    names = {name for module in model.modules() for name in getattr(module, "_no_split_modules", None) or ()}
    found = [module for module in model.modules() if type(module).__name__ in names]
    return [module for module in reversed(found) if next(module.parameters(), None) is not None]


def _check_shardable(model: nn.Module) -> None:
    """Raise `DataError` for weights that `fully_shard` refuses later, in other words."""
    scalars = [name for name, value in model.named_parameters() if value.ndim == 0]
    if scalars:
        raise DataError(
            f"fsdp cannot shard the weight {scalars[0]}, which is a single number without a dimension; give it the "
            "shape (1,), or leave out fsdp=True"
        )
    dtypes = {str(value.dtype) for value in model.parameters() if value.is_floating_point()}
    if len(dtypes) > 1:
        raise DataError(
            f"fsdp needs weights of one dtype, but the model has {listed(sorted(dtypes))}; convert it, for example "
            "with model.float(), or leave out fsdp=True"
        )
