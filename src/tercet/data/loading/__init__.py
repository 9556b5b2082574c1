"""Load and check data: the steps of the other packages, one after the other.

loading.py    labelled sentences, triplets, and the data of a training
vectors.py    vectors and their labels
"""
