"""Batches without padding: the sentences of a batch lie end to end in one row of tokens.

packing.py         Packing, pack and split: rows of tokens and where their sentences lie
attention.py       attention within each sentence of a packed row
architectures.py   which architectures run on a packed row, and how
self_check.py      compares a model on a packed row with itself on a padded batch
dropout.py         dropout masks that are quicker to draw on a CPU
"""

from tercet.encoder.packing.packing import Packing, pack, split

__all__ = ["Packing", "pack", "split"]
