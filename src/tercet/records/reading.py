"""Convert the content of records to and from JSON, also of older formats."""

import math
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

# Settings that were renamed: name in format 1 → name in format 2.
RENAMED_SETTINGS = {"memory_size": "cross_batch_memory"}


def known_fields(record: type, content: Mapping[str, Any]) -> dict[str, Any]:
    """Return the items of `content` that are fields of `record`. Ignore other items, which newer versions may add."""
    names = {item.name for item in fields(record)}
    return {name: value for name, value in content.items() if name in names}


def renamed(content: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """Return `content` with other names for some of its items: old name → new name."""
    return {names.get(name, name): value for name, value in content.items()}


def typed_warnings(messages: list[str]) -> list[dict[str, str]]:
    """Convert warnings of format 1, which are only messages, to format 2 with the kind `other`."""
    return [{"kind": "other", "message": message} for message in messages]


def finite(value: Any) -> Any:
    """Return `value` with None instead of each NaN and infinity in it."""
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def public_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a record with the last component of each path of the user, which may be published."""
    paths = {name: value for name in ("data", "eval_data", "model") if (value := settings.get(name)) is not None}
    return {**settings, **{name: Path(path).name for name, path in paths.items() if Path(path).exists()}}
