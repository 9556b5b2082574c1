"""Tercet trains text-embedding models with triplet losses.

    functions    train, compare, inspect, evaluate (the commands of these names call them), load_model
    classes      SentenceTransformer, SentenceTransformerTrainer, SentenceTransformerTrainingArguments, RunSettings,
                 LabelClassifier
    modules      losses, evaluation, distances, catalogue
    errors       TercetError and its subclasses DataError, ModelError, EmbeddingError

Functions, classes and modules are imported when they are first used, so that `import tercet` is fast. Names and module
paths of sentence-transformers, such as `tercet.models`, are found by `tercet.compat`.
"""

import sys
from typing import TYPE_CHECKING

from tercet._lazy import PeerPathFinder, lazy_names, peer_names
from tercet._version import __version__
from tercet.errors import DataError, EmbeddingError, ModelError, TercetError

if TYPE_CHECKING:
    from tercet import catalogue, distances, evaluation, losses
    from tercet.comparison import compare
    from tercet.decisions import LabelClassifier
    from tercet.encoder import SentenceTransformer, load_model
    from tercet.inspection import inspect
    from tercet.runs import RunSettings, evaluate, train
    from tercet.trainer import SentenceTransformerTrainer, SentenceTransformerTrainingArguments

__all__ = [
    "DataError",
    "EmbeddingError",
    "LabelClassifier",
    "ModelError",
    "RunSettings",
    "SentenceTransformer",
    "SentenceTransformerTrainer",
    "SentenceTransformerTrainingArguments",
    "TercetError",
    "__version__",
    "catalogue",
    "compare",
    "distances",
    "evaluate",
    "evaluation",
    "inspect",
    "load_model",
    "losses",
    "train",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "catalogue": (),
        "comparison": ("compare",),
        "decisions": ("LabelClassifier",),
        "distances": (),
        "encoder": ("SentenceTransformer", "load_model"),
        "evaluation": (),
        "inspection": ("inspect",),
        "losses": (),
        "runs": ("RunSettings", "evaluate", "train"),
        "trainer": ("SentenceTransformerTrainer", "SentenceTransformerTrainingArguments"),
    },
    missing=peer_names(__name__),
)

if PeerPathFinder not in sys.meta_path:
    sys.meta_path.append(PeerPathFinder)
