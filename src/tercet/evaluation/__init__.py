"""Is the model better? Metrics of embeddings (`metrics`) and evaluators of models."""

from tercet.evaluation.evaluators import LabelEvaluator, TripletEvaluator
from tercet.evaluation.retrieval import label_metrics, triplet_accuracy

__all__ = ["LabelEvaluator", "TripletEvaluator", "label_metrics", "triplet_accuracy"]
