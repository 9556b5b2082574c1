"""Evaluation: metrics of labelled embeddings, and evaluators that compute them for a model.

retrieval.py    rankings, per-query metrics as pure functions of a ranking, and `label_metrics`
evaluators.py   objects that embed sentences with a model and return metrics
_inputs.py      checks of embeddings, and numbering of labels
"""

from tercet.evaluation.evaluators import LabelEvaluator, TripletEvaluator
from tercet.evaluation.retrieval import Ranking, label_metrics, triplet_accuracy

__all__ = ["LabelEvaluator", "Ranking", "TripletEvaluator", "label_metrics", "triplet_accuracy"]
