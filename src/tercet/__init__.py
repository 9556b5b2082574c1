"""Tercet trains text-embedding models with triplet losses.

    functions    train, compare, inspect, evaluate (the commands of these names call them), load_model
    classes      SentenceTransformer, SentenceTransformerTrainer, SentenceTransformerTrainingArguments, RunSettings
    modules      losses, evaluation, distances, catalogue
    errors       TercetError and its subclasses DataError, ModelError, EmbeddingError

Functions, classes and modules are imported when they are first used, so that `import tercet` is fast.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from tercet._version import __version__
from tercet.errors import DataError, EmbeddingError, ModelError, TercetError

if TYPE_CHECKING:
    from tercet import catalogue, distances, evaluation, losses
    from tercet.comparison import compare
    from tercet.encoder import SentenceTransformer, load_model
    from tercet.inspection import inspect
    from tercet.runs import RunSettings, evaluate, train
    from tercet.trainer import SentenceTransformerTrainer, SentenceTransformerTrainingArguments

__all__ = [
    "DataError",
    "EmbeddingError",
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

_PACKAGE_OF_TOP_LEVEL_NAME = {
    "RunSettings": "tercet.runs",
    "SentenceTransformer": "tercet.encoder",
    "SentenceTransformerTrainer": "tercet.trainer",
    "SentenceTransformerTrainingArguments": "tercet.trainer",
    "compare": "tercet.comparison",
    "evaluate": "tercet.runs",
    "inspect": "tercet.inspection",
    "load_model": "tercet.encoder",
    "train": "tercet.runs",
}
_MODULES = ("catalogue", "distances", "evaluation", "losses")


def __getattr__(name: str) -> Any:
    if name in _PACKAGE_OF_TOP_LEVEL_NAME:
        return getattr(import_module(_PACKAGE_OF_TOP_LEVEL_NAME[name]), name)
    if name in _MODULES:
        return import_module(f"tercet.{name}")
    raise AttributeError(f"module 'tercet' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
