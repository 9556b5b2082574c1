"""The losses, distances, metrics and file formats that exist, by name, with their properties.

The choices and the help of the command line, the grid of `tercet compare`, the report, the model card and the
benchmarks all read these tables, so a new entry is one `register` call:

    from tercet import catalogue

    catalogue.METRICS.register(catalogue.MetricSpec(key="hit@3", title="hit@3", score="my_package:hit_at_3"))

A package can also register its entries when Tercet starts: it names a function that makes the calls under the
entry-point group `tercet.plugins`. This module imports neither torch nor NumPy, so `tercet --help` stays quick.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any, Generic, Literal, TypeVar

from tercet.errors import TercetError, listed

# An object, or "module:attribute", imported when it is first used.
Reference = str | Any


@dataclass(frozen=True, kw_only=True)
class LossSpec:
    """A loss.

    Attributes:
        name: its name on the command line and in records, such as `batch-hard`.
        cls: the `nn.Module` class.
        summary: which triplets it takes, for help and docs.
        has_margin: whether it takes a margin.
        data: whether it mines labelled sentences or takes given triplets.
    """

    name: str
    cls: Reference
    summary: str
    has_margin: bool = True
    data: Literal["labels", "triplets"] = "labels"


@dataclass(frozen=True, kw_only=True)
class DistanceSpec:
    """A distance.

    Attributes:
        name: its name, such as `cosine`.
        distance: a `tercet.distances.Distance`.
        summary: its formula, for help and docs.
    """

    name: str
    distance: Reference
    summary: str


@dataclass(frozen=True, kw_only=True)
class MetricSpec:
    """A number that says how good a model or a run is.

    Attributes:
        key: its key in dictionaries of metrics and in records, such as `map@r`.
        title: its name in tables and plots.
        digits: decimals shown.
        higher_is_better: None where neither direction is better.
        kind: `quality` metrics lie between 0 and 1; `distance` metrics are mean distances; `run` metrics describe a
            training run, such as seconds per step.
        score: of a retrieval metric, a function of a `tercet.evaluation.Ranking` that returns one value per query;
            the metric is their mean over the queries with a relevant sentence. None where Tercet computes it itself.
        compared: whether it has a column in the table of `tercet compare`.
    """

    key: str
    title: str
    digits: int = 4
    higher_is_better: bool | None = True
    kind: Literal["quality", "distance", "run"] = "quality"
    score: Reference | None = None
    compared: bool = False

    @property
    def name(self) -> str:
        """The key, under the name that all specs share."""
        return self.key


@dataclass(frozen=True, kw_only=True)
class FileFormatSpec:
    """A file format.

    Attributes:
        suffix: the end of the file name, such as `.csv`.
        reader: a function from a `pathlib.Path` to columns by name and the line number of each row (None without
            lines), see `tercet.data.reading`.
        summary: what a file of this format holds, for help and docs.
    """

    suffix: str
    reader: Reference
    summary: str

    @property
    def name(self) -> str:
        """The suffix, under the name that all specs share."""
        return self.suffix


Spec = TypeVar("Spec", LossSpec, DistanceSpec, MetricSpec, FileFormatSpec)


class Registry(Mapping[str, Spec], Generic[Spec]):
    """Specs by name, in the order in which they were registered."""

    def __init__(self, kind: str, specs: Iterable[Spec]) -> None:
        self._kind = kind
        self._specs: dict[str, Spec] = {spec.name: spec for spec in specs}

    def register(self, spec: Spec) -> Spec:
        """Add a spec.

        Raises:
            TercetError: the name is taken.
        """
        if spec.name in self._specs:
            raise TercetError(f"there is already a {self._kind} named {spec.name!r}")
        self._specs[spec.name] = spec
        return spec

    def unregister(self, name: str) -> None:
        """Remove a spec, for tests that add one."""
        del self._specs[name]

    def find(self, name: str, error: type[TercetError] = TercetError) -> Spec:
        """Return the spec of a name, or raise `error` with the names that exist."""
        _load_plugins()
        if name not in self._specs:
            raise error(f"unknown {self._kind} {name!r}; choose one of {listed(self._specs, limit=20)}")
        return self._specs[name]

    def __getitem__(self, name: str) -> Spec:
        _load_plugins()
        return self._specs[name]

    def __iter__(self) -> Iterator[str]:
        _load_plugins()
        return iter(self._specs)

    def __len__(self) -> int:
        _load_plugins()
        return len(self._specs)


def resolve(reference: Reference) -> Any:
    """Return the object that a spec refers to; a string `"module:attribute"` is imported."""
    if not isinstance(reference, str):
        return reference
    module, _, attribute = reference.partition(":")
    return getattr(import_module(module), attribute)


def loss_name(loss: object) -> str | None:
    """Return the name of a loss object in the catalogue, or None if its class is not there."""
    return next((name for name, spec in LOSSES.items() if type(loss) is resolve(spec.cls)), None)


def metric_title(key: str) -> str:
    """Return the title of a metric, or the key itself if the catalogue does not have it."""
    return METRICS[key].title if key in METRICS else key


def metric_digits(key: str) -> int:
    """Return how many decimals of a metric are shown."""
    return METRICS[key].digits if key in METRICS else 4


_plugins_loaded = False


def _load_plugins() -> None:
    """Call the functions that installed packages name under `tercet.plugins`, once per process."""
    global _plugins_loaded
    if _plugins_loaded:
        return
    _plugins_loaded = True
    for entry in entry_points(group="tercet.plugins"):
        plugin: Callable[[], None] = entry.load()
        plugin()


_LOSSES = "tercet.losses.modules"
_DISTANCES = "tercet.distances"
_METRICS = "tercet.evaluation.retrieval"
_READERS = "tercet.data.reading"

# The first loss and the first distance are the defaults of `tercet train`.
LOSSES: Registry[LossSpec] = Registry(
    "loss",
    [
        LossSpec(
            name="batch-semi-hard",
            cls=f"{_LOSSES}:BatchSemiHardTripletLoss",
            summary="for each positive, the nearest negative that is farther than the positive",
        ),
        LossSpec(
            name="batch-all",
            cls=f"{_LOSSES}:BatchAllTripletLoss",
            summary="every triplet of the batch with a loss above 0",
        ),
        LossSpec(
            name="batch-hard",
            cls=f"{_LOSSES}:BatchHardTripletLoss",
            summary="for each anchor, the farthest positive and the nearest negative",
        ),
        LossSpec(
            name="batch-hard-soft-margin",
            cls=f"{_LOSSES}:BatchHardSoftMarginTripletLoss",
            summary="as batch-hard, with log(1 + exp(·)) instead of the hinge, so without a margin",
            has_margin=False,
        ),
        LossSpec(
            name="triplet",
            cls=f"{_LOSSES}:TripletLoss",
            summary="given triplets: the columns anchor, positive and negative",
            data="triplets",
        ),
    ],
)

DISTANCES: Registry[DistanceSpec] = Registry(
    "distance",
    [
        DistanceSpec(name="euclidean", distance=f"{_DISTANCES}:EUCLIDEAN", summary="‖x − y‖"),
        DistanceSpec(name="cosine", distance=f"{_DISTANCES}:COSINE", summary="1 − cos(x, y)"),
        DistanceSpec(name="manhattan", distance=f"{_DISTANCES}:MANHATTAN", summary="Σ |xᵢ − yᵢ|"),
    ],
)

METRICS: Registry[MetricSpec] = Registry(
    "metric",
    [
        MetricSpec(key="map@r", title="MAP@R", score=f"{_METRICS}:map_at_r", compared=True),
        MetricSpec(key="r_precision", title="R-precision", score=f"{_METRICS}:r_precision"),
        MetricSpec(key="recall@1", title="recall@1", compared=True),
        MetricSpec(key="recall@5", title="recall@5"),
        MetricSpec(key="recall@10", title="recall@10"),
        MetricSpec(key="knn_accuracy", title="kNN accuracy", compared=True),
        MetricSpec(
            key="mean_positive_distance", title="mean distance to positives", higher_is_better=None, kind="distance"
        ),
        MetricSpec(
            key="mean_negative_distance", title="mean distance to negatives", higher_is_better=None, kind="distance"
        ),
        MetricSpec(key="cosine_accuracy", title="triplet accuracy (cosine)"),
        MetricSpec(key="euclidean_accuracy", title="triplet accuracy (euclidean)"),
        MetricSpec(key="manhattan_accuracy", title="triplet accuracy (manhattan)"),
        MetricSpec(
            key="active_fraction",
            title="active fraction",
            digits=2,
            higher_is_better=None,
            kind="run",
            compared=True,
        ),
        MetricSpec(key="seconds_per_step", title="s/step", digits=3, higher_is_better=False, kind="run", compared=True),
        MetricSpec(
            key="peak_memory_mib", title="peak MiB", digits=0, higher_is_better=False, kind="run", compared=True
        ),
    ],
)

FILE_FORMATS: Registry[FileFormatSpec] = Registry(
    "file format",
    [
        FileFormatSpec(suffix=".csv", reader=f"{_READERS}:read_csv", summary="comma-separated values with a header"),
        FileFormatSpec(suffix=".tsv", reader=f"{_READERS}:read_tsv", summary="tab-separated values with a header"),
        FileFormatSpec(suffix=".jsonl", reader=f"{_READERS}:read_json_lines", summary="one JSON object per line"),
        FileFormatSpec(suffix=".ndjson", reader=f"{_READERS}:read_json_lines", summary="one JSON object per line"),
        FileFormatSpec(suffix=".parquet", reader=f"{_READERS}:read_parquet", summary="a Parquet table"),
    ],
)
