"""Linear heads: train a matrix on embeddings that were computed once, with the losses of Tercet.

A head improves the embeddings of any model in seconds, because the model itself is not trained.

linear.py     `LinearHead`, the matrix and its application
training.py   `train_head` and its settings
"""

from typing import TYPE_CHECKING

from tercet._lazy import lazy_names

if TYPE_CHECKING:
    from tercet.heads.linear import LinearHead
    from tercet.heads.training import HeadSettings, train_head

__all__ = ["HeadSettings", "LinearHead", "train_head"]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "linear": ("LinearHead",),
        "training": ("HeadSettings", "train_head"),
    },
)
