"""Registries of the losses, distances, metrics and file formats that Tercet knows by name.

The command line, `tercet compare`, the report, the model card and the benchmarks read these registries. To add an
entry, call `register` once:

    from tercet import catalogue

    catalogue.METRICS.register(catalogue.MetricSpec(key="hit@3", title="hit@3", score="my_package:hit_at_3"))

An installed package can register entries too: it declares an entry point of the group `tercet.plugins` that refers to
a function. Tercet calls that function once per process, when a registry is first read. This module imports neither
torch nor NumPy, so that `tercet --help` is fast.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

from tercet.errors import TercetError, listed

if TYPE_CHECKING:
    from tercet.records import EncoderScores

__all__ = [
    "CLASSIFIERS",
    "DISTANCES",
    "FILE_FORMATS",
    "LOSSES",
    "METRICS",
    "PLUGIN_GROUP",
    "PROTOCOLS",
    "DistanceSpec",
    "FileFormatSpec",
    "LossSpec",
    "MetricSpec",
    "Registry",
    "classifier_rows",
    "loss_name",
    "metric_digits",
    "metric_spec",
    "metric_title",
    "protocol_title",
    "resolve",
]

PLUGIN_GROUP = "tercet.plugins"

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
            `read_json_lines` in `tercet.data.json_lines`. If it has an argument `header`, `csv_separator`, `encoding`
            or `split`, it gets the option of that name; see `tercet.data.read_table`.
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


Spec = TypeVar("Spec", LossSpec, DistanceSpec, MetricSpec, FileFormatSpec)


class Registry(Mapping[str, Spec], Generic[Spec]):
    """A mapping from names to specs, in the order of registration.

    The first read of any registry calls the functions of the installed plugins.

    Raises:
        TercetError: at the first read, if a plugin fails. Every later read of a registry raises the same error.
    """

    def __init__(self, kind: str, specs: Iterable[Spec]) -> None:
        self._kind = kind
        self._specs: dict[str, Spec] = {}
        for spec in specs:
            self.register(spec)

    def register(self, spec: Spec) -> Spec:
        """Add a spec and return it.

        Raises:
            TercetError: the registry already has a spec with this name.
        """
        if spec.name in self._specs:
            raise TercetError(
                f"the catalogue already has a {self._kind} named {spec.name!r}; register it under another name"
            )
        self._specs[spec.name] = spec
        return spec

    def unregister(self, name: str) -> None:
        """Remove the spec with this name, or raise a `KeyError`. Tests call it to undo a registration."""
        del self._specs[name]

    def find(self, name: str, error: type[TercetError] = TercetError) -> Spec:
        """Return the spec with this name.

        Args:
            name: the name of a spec.
            error: the class of the exception if no spec has this name. The message lists the known names.

        Raises:
            TercetError: (as the class `error`) no spec has this name. (as `TercetError`) a plugin fails.
        """
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
    """Return the object that a reference stands for: import a string `"module:attribute"`, return any other object.

    Raises:
        ImportError, AttributeError: the module or the attribute does not exist.
    """
    if not isinstance(reference, str):
        return reference
    module, _, attribute = reference.partition(":")
    return getattr(import_module(module), attribute)


def loss_name(loss: object) -> str | None:
    """Return the catalogue name of a loss object, or None if its class is not in the catalogue."""
    return next((name for name, spec in LOSSES.items() if type(loss) is resolve(spec.cls)), None)


def metric_spec(key: str) -> MetricSpec:
    """Return the spec of a metric. A metric that is not registered gets a default spec.

    If `<distance>` is in the catalogue, the title of `<distance>_accuracy`, such as `cosine_accuracy`, is "triplet
    accuracy (cosine)". The title of any other unregistered metric is its key.
    """
    if key in METRICS:
        return METRICS[key]
    if level := key.partition("map@r_level")[2]:
        return MetricSpec(key=key, title=f"MAP@R, level {level}")
    distance = key.removesuffix("_accuracy")
    return MetricSpec(key=key, title=f"triplet accuracy ({distance})" if distance in DISTANCES else key)


def metric_title(key: str) -> str:
    """Return the title of a metric."""
    return metric_spec(key).title


def metric_digits(key: str) -> int:
    """Return the number of decimals with which tables show a metric."""
    return metric_spec(key).digits


def protocol_title(key: str, reference: str = "training") -> str:
    """Return the title of a protocol, for tables; `reference` names the sentences that are ranked."""
    return PROTOCOLS.get(key, key).format(reference=reference)


def classifier_rows(scores: "EncoderScores") -> dict[str, float]:
    """Return the scores of an encoder by their titles, such as `accuracy, class means`, as the rows of a table."""
    found = scores.classifiers.items()
    return {
        **{f"accuracy, {CLASSIFIERS.get(key, key)}": scores.accuracy for key, scores in found},
        **{f"macro-F1, {CLASSIFIERS.get(key, key)}": scores.macro_f1 for key, scores in found},
        "MAP@R": scores.map_at_r,
    }


_plugins_loaded = False
_plugin_error: TercetError | None = None


def _load_plugins() -> None:
    """Call the entry points of the group `tercet.plugins`, once per process. After an error, raise it at every call."""
    global _plugins_loaded, _plugin_error
    if _plugin_error is not None:
        raise _plugin_error
    if _plugins_loaded:
        return
    _plugins_loaded = True  # set before the calls, because a plugin may read a registry itself
    for plugin in entry_points(group=PLUGIN_GROUP):
        try:
            register: Callable[[], object] = plugin.load()
            register()
        except Exception as error:
            package = plugin.dist.name if plugin.dist else "unknown"
            _plugin_error = TercetError(
                f"the plugin {plugin.name!r} ({plugin.value}) of the package {package!r} failed with "
                f"{type(error).__name__}: {error}; update the package or uninstall it"
            )
            raise _plugin_error from error


_LOSSES = "tercet.losses.modules"
_DISTANCES = "tercet.distances"
_METRICS = "tercet.evaluation.retrieval"
_DATA = "tercet.data"

# The first loss and the first distance are the defaults of `tercet train`.
LOSSES: Registry[LossSpec] = Registry(
    "loss",
    [
        LossSpec(
            name="batch-semi-hard",
            cls=f"{_LOSSES}:BatchSemiHardTripletLoss",
            summary="for each positive, the nearest negative beyond it; if there is none, the farthest negative",
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
            summary="the triplets of batch-hard, with log(1 + exp(·)) instead of the hinge; it has no margin",
            has_margin=False,
        ),
        LossSpec(
            name="triplet",
            cls=f"{_LOSSES}:TripletLoss",
            summary="given triplets, in the columns anchor, positive and negative",
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
        MetricSpec(key="mean_positive_distance", title="mean distance to positives", kind="distance"),
        MetricSpec(key="mean_negative_distance", title="mean distance to negatives", kind="distance"),
        MetricSpec(key="unknown_auroc", title="AUROC of unknown labels"),
        MetricSpec(key="ndcg@10", title="NDCG@10"),
        MetricSpec(key="tree_distance", title="mean distance in the tree", kind="distance"),
        MetricSpec(
            key="active_fraction",
            title="active fraction",
            digits=2,
            kind="run",
            compared=True,
        ),
        MetricSpec(key="seconds_per_step", title="s/step", digits=3, kind="run", compared=True),
        MetricSpec(key="seconds", title="s/run", digits=1, kind="run", compared=True),
        MetricSpec(key="peak_memory_mib", title="peak MiB", digits=0, kind="run", compared=True),
    ],
)

# How evaluation data are measured, by the key in records. The first one that was used gives the headline of a run.
PROTOCOLS = {
    "against_reference": "evaluation sentences against the {reference} sentences",
    "among_themselves": "evaluation sentences among themselves",
    "triplets": "evaluation triplets",
    "evaluators": "metrics of the evaluators",
}

# How evaluation rows are classified by training rows, by the key in records. Of equally accurate ones, the first is
# the best.
CLASSIFIERS = {
    "nearest_neighbours": "5 nearest neighbours",
    "class_means": "class means",
    "logistic_regression": "logistic regression",
}

FILE_FORMATS: Registry[FileFormatSpec] = Registry(
    "file format",
    [
        FileFormatSpec(
            suffix=".csv",
            reader=f"{_DATA}.separated:read_csv",
            writer=f"{_DATA}.writing:csv_writer",
            summary="comma-separated values with a header",
        ),
        FileFormatSpec(
            suffix=".tsv",
            reader=f"{_DATA}.separated:read_tsv",
            writer=f"{_DATA}.writing:tsv_writer",
            summary="tab-separated values with a header",
        ),
        FileFormatSpec(
            suffix=".jsonl",
            reader=f"{_DATA}.json_lines:read_json_lines",
            writer=f"{_DATA}.writing:JsonLinesWriter",
            summary="one JSON object per line",
        ),
        FileFormatSpec(
            suffix=".ndjson",
            reader=f"{_DATA}.json_lines:read_json_lines",
            writer=f"{_DATA}.writing:JsonLinesWriter",
            summary="one JSON object per line",
        ),
        FileFormatSpec(
            suffix=".parquet",
            reader=f"{_DATA}.parquet_files:read_parquet",
            writer=f"{_DATA}.writing:ParquetWriter",
            summary="a Parquet table",
        ),
        FileFormatSpec(
            suffix=".json", reader=f"{_DATA}.json_files:read_json", summary="a JSON list of objects and the like"
        ),
        FileFormatSpec(suffix=".xlsx", reader=f"{_DATA}.excel:read_xlsx", summary="a sheet of Excel"),
        FileFormatSpec(suffix=".txt", reader=f"{_DATA}.plain_text:read_txt", summary="one text per line"),
        FileFormatSpec(suffix=".yml", reader=f"{_DATA}.json_files:read_yaml", summary="training data of Rasa in YAML"),
        FileFormatSpec(suffix=".yaml", reader=f"{_DATA}.json_files:read_yaml", summary="training data of Rasa in YAML"),
        FileFormatSpec(
            suffix=".md", reader=f"{_DATA}.rasa:read_rasa_markdown", summary="training data of Rasa in Markdown"
        ),
        FileFormatSpec(suffix=".arrow", reader=f"{_DATA}.arrow_files:read_arrow", summary="an Arrow table"),
    ],
)
