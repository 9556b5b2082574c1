"""Training runs: settings, training with evaluation before and after, saving.

    public.py      train, evaluate: the functions for users, and for the commands of the same names
    settings.py    RunSettings: names, defaults, descriptions and limits of the settings
    data.py        training and evaluation data of a run, loaded and split
    build.py       settings → loss, trainer, evaluator
    run.py         run_training: one run on loaded data, and its record
    outcome.py     TrainingRun and TrainingInterrupted: what a run returns or raises

Importing this package imports neither torch nor NumPy.
"""

from tercet.runs.outcome import TrainingInterrupted, TrainingRun, checkpoint_dir
from tercet.runs.public import evaluate, train
from tercet.runs.settings import RunSettings

__all__ = ["RunSettings", "TrainingInterrupted", "TrainingRun", "checkpoint_dir", "evaluate", "train"]
