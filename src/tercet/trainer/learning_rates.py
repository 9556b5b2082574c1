"""Give parameters their own learning rates, by regular expressions of their names."""

import re
from collections.abc import Mapping

import torch
from torch import nn

from tercet.errors import DataError
from tercet.trainer.json_arguments import read_mapping


def read_learning_rates(mapping: str | Mapping[str, float] | None) -> dict[str, float] | None:
    """Return the training argument `learning_rate_mapping`, which may be the text of a JSON object.

    Raises:
        DataError: it is not a dictionary of regular expressions and numbers of at least 0.
    """
    rates = read_mapping(mapping, "learning_rate_mapping", "expressions and rates")
    for pattern, rate in (rates or {}).items():
        try:
            re.compile(pattern)
        except (re.error, TypeError) as error:
            raise DataError(f"learning_rate_mapping: {pattern!r} is no regular expression: {error}") from None
        if isinstance(rate, bool) or not isinstance(rate, (int, float)) or not 0 <= rate < float("inf"):
            raise DataError(f"learning_rate_mapping: the rate of {pattern!r} must be at least 0, got {rate!r}")
    return rates


def set_learning_rates(
    optimizer: torch.optim.Optimizer, named: Mapping[str, nn.Parameter], mapping: Mapping[str, float]
) -> None:
    """Move the parameters that an expression finds into groups with its learning rate. The last expression decides.

    Args:
        optimizer: the optimizer, before a schedule is made for it.
        named: the parameters by name.
        mapping: the learning rate of each regular expression.

    Raises:
        DataError: an expression finds no parameter that is trained.
    """
    names = {id(parameter): name for name, parameter in named.items()}
    for pattern, rate in mapping.items():
        found = False
        for group in list(optimizer.param_groups):
            matched = [value for value in group["params"] if re.search(pattern, names.get(id(value), ""))]
            if not matched:
                continue
            found = True
            chosen = set(map(id, matched))
            group["params"] = [value for value in group["params"] if id(value) not in chosen]
            optimizer.add_param_group({**group, "params": matched, "lr": rate})
        if not found:
            some = ", ".join(list(named)[:2])
            raise DataError(
                f"learning_rate_mapping: {pattern!r} finds no weight that is trained; their names are such as {some}"
            )
