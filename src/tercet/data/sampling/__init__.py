"""Sample P×K batches. `tercet.data.batch_samplers` has the batch samplers that users name.

sampler.py               P labels with K sentences each
multi_label_sampler.py   the same for rows with several labels
neighbor_labels.py       puts labels that are near each other into the same batch
"""
