"""Save models and checkpoints, resume from them, and upload them.

checkpointing.py      CheckpointingTrainer: save the model, write checkpoints, resume from them
writing.py            write checkpoints atomically, and remove old ones
whole_checkpoints.py  find whole checkpoints, and those that are incomplete or damaged
run_identity.py       check that a checkpoint is of the same run
weights.py            load weights, and check that they are finite
best_state.py         keep the best state of a model on disk
record.py             the record of a training run, for the model card
pushing.py            PushingTrainer: upload models to the hub
"""
