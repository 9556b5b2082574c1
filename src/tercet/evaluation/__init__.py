"""Evaluate embeddings: retrieval metrics, and evaluators that compute the metrics of a model.

retrieval/          `label_metrics`, `triplet_accuracy`, `Ranking`, and the functions that score a ranking
label_evaluator.py  `LabelEvaluator`, which embeds labelled sentences and returns metrics
triplet_evaluator.py  `TripletEvaluator`, the same for triplets
sentence_evaluator.py  the base class of evaluators, and `SequentialEvaluator`, which calls several
relevance.py        which sentences are relevant for a query: its label, or one of its labels
nested.py           `nested_metrics`, the metrics of labels with levels
classifiers.py      classify embeddings: nearest neighbours, class means, logistic regression
logistic.py         fit a logistic regression
balanced_sample.py  draw as many rows of each label
label_scores.py     precision, recall and F1 of each label
bootstrap.py        confidence intervals of the difference between two encoders on the same rows
macro_f1.py         the same for macro-F1
chance.py           whether predictions are better than at random
gain.py             compare the trained with the untouched encoder: was the training worth it?
several_labels.py   the same for rows with several labels, by a logistic regression for each label
_inputs.py          validation of embeddings, and numbering of labels
"""

from tercet._lazy import peer_names
from tercet.evaluation.label_evaluator import LabelEvaluator
from tercet.evaluation.nested import nested_metrics
from tercet.evaluation.retrieval import Ranking, label_metrics, triplet_accuracy
from tercet.evaluation.sentence_evaluator import SentenceEvaluator, SequentialEvaluator
from tercet.evaluation.triplet_evaluator import TripletEvaluator

__all__ = [
    "LabelEvaluator",
    "Ranking",
    "SentenceEvaluator",
    "SequentialEvaluator",
    "TripletEvaluator",
    "label_metrics",
    "nested_metrics",
    "triplet_accuracy",
]

__getattr__ = peer_names(__name__)  # names that sentence-transformers has here
