"""Read and check the training arguments. `tercet.trainer.arguments` has the class of all of them.

rules.py         which arguments decide the result of a run, and which are supported
value_types.py   whether an argument has a value of the right type
dictionaries.py  read arguments that are dictionaries, or the text of one in JSON
fsdp.py          read the argument that shards the model
"""
