"""Load and check data: the steps of the other packages, one after the other.

training_data.py      the rows to train on and those to evaluate on
evaluation_splits.py  finds the split to evaluate on
labelled.py           labelled sentences
triplets.py           triplets
vectors.py            vectors and their labels
"""
