"""Fuzzers: hostile model folders, checkpoints, data files, output folders and embeddings.

outcome.py          what may happen in a case: it ends right, or it is refused in one clear sentence
mutate.py           change files and JSON values at random
model_folders.py    a saved model with one thing broken is loaded and used
checkpoints.py      a training is resumed from checkpoints with one file broken
data_files.py       labelled data in odd but valid files, and in damaged files
output_folders.py   a model is trained into a folder that holds files of the user
embeddings.py       losses and metrics of extreme embeddings against plain loops

`make fuzz` runs them for an hour; `test_fuzz.py` runs a few cases of each, with fixed seeds.
"""
