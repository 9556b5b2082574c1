"""Losses of other shapes than those of Tercet: around another loss, with `forward` alone, or one for each data set."""

import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from torch import Tensor, nn

from tercet.encoder.sentence_transformer import SentenceTransformer
from tercet.errors import DataError, listed
from tercet.losses.modules import BaseLoss

# The names under which a loss holds the model.
_MODEL_NAMES = ("model", "sentence_embedder")


class LossBySet(nn.Module):
    """The losses of several data sets, by the name of the data set."""

    def __init__(self, losses: Mapping[str, nn.Module]) -> None:
        super().__init__()
        self._names = list(losses)
        self.losses = nn.ModuleList(losses.values())

    def __getitem__(self, name: str) -> nn.Module:
        return self.losses[self._names.index(name)]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def get_config_dict(self) -> dict[str, Any]:
        """Return the class and the settings of each loss."""
        return {name: {"loss": type(self[name]).__name__, **loss_settings(self[name])} for name in self}


def loss_function(loss: Any) -> Callable[[Any], nn.Module]:
    """Return a function from the model to the loss of a trainer.

    Args:
        loss: a loss, a class or function that makes one for a model, or a dictionary of these by data set.

    Raises:
        DataError: `loss` is missing, or is none of these.
    """
    if loss is None:
        raise DataError(
            "the trainer needs a loss; pass for example loss=losses.BatchSemiHardTripletLoss(model, margin=0.3)"
        )
    for one in loss.values() if isinstance(loss, dict) else [loss]:
        if not callable(one):  # A module or a class is callable.
            raise DataError(f"loss must be a loss, a class of losses or a dictionary of these, got {one!r}")

    def make(one: Any, model: Any) -> nn.Module:
        made: Any = one if isinstance(one, nn.Module) else one(model)
        if not isinstance(made, nn.Module):
            raise DataError(f"the function loss must return a loss, but it returned {made!r}")
        return made

    if isinstance(loss, dict):
        return lambda model: LossBySet({name: make(one, model) for name, one in loss.items()})
    return lambda model: make(loss, model)


def loss_settings(loss: nn.Module) -> dict[str, Any]:
    """Return the settings that a loss describes; `{}` if it describes none."""
    settings: Any = getattr(loss, "get_config_dict", dict)
    described: dict[str, Any] = settings()
    return described


def loss_setting_defaults(loss: nn.Module) -> dict[str, Any]:
    """Return the defaults of the arguments of a loss and of the losses within it, as nested as `loss_settings`."""
    if isinstance(loss, LossBySet):
        return {name: loss_setting_defaults(loss[name]) for name in loss}
    inner = getattr(loss, "loss", None)
    found = loss_setting_defaults(inner) if isinstance(inner, nn.Module) else {}
    arguments = inspect.signature(type(loss)).parameters.values()
    return found | {one.name: one.default for one in arguments if one.default is not one.empty}


def loss_of_set(loss: nn.Module, name: str | None) -> nn.Module:
    """Return the loss of a data set.

    Raises:
        DataError: there is a loss for each data set, but none with this name.
    """
    if not isinstance(loss, LossBySet):
        return loss
    if name not in list(loss):
        what = "a data set without a name" if name is None else f"the data set {name!r}"
        raise DataError(
            f"there is no loss for {what}, only for {listed(loss)}; pass a dictionary of data sets with these names"
        )
    return loss[name]


def set_losses(loss: nn.Module) -> list[nn.Module]:
    """Return the loss of each data set, or the only loss."""
    return list(loss.losses) if isinstance(loss, LossBySet) else [loss]


def losses_within(loss: nn.Module) -> Iterator[nn.Module]:
    """Yield a loss, then the one that it holds as `loss`, as a Matryoshka loss does, and so on."""
    yield loss
    inner = getattr(loss, "loss", None)
    if isinstance(inner, nn.Module):
        yield from losses_within(inner)


def innermost(loss: nn.Module) -> nn.Module:
    """Return the last of `losses_within`."""
    return list(losses_within(loss))[-1]


def takes_triplets(loss: nn.Module, default: bool = False) -> bool:
    """Return whether a loss takes given triplets; `default` if the loss does not state it."""
    return bool(getattr(innermost(loss), "takes_triplets", default))


def takes_embeddings(loss: nn.Module) -> bool:
    """Return whether the trainer calls `compute_loss_from_embeddings`; if not, it calls `forward`.

    It calls the method that the most derived class defines. So a subclass that overrides `forward` alone is used as in
    sentence-transformers.
    """
    for kind in type(loss).__mro__:
        if "compute_loss_from_embeddings" in vars(kind):
            return True
        if "forward" in vars(kind):
            return False
    return hasattr(loss, "compute_loss_from_embeddings")


def check_losses(loss: nn.Module, *, mini_batch_tokens: Any, cross_batch_memory: Any, neighbor_labels: Any) -> None:
    """Check that the arguments that need the embeddings of a batch are used with losses that take embeddings.

    Raises:
        DataError: such an argument is set, but a loss has `forward` alone.
    """
    arguments = {
        "mini_batch_tokens": mini_batch_tokens,
        "cross_batch_memory": cross_batch_memory,
        "neighbor_labels": neighbor_labels,
    }
    for one in set_losses(loss):
        for name, value in arguments.items():
            if value and not takes_embeddings(one):
                raise DataError(
                    f"{name}={value} needs a loss that takes embeddings, but {type(one).__name__} has forward alone; "
                    f"leave out {name}, or define compute_loss_from_embeddings(embeddings, labels)"
                )


def call_forward(loss: nn.Module, model: nn.Module, features: Any, labels: Tensor | None) -> Tensor:
    """Call `loss(features, labels)` with the model that is trained, and return the scalar loss.

    A dictionary of partial losses, which some losses return, is summed.

    Args:
        features: a batch of tokens, or one for each text column.
    """
    _put_model(loss, model)
    value: Any = loss(features if isinstance(features, list) else [features], labels)
    return sum(value.values()) if isinstance(value, dict) else value  # type: ignore[return-value]


def _put_model(loss: nn.Module, model: nn.Module) -> None:
    """Set the model that a loss, and the losses within it, hold."""
    for name, child in list(loss.named_children()):
        if name in _MODEL_NAMES:
            if child is not model and isinstance(getattr(child, "module", child), SentenceTransformer):
                loss._modules[name] = model
        elif not isinstance(child, SentenceTransformer):
            _put_model(child, model)


def reset_warnings(loss: nn.Module, *, small_margin: bool = True) -> None:
    """Re-arm the once-per-run warnings of a loss and of the losses within it.

    Args:
        loss: the loss.
        small_margin: whether they warn of a margin that all triplets satisfy.
    """
    for module in loss.modules():
        if isinstance(module, BaseLoss):
            module.reset_warnings()
            module.warns_of_small_margin = small_margin
