"""Facts about the prepared data sets of a trainer, and their parts and names."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tercet.errors import DataError, listed
from tercet.trainer.data_sets.streaming import Stream


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


def check_set_name(name: str, eval_dataset: Any) -> None:
    """Raise `DataError` if a trainer has no evaluation set with this name."""
    if isinstance(eval_dataset, dict) and name in eval_dataset:
        return
    what = "its evaluation data have no names"
    if isinstance(eval_dataset, dict):
        what = f"its evaluation sets are {listed(eval_dataset)}"
    raise DataError(f"the trainer has no evaluation set {name!r}: {what}; pass a data set, or a name of a dictionary")
