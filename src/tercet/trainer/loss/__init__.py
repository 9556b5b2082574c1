"""Use losses of any form: those of Tercet, of sentence-transformers and of the user.

kinds.py         losses around another loss, with `forward` alone, or one for each data set
parameters.py    the parameters of a custom loss: check, train and save them
multi_labels.py  rows with several labels: the ids of their sets, and the relation of the loss
"""
