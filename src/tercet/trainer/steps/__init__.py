"""Run training steps.

memories.py               MemoryTrainer: remember past batches: cross-batch memory, label means
label_means.py            mean embeddings of the labels
training_step.py          StepTrainer: compute the loss of a batch and its gradient
gradient_cache.py         a training step on a batch that is larger than memory
learning_rates.py         give parameters their own learning rates
trained_rows_training.py  TrainedRowsTrainer: train only the word embeddings of training tokens
trained_rows.py           a layer of word embeddings of which some rows are trained
sharded_training.py       ShardedTrainer: train a model that is sharded over the processes, and gather it to save it
sharding.py               shard a model over the processes (FSDP)
pace.py                   measure the seconds of a step
"""
