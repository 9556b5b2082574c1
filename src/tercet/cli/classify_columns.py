"""The columns that `tercet classify` adds to its input."""

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from tercet.decisions.limit_values import NUM_EXPLAINED_NEIGHBOURS

if TYPE_CHECKING:
    from tercet.decisions import Decisions

# Number of decimals of a similarity or a probability. More are noise of float32, and differ between machines.
_DECIMALS = 6


def added_names(label_name: str, *, top: int, explain: bool, texts: bool) -> list[str]:
    """Return the names of the added columns.

    Args:
        label_name: the name of the column of answers.
        top: the number of likeliest labels; 0 for none.
        explain: whether to add the reason of a rejection and the nearest training sentences.
        texts: whether the texts of training sentences are known.
    """
    names = [label_name, "confidence", "novelty"]
    for place in range(1, top + 1):
        names += [f"label_{place}", f"confidence_{place}"]
    if explain:
        names.append("reason")
        for place in range(1, NUM_EXPLAINED_NEIGHBOURS + 1):
            neighbour = f"neighbour_{place}"
            names += [neighbour, f"{neighbour}_label", f"{neighbour}_similarity"]
            names += [f"{neighbour}_text"] if texts else []
    return names


def integers_of(labels: Sequence[Any]) -> dict[Any, Any]:
    """Return the integer of each label of a classifier, such as 7 for "7"; empty if not all are written integers."""
    with suppress(ValueError):
        found = {label: int(label) for label in labels}
        return found if all(str(number) == str(label) for label, number in found.items()) else {}
    return {}


def added_columns(
    decisions: "Decisions", label_name: str, *, top: int, explain: bool, written: Mapping[Any, Any] | None = None
) -> dict[str, list[Any]]:
    """Return the added columns, with the names of `added_names`. An answer is None where the sentence is rejected.

    `written` has the values to write for labels that are not written as they are.
    """
    columns = _columns(decisions, label_name, top=top, explain=explain)
    if not written:
        return columns
    for name, values in columns.items():
        if name == label_name or re.fullmatch(r"label_\d+|neighbour_\d+_label", name):
            columns[name] = [written.get(value, value) for value in values]
    return columns


def _columns(decisions: "Decisions", label_name: str, *, top: int, explain: bool) -> dict[str, list[Any]]:
    columns: dict[str, list[Any]] = {
        label_name: list(decisions.labels),
        "confidence": _rounded(decisions.answer_confidence),
        "novelty": _rounded(decisions.novelty),
    }
    for place in range(top):
        columns[f"label_{place + 1}"] = list(decisions.top_labels[:, place])
        columns[f"confidence_{place + 1}"] = _rounded(decisions.top_probabilities[:, place])
    if explain:
        columns["reason"] = list(decisions.reasons)
        for place in range(NUM_EXPLAINED_NEIGHBOURS):
            columns |= _neighbour(decisions, place)
    return columns


def _neighbour(decisions: "Decisions", place: int) -> dict[str, list[Any]]:
    """Return the columns of a neighbour; its values are None if the classifier has fewer training rows."""
    name = f"neighbour_{place + 1}"
    numbers, similarities = decisions.neighbours, decisions.neighbour_similarities
    assert numbers is not None
    assert similarities is not None
    assert decisions.neighbour_labels is not None
    exists = place < numbers.shape[1]
    missing: list[Any] = [None] * len(decisions)
    columns: dict[str, list[Any]] = {
        name: numbers[:, place].tolist() if exists else missing,
        f"{name}_label": list(decisions.neighbour_labels[:, place]) if exists else missing,
        f"{name}_similarity": _rounded(similarities[:, place]) if exists else missing,
    }
    if decisions.neighbour_texts is not None:
        columns[f"{name}_text"] = list(decisions.neighbour_texts[:, place]) if exists else missing
    return columns


def _rounded(values: Any) -> list[float]:
    return [round(value, _DECIMALS) for value in values.tolist()]
