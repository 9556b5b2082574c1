"""Training on `transformers.Trainer`.

arguments.py        SentenceTransformerTrainingArguments
trainer.py          SentenceTransformerTrainer; start here
checks.py           check what is passed to its constructor
first_head.py       train a linear head before the first step

The folders are the steps of a run, and each imports only from those above it:

argument_checks/    read and check single arguments
loss/               a loss of any form: its parts, its parameters, several labels of a row
data_sets/          a data set of the user → columns that the loss needs, with numbered labels
batches/            rows → batches of token ids, for each process
logs/               statistics of the batches → log, warnings, progress bar
steps/              the loss of a batch and its gradient, in one process or several
evaluation/         the loss of evaluation batches, and the evaluators
checkpoints/        save, resume and upload models

SentenceTransformerTrainer inherits from a chain of classes in the same order, each of which adds a step:

data_sets           PreparingTrainer
batches             SamplingTrainer, TokenizingTrainer, DataLoadingTrainer, CollatingAheadTrainer
logs                MonitoringTrainer
steps               MemoryTrainer, StepTrainer, TrainedRowsTrainer, ShardedTrainer
evaluation          EvaluatingTrainer
checkpoints         PushingTrainer, CheckpointingTrainer
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
