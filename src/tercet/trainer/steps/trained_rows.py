"""Train only the rows of the word embeddings whose tokens occur in the training data.

A row whose token does not occur has gradient 0, so Adam without weight decay never changes it. But the gradient, its
norm, its clipping and the two moments of Adam are computed and kept for all rows: 30,522 of BERT, 250,002 of XLM-R. A
training set of ten thousand short sentences has about three thousand tokens.

While a `TrainedRows` is active, the weight of the layer is a parameter with the rows of these tokens alone. Everything
that reads the model from outside sees all rows: `state_dict`, `save_pretrained`, the embeddings of other tokens, and
the state of the optimizer, so checkpoints are those of a training of all rows.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class TrainedRows:
    """The rows of a layer of word embeddings that are trained. The layer is changed in place until `stop`.

    Args:
        layer: an `nn.Embedding` or `nn.EmbeddingBag` on the CPU, see `can_train_rows`.
        token_ids: the ids of the tokens `(num_rows,)`, without repetition.

    Attributes:
        layer: the layer.
        token_ids: the ids of the tokens.
        all_rows: the weight that the layer had `(num_tokens, dim)`, and has again after `stop`.
        rows: the weight of the layer until then `(num_rows, dim)`.
    """

    def __init__(self, layer: Any, token_ids: Tensor) -> None:
        self.layer = layer
        self.all_rows: nn.Parameter = layer.weight
        self.rows = nn.Parameter(self.all_rows.detach()[token_ids])
        self.token_ids = token_ids
        self._row_of_token = torch.full((len(self.all_rows),), -1)
        self._row_of_token[token_ids] = torch.arange(len(token_ids))
        self._optimizer: torch.optim.Optimizer | None = None
        self._kind = type(layer)
        padding = layer.padding_idx
        self._padding_row = None if padding is None or (row := int(self._row_of_token[padding])) < 0 else row
        self._handles = [
            layer.register_state_dict_post_hook(_save_all_rows),
            layer.register_load_state_dict_pre_hook(_load_rows),
        ]
        # The forward pass changes before the weight does, for a thread that encodes meanwhile.
        layer._trained_rows = self
        layer.__class__ = _CLASSES[self._kind]
        layer.weight = self.rows

    @property
    def is_active(self) -> bool:
        """True if the layer has only the rows that are trained."""
        return self.layer.weight is self.rows

    def follow(self, optimizer: torch.optim.Optimizer) -> None:
        """Let the state that an optimizer saves and loads be that of all rows. It trains `rows`."""
        self._optimizer = optimizer
        optimizer.register_state_dict_post_hook(self._expand_state)
        optimizer.register_load_state_dict_pre_hook(self._select_state)

    def updated(self) -> nn.Parameter:
        """Return the weight of all rows, with the present values of those that are trained."""
        with torch.no_grad():
            self.all_rows[self.token_ids] = self.rows
        self.all_rows.requires_grad = self.rows.requires_grad  # A callback may have frozen the layer.
        return self.all_rows

    def stop(self) -> None:
        """Give the layer its weight back, and let the optimizer train all rows from now on. Twice does no harm."""
        if not self.is_active:
            return
        self.layer.weight = self.updated()
        self.layer.__class__ = self._kind
        for handle in self._handles:
            handle.remove()
        del self.layer._trained_rows
        self._move_gradient(self.rows)
        if self.rows.requires_grad:  # The batch may have looked up rows before, whose gradients are still to come.
            self.rows.register_post_accumulate_grad_hook(self._move_gradient)
        if self._optimizer is None:
            return
        for group in self._optimizer.param_groups:
            group["params"] = [self.all_rows if value is self.rows else value for value in group["params"]]
        if self.rows in self._optimizer.state:
            state = self._optimizer.state.pop(self.rows)
            self._optimizer.state[self.all_rows] = {name: self._expand(value) for name, value in state.items()}

    def embed(self, ids: Tensor) -> tuple[Tensor, Tensor, int | None]:
        """Return token ids or row numbers for a lookup, the weight to look them up in, and the padding in it."""
        weight = self.layer.weight  # `torch.func.functional_call` replaces it.
        if len(weight) == len(self.all_rows):  # `stop` runs in another thread.
            return ids, weight, self.layer.padding_idx
        rows = self._row_of_token[ids]
        if bool((rows >= 0).all()):
            return rows, weight, self._padding_row
        if torch.is_grad_enabled():
            # A subclass of the trainer has put other tokens into a batch, so these rows must be trained, too.
            self.stop()
            return ids, self.all_rows, self.layer.padding_idx
        return ids, self.updated(), self.layer.padding_idx

    def _move_gradient(self, rows: Tensor) -> None:
        """Add the gradient of the rows to that of all rows."""
        if rows.grad is not None:
            gradient, rows.grad = self._expand(rows.grad), None
            self.all_rows.grad = gradient if self.all_rows.grad is None else self.all_rows.grad + gradient

    def _expand(self, value: Any) -> Any:
        """Return a value that belongs to the rows for all rows, with zeros; any other value unchanged."""
        if not isinstance(value, Tensor) or value.shape != self.rows.shape:
            return value
        return value.new_zeros(self.all_rows.shape).index_copy_(0, self.token_ids, value)

    def _expand_state(self, optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> dict[str, Any]:
        return self._convert(optimizer, state, self._expand)

    def _select_state(self, optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> dict[str, Any]:
        """Return the state for the rows; if other rows have a state, train all rows."""
        others = torch.ones(len(self.all_rows), dtype=torch.bool)
        others[self.token_ids] = False

        def select(value: Any) -> Any:
            of_all = isinstance(value, Tensor) and value.shape == self.all_rows.shape
            return value[self.token_ids] if of_all else value

        number = self._number(optimizer)
        values = state["state"].get(number, {}).values()
        if any(isinstance(v, Tensor) and v.shape == self.all_rows.shape and bool(v[others].any()) for v in values):
            self.stop()
        return self._convert(optimizer, state, select)

    def _convert(self, optimizer: torch.optim.Optimizer, state: dict[str, Any], change: Any) -> dict[str, Any]:
        """Return the state of an optimizer in which the tensors of the rows are changed."""
        number = self._number(optimizer)
        if number is None or number not in state["state"]:
            return state
        changed = {name: change(value) for name, value in state["state"][number].items()}
        return {**state, "state": {**state["state"], number: changed}}

    def _number(self, optimizer: torch.optim.Optimizer) -> int | None:
        """Return the number by which the saved state of an optimizer names the rows; None if it has all rows again."""
        parameters = [value for group in optimizer.param_groups for value in group["params"]]
        return next((number for number, value in enumerate(parameters) if value is self.rows), None)


def can_train_rows(layer: Any) -> bool:
    """Return whether the rows of a layer can be trained alone: a plain layer of `torch`, whose weight is trained."""
    if type(layer) not in _CLASSES or "forward" in vars(layer):
        return False
    weight = layer._parameters.get("weight")
    if weight is None or not weight.requires_grad or weight.device.type != "cpu":
        return False
    has_hooks = weight._backward_hooks or weight._post_accumulate_grad_hooks  # They get gradients of all rows.
    averages = type(layer) is nn.EmbeddingBag and (layer.mode != "mean" or layer.include_last_offset)
    return not (layer.sparse or layer.scale_grad_by_freq or layer.max_norm is not None or averages or has_hooks)


class _RowsOfLayer(nn.Module):
    """The part of a layer whose rows are trained alone that hides it from copies."""

    _trained_rows: TrainedRows

    def __reduce_ex__(self, protocol: Any) -> Any:
        """Let `copy.deepcopy` and `torch.save` make a layer with all rows, without the trained ones."""
        state = {name: value for name, value in vars(self).items() if name != "_trained_rows"}
        state["_parameters"] = {"weight": self._trained_rows.updated()}
        own_hooks = {handle.id for handle in self._trained_rows._handles}
        for hooks in ("_state_dict_hooks", "_load_state_dict_pre_hooks"):
            kept = ((number, hook) for number, hook in state[hooks].items() if number not in own_hooks)
            state[hooks] = type(state[hooks])(kept)
        kind = next(kind for kind, own in _CLASSES.items() if type(self) is own)
        return kind.__new__, (kind,), state


class _Embedding(_RowsOfLayer, nn.Embedding):
    def forward(self, input: Tensor) -> Tensor:
        ids, weight, padding = self._trained_rows.embed(input)
        return F.embedding(ids, weight, padding)


class _EmbeddingBag(_RowsOfLayer, nn.EmbeddingBag):
    def forward(self, input: Tensor, offsets: Tensor | None = None, per_sample_weights: Tensor | None = None) -> Tensor:
        ids, weight, padding = self._trained_rows.embed(input)
        return F.embedding_bag(
            ids, weight, offsets, mode=self.mode, per_sample_weights=per_sample_weights, padding_idx=padding
        )


_CLASSES: dict[type[nn.Module], type[Any]] = {nn.Embedding: _Embedding, nn.EmbeddingBag: _EmbeddingBag}


def _save_all_rows(layer: Any, state: dict[str, Any], prefix: str, local_metadata: Any) -> None:
    """Put the weight of all rows into the state of a layer. Changes `state`."""
    weight, name = layer._trained_rows.updated(), f"{prefix}weight"
    state[name] = weight if state[name].requires_grad else weight.detach()


@torch.no_grad()
def _load_rows(layer: Any, state: dict[str, Any], prefix: str, *_: Any) -> None:
    """Load all rows from the state of a layer, and leave those that are trained in it. Changes `state`."""
    trained, weight = layer._trained_rows, state.get(f"{prefix}weight")
    if weight is not None and weight.shape == trained.all_rows.shape:
        trained.all_rows.copy_(weight)
        state[f"{prefix}weight"] = weight[trained.token_ids]
