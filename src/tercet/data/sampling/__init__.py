"""Sample P×K batches. `tercet.data.batch_samplers` has the batch samplers that users name.

sampler.py               P labels with K sentences each; its docstring has the algorithm
groups.py                divides the rows of each label into groups, and chooses those of an epoch
assignment.py            assigns groups to batches
label_space.py           numbers labels, and checks their mean embeddings
multi_label_sampler.py   the same for rows with several labels
neighbor_labels.py       puts labels that are near each other into the same batch
"""
