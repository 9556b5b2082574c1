"""Find the columns of texts, labels and triplets.

names.py           the usual names of columns, and checks of given names
labelled.py        finds texts and labels by usual names, or by types
triplets.py        finds anchors, positives and negatives
guessing.py        finds texts and labels by words in their names, or by their values
content.py         checks that a column of texts has texts
level_columns.py   joins several label columns to one column of nested labels
"""
