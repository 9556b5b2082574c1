"""The triplet losses as pure functions of tensors.

Embeddings are `(batch, dim)`, labels are `(batch,)`, and the loss is a scalar. Sentences may have several labels: a
list of sets or lists of labels, or a bool matrix `(batch, num_labels)`; a positive then shares a label with the anchor,
and a negative shares none. `nested_triplet_loss` takes labels with several levels. `margin` has the unit of the
distance. `distance` is a name in the catalogue (such as `"euclidean"`, `"cosine"` or `"manhattan"`), a
`tercet.distances.Distance`, or a function.

An anchor counts in a batch loss if the batch contains a positive (another sentence with the same label) and a negative
(a sentence with another label). If no anchor counts, the loss and its gradient are 0. If every anchor counts, the loss
and its gradient are the same as in sentence-transformers.

The losses raise `EmbeddingError` if a shape is invalid, an embedding contains NaN, infinity or a value whose square
does not fit in its dtype (see `tercet.distances.check_norms`), the labels are invalid (see `as_label_tensor`), the
margin is not a finite number of at least 0, or the distance is unknown. Embeddings may also be arrays or nested lists.
The batch losses compute the distances block by block, so memory grows linearly with the batch size. With a distance
function it grows with the square, because the complete distance matrix and its autograd graph are kept. The batch
losses cannot be differentiated twice, nor with `torch.func`. `tercet.losses.reference` has the same losses as plain
loops.

triplets.py   the loss of given triplets
batch.py      the losses that mine triplets in a batch
nested.py     the loss of nested labels
labels.py     labels as ids
checks.py     check the embeddings and labels of a batch
"""

from tercet.losses.functional.batch import (
    batch_all_triplet_loss,
    batch_hard_soft_margin_triplet_loss,
    batch_hard_triplet_loss,
    batch_loss_with_stats,
    batch_semi_hard_triplet_loss,
    loss_with_miner,
)
from tercet.losses.functional.labels import anchors_with_triplet, as_label_tensor
from tercet.losses.functional.nested import nested_triplet_loss
from tercet.losses.functional.triplets import triplet_loss

__all__ = [
    "anchors_with_triplet",
    "as_label_tensor",
    "batch_all_triplet_loss",
    "batch_hard_soft_margin_triplet_loss",
    "batch_hard_triplet_loss",
    "batch_loss_with_stats",
    "batch_semi_hard_triplet_loss",
    "loss_with_miner",
    "nested_triplet_loss",
    "triplet_loss",
]
