"""Clean texts and labels, and find what is probably not what it seems.

cleaning.py      leaves out incomplete rows, and cleans labels as `ReadOptions` says
label_forms.py   finds labels that are probably not what they seem
copies.py        finds copies of a text, and the overlap of two data sets
"""
