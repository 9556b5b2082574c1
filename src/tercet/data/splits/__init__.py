"""Divide rows: to train on, to evaluate on, and into folds.

splits.py            rows to train on and rows to evaluate on
evaluation_rows.py   the rows of evaluation data that are measured
folds.py             folds for cross-validation
"""
