"""Facts about the prepared data sets of a trainer, and their parts."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tercet.trainer.streaming import Stream


@dataclass
class PreparedSet:
    """Facts about a prepared data set.

    Attributes:
        name: the name of the data set among several, else None.
        source: the data set of the user.
        columns: the prepared column of each text column of the user.
        labels: the name of the label column of `source` and its values, if `source` has a transform; else None.
        label_names: the name of each label id; None for integers and triplets.
        set_names: the names of all sets of labels, also of evaluation data, if rows have several labels; else None.
        tokens: the data set with token ids, as soon as it is needed; None before, and for a custom collator.
        tokens_for: the tokenizer, its settings and the prompts of `tokens`.
    """

    name: str | None
    source: Any
    columns: Mapping[str, str]
    labels: tuple[str, list[Any]] | None = None
    label_names: list[str] | None = None
    set_names: list[str] | None = None
    tokens: Any = None
    tokens_for: tuple[Any, ...] = ()


def first_rows(data: Any) -> Any:
    """Return the prepared rows of the first part of a stream; any other data unchanged."""
    return data.prepared if isinstance(data, Stream) else data


def parts_of(data: Any) -> dict[str | None, Any]:
    """Return the data sets by name; the only one has the name None."""
    return dict(data) if isinstance(data, dict) else {None: data}


def named(source: str, name: str | None) -> str:
    """Return the name of a data set in messages: that of its argument, and its own if there are several."""
    return source if name is None else f"{source} {name!r}"
