"""Number the labels, and check them.

labels.py        numbers the labels; defines `LabelledSentences`
set_counts.py    counts what sets of labels have in common
doubts.py        warns about rows that are probably wrong
corrections.py   applies accepted label issues to a table
"""
