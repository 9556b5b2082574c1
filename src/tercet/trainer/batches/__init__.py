"""Make batches of the rows of prepared data sets.

sampling.py         SamplingTrainer: choose which rows are a batch
checks.py           check that a data set has a batch, and that an evaluation set can be measured
tokenizing.py       TokenizingTrainer: token ids of the rows, once or batch by batch
rows.py             the rows that a data loader reads
collate.py          tokenize sentences, and pack rows into a batch
dataloading.py      DataLoadingTrainer: create the data loaders
stream_batches.py   draw the batches of a stream
split_batches.py    split each batch evenly over the processes
collating_ahead.py  CollatingAheadTrainer: collate the next batches in a thread while a GPU computes
"""
