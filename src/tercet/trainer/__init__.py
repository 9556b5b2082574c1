"""Training on `transformers.Trainer`.

arguments.py        SentenceTransformerTrainingArguments: the arguments of a run
trainer.py          SentenceTransformerTrainer: a step, an evaluation, a checkpoint
dataloading.py      data sets → batches of token ids, split over the processes
collate.py          columns found and checked, sentences tokenized, rows packed into a batch
gradient_cache.py   a step on a batch that is larger than memory
distributed.py      batches split evenly over the processes; encoding that is shared by the processes
checkpoints.py      checkpoints that are either complete or absent
callbacks.py        progress bar, stop at Ctrl-C, evaluation intervals, step timer
monitor.py          statistics of the batches, and warnings when a run goes wrong
record.py           the record of a training run, for the model card
"""

from tercet.trainer.arguments import BatchSampler, SentenceTransformerTrainingArguments
from tercet.trainer.trainer import SentenceTransformerTrainer

__all__ = ["BatchSampler", "SentenceTransformerTrainer", "SentenceTransformerTrainingArguments"]
