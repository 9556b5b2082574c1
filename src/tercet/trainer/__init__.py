"""Training on `transformers.Trainer`.

arguments.py        SentenceTransformerTrainingArguments: the arguments of a run
trainer.py          SentenceTransformerTrainer; its parts are the base classes in the next thirteen files
preparing.py        the data sets: find and check their columns, prepare their rows
sampling.py         the samplers: which rows are a batch
tokenizing.py       token ids of the rows, once or batch by batch
dataloading.py      data loaders, whose batches are split over the processes
collating_ahead.py  collate the next batches in a thread while a GPU computes
pushing.py          upload models to the hub
memories.py         what a run remembers of past batches: cross-batch memory, label means
monitoring.py       log the statistics of batches
steps.py            training steps: the loss of a batch and its gradient
trained_rows_training.py  train only the word embeddings of training tokens
sharded_training.py  train a model that is sharded over the processes, and gather it to save it
evaluating.py       the loss of evaluation batches, and the evaluators
checkpointing.py    save the model, write checkpoints, resume from them
prepared_sets.py    the data sets after their preparation
first_head.py       train a linear head before the first step
prompts.py          the prompt of each text column
routing.py          the task of each text column, for a model with a Router
streaming.py        a stream as training data, and what it cannot do
stream_labels.py    the numbers of the labels of a stream
stream_batches.py   the batches of a stream
multi_labels.py     rows with several labels: the ids of their sets, and the relation of the loss
collate.py          find and check the columns, tokenize the sentences, pack rows into a batch
trained_rows.py     a layer of word embeddings of which some rows are trained
gradient_cache.py   a training step on a batch that is larger than memory
distributed.py      distributed training: split batches evenly, encode each sentence in one process
sharding.py         shard a model over the processes (FSDP)
fsdp_argument.py    the argument that asks for it
checkpoints.py      write checkpoints atomically, and remove old ones
callbacks.py        progress bar, stop at Ctrl-C, evaluation intervals, step timer
monitor.py          warnings if training fails
log_stats.py        statistics of the batches for the log
argument_rules.py   which arguments decide the result, and which are supported
argument_types.py   whether an argument has a value of the right type
json_arguments.py   arguments that are dictionaries or JSON
learning_rates.py   learning rates of single parameters
checks.py           what is checked before the first step
loss_kinds.py       losses of other shapes: around another loss, or one for each data set
loss_state.py       parameters of a custom loss
rows.py             the rows that a data loader reads
label_means.py      mean embeddings of the labels
unread_stats.py     statistics that are still on the device
weights.py          load weights, and detect unchanged ones
best_metric.py      whether an evaluation returns the metric of the best model
best_state.py       keep the best state of a model on disk
run_identity.py     whether a checkpoint is of the same run
whole_checkpoints.py  read checkpoints, and find incomplete ones
pace.py             the seconds of a step, before the training
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
