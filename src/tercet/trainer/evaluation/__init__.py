"""Evaluate a model during its training.

evaluating.py           EvaluatingTrainer: compute the loss of evaluation batches, and run the evaluators
distributed_encoder.py  encode each sentence in one of the processes
best_metric.py          check that an evaluation returns the metric of the best model
"""
