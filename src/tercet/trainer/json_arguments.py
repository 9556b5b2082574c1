"""Training arguments that are dictionaries, or the text of one in JSON, as `HfArgumentParser` reads them."""

import json
from collections.abc import Mapping
from typing import Any

from tercet.errors import DataError


def read_mapping(value: Any, name: str, content: str) -> dict[str, Any] | None:
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
