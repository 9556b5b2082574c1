"""Prepare the data sets of a trainer.

preparing.py      PreparingTrainer, which uses the others: prepare each data set, and remember facts about it
columns.py        find and check the columns, and number the labels
prepared_sets.py  facts about a prepared data set, and the parts of several ones
prompts.py        find the prompt of each text column
routing.py        find the task of each text column, for a model with a Router
streaming.py      a stream as training data, and what it cannot do
stream_labels.py  number the labels of a stream
"""
