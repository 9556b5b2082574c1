"""Name the evaluation data and the data that are ranked, for messages."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Names:
    """A pair of names for messages: the evaluation data and the data that are ranked."""

    evaluation: str = "the evaluation data"
    reference: str = "the training data"

    @classmethod
    def of(cls, data: Any, eval_data: Any, held_out_rows: Sequence[int] | None) -> "Names":
        """Return the names of training and evaluation data: those of their files, if each has a file."""
        if held_out_rows is not None:
            return cls("the held-out rows", "the training rows")
        return cls(file_name(eval_data, "the evaluation data"), file_name(data, "the training data"))


DEFAULT_NAMES = Names()


def file_name(data: Any, otherwise: str) -> str:
    """Return the name of a file without its folder, or the name on the hub; `otherwise` for data without a name."""
    if isinstance(data, (str, Path)):
        return Path(data).name if Path(data).exists() else str(data)
    return otherwise
