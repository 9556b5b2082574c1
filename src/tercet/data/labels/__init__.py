"""Number the labels, and check them.

numbering.py            labels → ids and names
labelled_sentences.py   sentences with the ids and the names of their labels
trainable.py            checks that labels form triplets
set_counts.py           counts what sets of labels have in common
doubts.py               warns about rows that are probably wrong
corrections.py          reads which label issues of a list are accepted
corrected_columns.py    puts accepted labels into the columns of a table
"""
