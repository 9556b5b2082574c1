"""Labelled sentences: read from files or the hub, checked, numbered, split and drawn in batches.

loading.py     a file or a data set on the hub → checked training data; start here
reading.py     file formats → columns by name
columns.py     which columns are the text, the label, the triplets
labels.py      labels → ids and names, numbered once; `LabelledSentences`
splits.py      rows to train on and rows to evaluate on
sampler.py     P×K batches: P labels with K sentences each
bundled.py     real sentences without a download, for the demo

The public names are imported when they are first used, because the sampler imports torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tercet.data.bundled import standard_library_docstrings
    from tercet.data.labels import LabelledSentences, check_trainable, number_labels
    from tercet.data.loading import Columns, as_dataset, load_labelled, load_training_data, load_triplets
    from tercet.data.reading import Table, read_table
    from tercet.data.sampler import GroupByLabelSampler
    from tercet.data.splits import split_held_out

__all__ = [
    "Columns",
    "GroupByLabelSampler",
    "LabelledSentences",
    "Table",
    "as_dataset",
    "check_trainable",
    "load_labelled",
    "load_training_data",
    "load_triplets",
    "number_labels",
    "read_table",
    "split_held_out",
    "standard_library_docstrings",
]

_MODULES = {
    "bundled": ("standard_library_docstrings",),
    "labels": ("LabelledSentences", "check_trainable", "number_labels"),
    "loading": ("Columns", "as_dataset", "load_labelled", "load_training_data", "load_triplets"),
    "reading": ("Table", "read_table"),
    "sampler": ("GroupByLabelSampler",),
    "splits": ("split_held_out",),
}


def __getattr__(name: str) -> Any:
    for module, names in _MODULES.items():
        if name in names:
            return getattr(import_module(f"tercet.data.{module}"), name)
    raise AttributeError(f"module 'tercet.data' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
