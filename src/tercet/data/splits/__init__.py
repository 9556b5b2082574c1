"""Divide rows: to train on, to evaluate on, and into folds.

held_out.py          rows to train on and rows to evaluate on
evaluation_rows.py   the rows of evaluation data that are measured
trained_texts.py     the hashes of the texts that a model was trained on
folds.py             folds for cross-validation
"""
