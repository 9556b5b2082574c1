"""The specs of losses, distances, metrics and file formats: what the catalogue knows about each of them."""

from dataclasses import dataclass
from typing import Any, Literal

from tercet.errors import TercetError

# An object, or the string "module:attribute", which `resolve` imports. The attributes of the specs allow both.
Reference = str | Any


@dataclass(frozen=True, kw_only=True)
class LossSpec:
    """A loss in the catalogue.

    Attributes:
        name: the name on the command line and in records, such as `batch-hard`.
        cls: the `nn.Module` class of the loss, or a string such as `my_package:MyLoss`, which is imported when needed.
        summary: which triplets the loss trains on, for help and docs.
        has_margin: whether the class takes the argument `margin`.
        data: the training data of the loss: `labels` if it mines triplets from labelled sentences, `triplets` if it
            takes given triplets.
    """

    name: str
    cls: Reference
    summary: str
    has_margin: bool = True
    data: Literal["labels", "triplets"] = "labels"


@dataclass(frozen=True, kw_only=True)
class DistanceSpec:
    """A distance in the catalogue.

    Attributes:
        name: the name on the command line and in records, such as `cosine`.
        distance: a `tercet.distances.Distance`, or a string such as `my_package:MY_DISTANCE`.
        summary: the formula, for help and docs.
    """

    name: str
    distance: Reference
    summary: str


@dataclass(frozen=True, kw_only=True)
class MetricSpec:
    """A metric of a model or of a training run.

    Attributes:
        key: the key in dictionaries of metrics and in records, such as `map@r`.
        title: the name in tables and plots.
        digits: the number of decimals shown.
        kind: `quality` metrics lie between 0 and 1; `distance` metrics are mean distances; `run` metrics describe a
            training run, such as seconds per step.
        score: a function that takes a `tercet.evaluation.Ranking` and returns one value per query. The metric is the
            mean of the values over the queries that have a relevant sentence. A string such as `my_package:hit_at_3`
            is imported when needed. None if Tercet computes the metric in another way, as `recall@1` and
            `seconds_per_step`.
        compared: whether the table of `tercet compare` has a column for the metric.
    """

    key: str
    title: str
    digits: int = 4
    kind: Literal["quality", "distance", "run"] = "quality"
    score: Reference | None = None
    compared: bool = False

    @property
    def name(self) -> str:
        """The key. All specs have `name`, which a registry uses as the key of the entry."""
        return self.key


@dataclass(frozen=True, kw_only=True)
class FileFormatSpec:
    """A file format of the data that Tercet can read, and perhaps write.

    Attributes:
        suffix: the file extension in lower case, such as `.csv`. `DATA.CSV` matches it too.
        reader: a function that takes a `pathlib.Path` and returns two values: a dictionary of columns, and the line
            number of each row or None; or a string such as `my_package:read_xml`. See
            `read_json_lines` in `tercet.data.formats.json_lines`. If it has an argument `header`, `csv_separator`,
            `encoding` or `split`, it gets the option of that name; see `tercet.data.read_table`. A reader with `split`
            returns the columns of this split, or raises `DataError` if the file has no such split.
        summary: what a file of this format contains, for help and docs.
        writer: a function that takes a binary file and returns a `tercet.data.writing.TableWriter`; or a string such as
            `my_package:XmlWriter`. None if the format cannot be written.

    Raises:
        TercetError: the suffix does not start with a dot, or has capital letters.
    """

    suffix: str
    reader: Reference
    summary: str
    writer: Reference | None = None

    def __post_init__(self) -> None:
        if not self.suffix.startswith(".") or self.suffix != self.suffix.lower():
            raise TercetError(
                "the suffix of a file format must start with a dot and be lower case, such as '.csv'; "
                f"got {self.suffix!r}"
            )

    @property
    def name(self) -> str:
        """The suffix. All specs have `name`, which a registry uses as the key of the entry."""
        return self.suffix
