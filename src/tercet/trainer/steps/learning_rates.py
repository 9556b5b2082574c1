"""Give parameters their own learning rates, by regular expressions of their names."""

import re
from collections.abc import Mapping

import torch
from torch import nn

from tercet.errors import DataError


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
