"""The engine of the batch losses: exact losses and gradients, computed block by block. Private to `tercet.losses`.

engine.py                   the loop over blocks, and the loss as an autograd function
inputs.py                   the tensors to differentiate, and the size of a block
levels.py                   the weighted sum of the losses of several levels, from the same blocks of distances
label_groups.py             the positives of each anchor: the candidates with its label
shared_label_groups.py      the positives of each anchor: the candidates that share a label with it
distance_sources.py         the interface that provides blocks of distances, and two implementations
matrix_product_source.py    the fast implementation, for functions of the Euclidean norm
double_product_source.py    the same for small batches on a GPU, which never waits for the device
block_gradient.py           backpropagation through one block of distances
kernels.py                  counting and searching in a block, for the miners
stats.py                    LossStats
precision.py                matrix products in full float32 precision
"""
