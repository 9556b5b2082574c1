"""Find the columns of texts, labels and triplets.

columns.py         by their usual names
guessing.py        by words in their names, or by their values
level_columns.py   joins several label columns to one column of nested labels
"""
