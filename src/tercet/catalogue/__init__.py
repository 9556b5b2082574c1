"""Registries of the losses, distances, metrics and file formats that Tercet knows by name.

The command line, `tercet compare`, the report, the model card and the benchmarks read these registries. To add an
entry, call `register` once:

    from tercet import catalogue

    catalogue.METRICS.register(catalogue.MetricSpec(key="hit@3", title="hit@3", score="my_package:hit_at_3"))

An installed package can register entries too: it declares an entry point of the group `tercet.plugins` that refers to
a function. Tercet calls that function once per process, when a registry is first read. This package imports neither
torch nor NumPy, so that `tercet --help` is fast.

specs.py      what the catalogue knows about a loss, a distance, a metric and a file format
registry.py   a mapping from names to specs, to which plugins add
entries.py    the losses, distances, metrics and file formats that Tercet comes with
titles.py     names and titles of entries, for tables and plots
"""

from tercet.catalogue.entries import (
    CLASSIFIERS,
    DEFAULT_MARGIN,
    DISTANCES,
    FILE_FORMATS,
    LOSSES,
    METRICS,
    PROTOCOLS,
)
from tercet.catalogue.registry import PLUGIN_GROUP, Registry, resolve
from tercet.catalogue.specs import DistanceSpec, FileFormatSpec, LossSpec, MetricSpec
from tercet.catalogue.titles import (
    classifier_rows,
    gain_rows,
    loss_name,
    metric_digits,
    metric_spec,
    metric_text,
    metric_title,
    metrics_of_levels,
    protocol_title,
)

__all__ = [
    "CLASSIFIERS",
    "DEFAULT_MARGIN",
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
    "gain_rows",
    "loss_name",
    "metric_digits",
    "metric_spec",
    "metric_text",
    "metric_title",
    "metrics_of_levels",
    "protocol_title",
    "resolve",
]
