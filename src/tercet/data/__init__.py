"""Load labelled sentences from files or the hub, and prepare them for the training.

The folders are the path of the data, and each imports only from those above it:

tables/      what a table is: columns, cells, hashes of texts
columns/     which columns have the texts and the labels
formats/     files of each format → table
reading/     any source → table, as `ReadOptions` says
cleaning/    incomplete rows, odd labels, copies of texts
labels/      labels → ids, with their names
splits/      rows to train on, rows to evaluate on, folds
loading/     all of these steps in order; start here
sampling/    rows → P×K batches

batch_samplers.py   batches of one data set and of several, for custom samplers
bundled.py          sentences without a download, for the demo
fingerprint.py      facts about a data set, for records
writing.py          tables → files; writers.py has a writer for each format

A public name is imported when it is first used, because the sampler imports torch, which is slow.
"""

from typing import TYPE_CHECKING

from tercet._lazy import lazy_names

if TYPE_CHECKING:
    from tercet.data import batch_samplers
    from tercet.data.bundled import standard_library_docstrings
    from tercet.data.cleaning.copies import copy_groups, overlapping_rows
    from tercet.data.labels.labelled_sentences import LabelledSentences
    from tercet.data.labels.numbering import number_labels
    from tercet.data.labels.trainable import check_trainable
    from tercet.data.loading.labelled import as_dataset, load_labelled
    from tercet.data.loading.training_data import load_training_data
    from tercet.data.loading.triplets import load_triplets
    from tercet.data.reading.options import ReadOptions
    from tercet.data.reading.sources import read_table
    from tercet.data.sampling.multi_label_sampler import SharedLabelSampler
    from tercet.data.sampling.sampler import GroupByLabelSampler
    from tercet.data.splits.held_out import split_labelled, split_triplets
    from tercet.data.tables.table import Table

__all__ = [
    "GroupByLabelSampler",
    "LabelledSentences",
    "ReadOptions",
    "SharedLabelSampler",
    "Table",
    "as_dataset",
    "batch_samplers",
    "check_trainable",
    "copy_groups",
    "load_labelled",
    "load_training_data",
    "load_triplets",
    "number_labels",
    "overlapping_rows",
    "read_table",
    "split_labelled",
    "split_triplets",
    "standard_library_docstrings",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "batch_samplers": (),
        "bundled": ("standard_library_docstrings",),
        "cleaning.copies": ("copy_groups", "overlapping_rows"),
        "labels.labelled_sentences": ("LabelledSentences",),
        "labels.numbering": ("number_labels",),
        "labels.trainable": ("check_trainable",),
        "loading.labelled": ("as_dataset", "load_labelled"),
        "loading.training_data": ("load_training_data",),
        "loading.triplets": ("load_triplets",),
        "reading.options": ("ReadOptions",),
        "reading.sources": ("read_table",),
        "sampling.multi_label_sampler": ("SharedLabelSampler",),
        "sampling.sampler": ("GroupByLabelSampler",),
        "splits.held_out": ("split_labelled", "split_triplets"),
        "tables.table": ("Table",),
    },
)
