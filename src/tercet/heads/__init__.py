"""Linear heads: train a matrix on embeddings that were computed once, with the losses of Tercet.

A head improves the embeddings of any model in seconds, because the model itself is not trained.

linear.py             `LinearHead`, the matrix and its application
labels.py             the labels of the rows: one, several or nested
training.py           `train_head` and its settings
choice.py             `choose_head`, which chooses the settings of a head, or no head
cross_validation.py   scores of heads by cross-validation over the training rows
scoring.py            scores of embeddings by the labels of their rows
decision.py           the decision between heads and no head by their scores
storage.py            `save_head` and `load_head`
models.py             `append_head`, which makes a head part of a model
"""

from typing import TYPE_CHECKING

from tercet._lazy import lazy_names

if TYPE_CHECKING:
    from tercet.heads.choice import HeadChoice, choose_head
    from tercet.heads.decision import HeadScore
    from tercet.heads.linear import LinearHead
    from tercet.heads.models import append_head
    from tercet.heads.storage import load_head, save_head
    from tercet.heads.training import HeadSettings, train_head

__all__ = [
    "HeadChoice",
    "HeadScore",
    "HeadSettings",
    "LinearHead",
    "append_head",
    "choose_head",
    "load_head",
    "save_head",
    "train_head",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "choice": ("HeadChoice", "choose_head"),
        "decision": ("HeadScore",),
        "linear": ("LinearHead",),
        "models": ("append_head",),
        "storage": ("load_head", "save_head"),
        "training": ("HeadSettings", "train_head"),
    },
)
