"""Training on `transformers.Trainer`.

`trainer.py` has SentenceTransformerTrainer, which is read first. It is built of these base classes, each of which adds
a step of a run:

preparing.py        the data sets: find and check their columns, number their labels
sampling.py         which rows are a batch
tokenizing.py       token ids of the rows, once or batch by batch
dataloading.py      data loaders, whose batches are split over the processes
collating_ahead.py  collate the next batches in a thread while a GPU computes
pushing.py          upload models to the hub
memories.py         what a run remembers of past batches: cross-batch memory, label means
monitoring.py       log the statistics of batches
steps.py            the loss of a batch and its gradient
trained_rows_training.py  train only the word embeddings of training tokens
sharded_training.py  train a model that is sharded over the processes, and gather it to save it
evaluating.py       the loss of evaluation batches, and the evaluators
checkpointing.py    save the model, write checkpoints, resume from them

They use these modules. Arguments, and what is checked before the first step:

arguments.py        SentenceTransformerTrainingArguments
argument_rules.py   which arguments decide the result, and which are supported
argument_types.py   whether an argument has a value of the right type
json_arguments.py   arguments that are dictionaries or JSON
fsdp_argument.py    the argument that shards the model
learning_rates.py   learning rates of single parameters
checks.py           what would fail later
loss_kinds.py       losses of other shapes: around another loss, or one for each data set
best_metric.py      whether an evaluation returns the metric of the best model
pace.py             the seconds of a step

Rows and batches:

prepared_sets.py    facts about prepared data sets, and their parts
collate.py          find and check the columns, tokenize the sentences, pack rows into a batch
rows.py             the rows that a data loader reads
prompts.py          the prompt of each text column
routing.py          the task of each text column, for a model with a Router
multi_labels.py     rows with several labels: the ids of their sets, and the relation of the loss
label_means.py      mean embeddings of the labels
streaming.py        a stream as training data, and what it cannot do
stream_labels.py    the numbers of the labels of a stream
stream_batches.py   the batches of a stream

Steps:

first_head.py       train a linear head before the first step
gradient_cache.py   a training step on a batch that is larger than memory
trained_rows.py     a layer of word embeddings of which some rows are trained
distributed.py      split batches evenly over the processes, encode each sentence in one of them
sharding.py         shard a model over the processes (FSDP)
loss_state.py       parameters of a custom loss
log_stats.py        statistics of the batches for the log
unread_stats.py     statistics that are still on the device
monitor.py          warnings if training fails
callbacks.py        progress bar, stop at Ctrl-C, evaluation intervals, step timer

What is kept:

checkpoints.py      write checkpoints atomically, and remove old ones
whole_checkpoints.py  read checkpoints, and find incomplete ones
run_identity.py     whether a checkpoint is of the same run
weights.py          load weights, and detect unchanged ones
best_state.py       keep the best state of a model on disk
record.py           the record of a training run, for the model card
"""

from tercet._lazy import peer_names
from tercet.trainer.arguments import BatchSamplers, MultiDatasetBatchSamplers, SentenceTransformerTrainingArguments
from tercet.trainer.trainer import SentenceTransformerTrainer

__all__ = [
    "BatchSamplers",
    "MultiDatasetBatchSamplers",
    "SentenceTransformerTrainer",
    "SentenceTransformerTrainingArguments",
]

__getattr__ = peer_names(__name__)  # names that sentence-transformers has here
