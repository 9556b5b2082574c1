"""Training on `transformers.Trainer`.

arguments.py        SentenceTransformerTrainingArguments: the arguments of a run
trainer.py          SentenceTransformerTrainer: training step, evaluation and checkpoints
dataloading.py      data loaders: tokenize once, sample batches, split them over the processes
collate.py          find and check the columns, tokenize the sentences, pack rows into a batch
gradient_cache.py   a training step on a batch that is larger than memory
distributed.py      distributed training: split batches evenly, encode each sentence in one process
checkpoints.py      write and read checkpoints atomically
callbacks.py        progress bar, stop at Ctrl-C, evaluation intervals, step timer
monitor.py          statistics of the batches, and warnings if training fails
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
