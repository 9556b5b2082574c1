"""Read the training arguments that are dictionaries, or the text of one in JSON, as `HfArgumentParser` passes them."""

import json
import re
from collections.abc import Mapping
from typing import Any

from tercet.errors import DataError

Prompts = str | Mapping[str, str] | Mapping[str, str | Mapping[str, str]] | None
RouterMapping = Mapping[str, Any]


def read_prompts(prompts: Prompts) -> Prompts:
    """Return the training argument `prompts`, which may be the text of a JSON object, as in sentence-transformers.

    Raises:
        DataError: it is neither a string nor a dictionary.
    """
    if not isinstance(prompts, (str, Mapping, type(None))):
        raise DataError(f"prompts must be a string or a dictionary, got {prompts!r}")
    if not isinstance(prompts, str) or not prompts.lstrip().startswith("{"):
        return prompts
    try:
        found: dict[str, str] = json.loads(prompts)
    except ValueError:
        return prompts
    return found


def read_router_mapping(mapping: str | RouterMapping | None) -> dict[str, Any] | None:
    """Return the training argument `router_mapping`, which may be the text of a JSON object.

    Raises:
        DataError: it is not a dictionary of the task by column, or of such dictionaries by data set.
    """
    tasks_of = _read_mapping(mapping, "router_mapping", "a task by column")
    values = list((tasks_of or {}).values())
    kinds = {isinstance(value, Mapping) for value in values}
    tasks = [task for value in values for task in (value.values() if isinstance(value, Mapping) else [value])]
    if len(kinds) > 1 or not all(isinstance(task, str) for task in tasks):
        raise DataError(
            "router_mapping must give the task of each text column, such as {'question': 'query'}, or such a "
            f"dictionary for each data set; got {tasks_of!r}"
        )
    return tasks_of


def read_learning_rates(mapping: str | Mapping[str, float] | None) -> dict[str, float] | None:
    """Return the training argument `learning_rate_mapping`, which may be the text of a JSON object.

    Raises:
        DataError: it is not a dictionary of regular expressions and numbers of at least 0.
    """
    rates = _read_mapping(mapping, "learning_rate_mapping", "expressions and rates")
    for pattern, rate in (rates or {}).items():
        try:
            re.compile(pattern)
        except (re.error, TypeError) as error:
            raise DataError(f"learning_rate_mapping: {pattern!r} is no regular expression: {error}") from None
        if isinstance(rate, bool) or not isinstance(rate, (int, float)) or not 0 <= rate < float("inf"):
            raise DataError(f"learning_rate_mapping: the rate of {pattern!r} must be at least 0, got {rate!r}")
    return rates


def _read_mapping(value: Any, name: str, content: str) -> dict[str, Any] | None:
    """Return a dictionary; None for None.

    Args:
        value: the argument.
        name: its name, for messages.
        content: what the dictionary must hold, for messages.

    Raises:
        DataError: the value is neither a dictionary nor the text of one.
    """
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError as error:
            raise DataError(f"{name} is no JSON object ({error}): {value!r}") from None
    if value is not None and not isinstance(value, Mapping):
        raise DataError(f"{name} must be a dictionary of {content}, got {value!r}")
    return None if value is None else dict(value)
