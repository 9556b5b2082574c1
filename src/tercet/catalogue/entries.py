"""The losses, distances, metrics, protocols, classifiers and file formats that Tercet comes with."""

from tercet.catalogue.registry import Registry
from tercet.catalogue.specs import DistanceSpec, FileFormatSpec, LossSpec, MetricSpec

_LOSSES = "tercet.losses.modules"
_DISTANCES = "tercet.distances"
_METRICS = "tercet.evaluation.retrieval"
_DATA = "tercet.data"

# The default margin of a training, for the losses that have one.
DEFAULT_MARGIN = 0.3

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
            reader=f"{_DATA}.formats.separated:read_csv",
            writer=f"{_DATA}.writers:csv_writer",
            summary="comma-separated values with a header",
        ),
        FileFormatSpec(
            suffix=".tsv",
            reader=f"{_DATA}.formats.separated:read_tsv",
            writer=f"{_DATA}.writers:tsv_writer",
            summary="tab-separated values with a header",
        ),
        FileFormatSpec(
            suffix=".jsonl",
            reader=f"{_DATA}.formats.json_lines:read_json_lines",
            writer=f"{_DATA}.writers:JsonLinesWriter",
            summary="one JSON object per line",
        ),
        FileFormatSpec(
            suffix=".ndjson",
            reader=f"{_DATA}.formats.json_lines:read_json_lines",
            writer=f"{_DATA}.writers:JsonLinesWriter",
            summary="one JSON object per line",
        ),
        FileFormatSpec(
            suffix=".parquet",
            reader=f"{_DATA}.formats.parquet_files:read_parquet",
            writer=f"{_DATA}.writers:ParquetWriter",
            summary="a Parquet table",
        ),
        FileFormatSpec(
            suffix=".json",
            reader=f"{_DATA}.formats.json_files:read_json",
            summary="a JSON list of objects and the like",
        ),
        FileFormatSpec(suffix=".xlsx", reader=f"{_DATA}.formats.excel:read_xlsx", summary="a sheet of Excel"),
        FileFormatSpec(suffix=".txt", reader=f"{_DATA}.formats.plain_text:read_txt", summary="one text per line"),
        FileFormatSpec(
            suffix=".yml", reader=f"{_DATA}.formats.json_files:read_yaml", summary="training data of Rasa in YAML"
        ),
        FileFormatSpec(
            suffix=".yaml", reader=f"{_DATA}.formats.json_files:read_yaml", summary="training data of Rasa in YAML"
        ),
        FileFormatSpec(
            suffix=".md", reader=f"{_DATA}.formats.rasa:read_rasa_markdown", summary="training data of Rasa in Markdown"
        ),
        FileFormatSpec(suffix=".arrow", reader=f"{_DATA}.formats.arrow_files:read_arrow", summary="an Arrow table"),
    ],
)
