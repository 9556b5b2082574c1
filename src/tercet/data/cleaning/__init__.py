"""Clean texts and labels, and find what is probably not what it seems.

cleaning.py          leaves out incomplete rows, and cleans labels as `ReadOptions` says
combined_labels.py   finds cells with several labels
label_forms.py       finds labels that differ only in form, or stand for a missing one
copies.py            finds copies of a text, and the overlap of two data sets
"""
