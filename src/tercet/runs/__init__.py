"""Train a model, evaluate it before and after, and save it with a record of the run.

    train_model.py       train: the public function, which `tercet train` calls
    evaluate_model.py    evaluate: the public function, which `tercet evaluate` calls
    evaluation_data.py   load the rows that it evaluates
    settings.py          RunSettings: names, defaults and descriptions of the settings
    limits.py            the limits of the settings
    recipe.py            choose the number of epochs and the learning rate
    margin.py            choose the distance and the margin by the scale of the embeddings
    time_limit.py        fit the number of steps to a time limit
    forecast.py          how long the whole run will take
    model_changes.py     change a model as the settings require, before it is measured
    build.py             build the loss and the trainer from the settings
    run_training.py      run_training: check one run on loaded data, run it, and save the model
    stages.py            which parts a run trains: the head, the encoder or both
    run_stages.py        run these stages: measure, train the head, train the encoder, measure again
    classifier.py        fit the classifier at the end of a run
    decisions.py         judge this classifier, or that of a saved model
    finish_run.py        save a run that has ended, and return its result
    run_record.py        the record of a run, the content of metrics.json
    vectors.py           train_vectors: train a head on vectors; vector_training.py does the work
    source_names.py      how messages name the data
    evaluation_plan.py   choose the rows and the protocols that can be measured
    evaluation.py        measure evaluation data against the training data and among themselves
    measurement.py       what a protocol measures
    environment.py       describe the machine and the libraries
    output.py            check and reserve the paths that a run writes to
    repeat.py            repeat_arguments: the arguments of a run by its record, and what differs from it
    tracking.py          report a run to experiment trackers, which trackers.py names
    random_state.py      keep the global random generators of the caller
    publishing.py        push_to_hub: upload the folder of a trained model
    results.py           TrainingRun, EvaluationResult and TrainingInterrupted: what a run returns or raises

Importing this package imports neither torch nor NumPy.
"""

from tercet.runs.evaluate_model import evaluate
from tercet.runs.output import checkpoint_dir, remove_checkpoints
from tercet.runs.publishing import push_to_hub
from tercet.runs.repeat import repeat_arguments
from tercet.runs.results import EvaluationResult, TrainingInterrupted, TrainingRun
from tercet.runs.settings import RunSettings
from tercet.runs.train_model import train
from tercet.runs.vectors import HeadRun, train_vectors

__all__ = [
    "EvaluationResult",
    "HeadRun",
    "RunSettings",
    "TrainingInterrupted",
    "TrainingRun",
    "checkpoint_dir",
    "evaluate",
    "push_to_hub",
    "remove_checkpoints",
    "repeat_arguments",
    "train",
    "train_vectors",
]
