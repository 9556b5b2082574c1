"""Clean texts and labels: leave out incomplete rows, and give odd labels one form.

rules.py             what to do with incomplete rows and odd labels
cleaning.py          the steps: incomplete rows, white space, combined and similar labels
incomplete_rows.py   finds rows without a text or a label
resolving.py         applies `combined_labels` and `similar_labels`
combined_labels.py   finds cells with several labels
label_forms.py       finds labels that differ only in form, or stand for a missing one
messages.py          parts of the messages
copies.py            finds copies of a text, and the overlap of two data sets
"""
