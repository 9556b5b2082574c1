"""Run encoders on packed batches, which have no padding: one row contains the tokens of all sentences.

packing.py         Packing, pack and split: concatenate the sentences of a batch, and record their lengths
attention.py       attention within each sentence of a packed row
varlen.py          the same in one kernel on a CUDA GPU; varlen_kernels.py has the kernels, varlen_check.py tests them
layers.py          the layers of BERT and its relatives; layer_functions.py has their gradients
buckets.py         sentences of similar length in rows of equal width
architectures.py   the architectures that are supported, and their forward pass on a packed row
self_check.py      compare the hidden states of a packed row with those of a padded batch
dropout.py         dropout that draws its masks faster on a CPU
"""

from tercet.encoder.packing.packing import Packing, pack, split

__all__ = ["Packing", "pack", "split"]
