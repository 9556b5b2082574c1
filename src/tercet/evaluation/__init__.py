"""Evaluate embeddings: retrieval metrics, and evaluators that compute the metrics of a model.

retrieval.py    `label_metrics`, `triplet_accuracy`, `Ranking`, and the functions that score a ranking
evaluators.py   `LabelEvaluator` and `TripletEvaluator`, which embed sentences and return metrics
logistic.py     logistic regression on embeddings
_inputs.py      validation of embeddings, and numbering of labels
"""

from tercet.evaluation.evaluators import LabelEvaluator, TripletEvaluator
from tercet.evaluation.retrieval import Ranking, label_metrics, triplet_accuracy

__all__ = ["LabelEvaluator", "Ranking", "TripletEvaluator", "label_metrics", "triplet_accuracy"]
