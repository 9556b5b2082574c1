"""The engine of the batch losses: exact losses and gradients over blocks of anchors. Private to `tercet.losses`.

engine.py             the loop over blocks; the loss as an autograd function
label_groups.py       which candidates are the positives of each anchor
distance_sources.py   where blocks of distances come from: the interface and two implementations
matrix_product.py     the fast implementation, for functions of the Euclidean norm
block_gradient.py     derivatives by the distances of a block, and autograd through a block
kernels.py            counting and searching in a block, for the miners
stats.py              LossStats
precision.py          float32 matrix products
"""
