"""The parameters and buffers of a custom loss: found, trained with the model, saved in checkpoints.

The loss may hold a model, as the losses of sentence-transformers do. That model is not a part of the loss: the trainer
trains and saves its own model.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import TrainerCallback

from tercet._distributed import world_size
from tercet._events import WarningKind, emit_warning
from tercet.encoder.sentence_transformer import SentenceTransformer
from tercet.errors import DataError, listed

FILE = "loss.safetensors"


def loss_parameters(loss: nn.Module) -> dict[str, nn.Parameter]:
    """Return the parameters of the loss that require a gradient, by name, without those of a model that it holds."""
    return {name: value for name, value in _own(loss, loss.named_parameters()) if value.requires_grad}


def save_loss(loss: nn.Module, folder: Path) -> None:
    """Write the parameters and buffers of the loss into a checkpoint. Write no file if the loss has none."""
    state = {name: value.detach().cpu().contiguous().clone() for name, value in _state(loss).items()}
    if state:
        save_file(state, folder / FILE)


@torch.no_grad()
def load_loss(loss: nn.Module, folder: Path) -> None:
    """Load the parameters and buffers of the loss from a checkpoint.

    Raises:
        DataError: the loss has other parameters than the loss that the checkpoint was written with.
    """
    state, saved = _state(loss), load_file(folder / FILE) if (folder / FILE).exists() else {}
    if _shapes(state) != _shapes(saved):
        raise DataError(
            f"the loss of {folder} has the parameters {listed(saved) or 'none'}, but this loss has "
            f"{listed(state) or 'none'}, or their shapes differ; pass the loss of the run that wrote the checkpoint"
        )
    for name, value in state.items():
        value.copy_(saved[name])


def add_to_optimizer(loss: nn.Module, optimizer: torch.optim.Optimizer, weight_decay: float) -> None:
    """Add the parameters of the loss to the optimizer, unless it has them already. Biases get no weight decay."""
    known = {id(value) for group in optimizer.param_groups for value in group["params"]}
    new = {name: value for name, value in loss_parameters(loss).items() if id(value) not in known}
    groups = {weight_decay: [], 0.0: []} if weight_decay else {0.0: []}  # type: dict[float, list[nn.Parameter]]
    for name, value in new.items():
        groups[0.0 if "bias" in name else weight_decay].append(value)
    for decay, values in groups.items():
        if values:
            optimizer.add_param_group({"params": values, "weight_decay": decay})


class ClearLossGradients(TrainerCallback):
    """A callback that removes the gradients of the loss after each step; the trainer does so for the model only."""

    def __init__(self, trainer: Any) -> None:
        self._trainer = trainer

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Remove gradients that an earlier run has left."""
        self._clear()

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Remove the gradients of the step."""
        self._clear()

    def _clear(self) -> None:
        for value in loss_parameters(self._trainer.loss).values():
            value.grad = None


def _state(loss: nn.Module) -> dict[str, Tensor]:
    """Return the parameters and the saved buffers of the loss by name, without those of a model that it holds."""
    return dict(_own(loss, loss.state_dict(keep_vars=True).items()))


def _own(loss: nn.Module, named: Any) -> Iterator[tuple[str, Any]]:
    models = [
        f"{name}."
        for name, module in loss.named_modules()
        if name and (isinstance(module, SentenceTransformer) or name.rpartition(".")[2] == "model")
    ]
    return ((name, value) for name, value in named if not any(name.startswith(prefix) for prefix in models))


def _shapes(state: dict[str, Tensor]) -> dict[str, torch.Size]:
    return {name: value.shape for name, value in state.items()}


def check_loss_parameters(loss: nn.Module, optimizer: torch.optim.Optimizer | None) -> None:
    """Check that the parameters of the loss itself can be trained.

    Raises:
        DataError: several processes train, or the user's optimizer does not have the parameters.
    """
    own = loss_parameters(loss)
    if own and world_size() > 1:
        raise DataError(
            f"the loss has parameters of its own ({listed(own)}), which cannot be trained by several processes; train "
            "in one process, or freeze them with requires_grad_(False)"
        )
    if optimizer is None:
        return
    known = {id(value) for group in optimizer.param_groups for value in group["params"]}
    missing = [name for name, value in own.items() if id(value) not in known]
    if missing:
        raise DataError(
            f"the optimizer does not have the parameters {listed(missing)} of the loss; create it with "
            "[*model.parameters(), *loss.parameters()], or freeze them with requires_grad_(False)"
        )


def warn_of_untrained_parameters(loss: nn.Module) -> None:
    """Warn if the first step gave a parameter of the loss no gradient."""
    untrained = [name for name, value in loss_parameters(loss).items() if value.grad is None]
    if untrained:
        emit_warning(
            WarningKind.UNTRAINED_PARAMETERS,
            f"the parameters {listed(untrained)} of the loss got no gradient in the first step, so they are not "
            "trained. A miner computes without autograd: use parameters outside of the miner, or freeze them with "
            "requires_grad_(False)",
        )
