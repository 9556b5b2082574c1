"""Load labelled sentences from files or the hub, and prepare them for the training.

loading.py     loads and checks training data; start here
selection.py   reads a table as `ReadOptions` says: chooses rows, joins columns of texts
reading.py     reads files, folders, standard input and data sets on the hub into a table
in_memory.py   reads data frames, Arrow tables, dictionaries, lists and data sets as a table
table.py       a table whose columns are read when they are used
folders.py     reads folders and several files
separated.py   reads .csv and .tsv; separators.py finds the separator, header.py whether the first line has names
json_files.py  reads .json and .yml; structures.py finds the rows in them, rasa.py those of Rasa
json_lines.py, parquet_files.py, arrow_files.py, excel.py, plain_text.py    read a file of one format
text_files.py  opens text files; encodings.py finds the encoding, compressed.py unpacks
lines.py       reads a stream with one sentence per line
writing.py     writes tables in parts
columns.py     finds the columns of texts, labels and triplets by usual names; guessing.py by other names and values
cleaning.py    leaves out incomplete rows and cleans labels, as read_options.py says; label_forms.py finds odd labels
labels.py      numbers the labels; defines `LabelledSentences`
copies.py      finds copies of a text, and the overlap of two data sets
splits.py      splits data into rows to train on and rows to evaluate on
folds.py       divides rows into folds for cross-validation
sampler.py     samples P×K batches: P labels with K sentences each
multi_label_sampler.py  the same for rows with several labels; set_counts.py counts what sets of labels have in common
batch_samplers.py  batches of one data set and of several, for samplers of one's own
bundled.py     provides sentences without a download, for the demo

A public name is imported when it is first used, because the sampler imports torch, which is slow.
"""

from typing import TYPE_CHECKING

from tercet._lazy import lazy_names

if TYPE_CHECKING:
    from tercet.data import batch_samplers
    from tercet.data.bundled import standard_library_docstrings
    from tercet.data.copies import copy_groups, overlapping_rows
    from tercet.data.labels import LabelledSentences, check_trainable, number_labels
    from tercet.data.loading import ReadOptions, as_dataset, load_labelled, load_training_data, load_triplets
    from tercet.data.multi_label_sampler import SharedLabelSampler
    from tercet.data.reading import read_table
    from tercet.data.sampler import GroupByLabelSampler
    from tercet.data.splits import split_labelled, split_triplets
    from tercet.data.table import Table

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
        "copies": ("copy_groups", "overlapping_rows"),
        "labels": ("LabelledSentences", "check_trainable", "number_labels"),
        "loading": ("ReadOptions", "as_dataset", "load_labelled", "load_training_data", "load_triplets"),
        "multi_label_sampler": ("SharedLabelSampler",),
        "reading": ("read_table",),
        "sampler": ("GroupByLabelSampler",),
        "splits": ("split_labelled", "split_triplets"),
        "table": ("Table",),
    },
)
