"""Tercet trains text-embedding models with triplet losses.

The public names are loaded when first used, so that `import tercet` and `tercet --help` are quick.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from tercet.version import __version__

if TYPE_CHECKING:
    from tercet import distances, evaluation, losses
    from tercet.encoder.model import SentenceTransformer
    from tercet.training.arguments import SentenceTransformerTrainingArguments
    from tercet.training.trainer import SentenceTransformerTrainer


_HOMES = {
    "SentenceTransformer": "tercet.encoder.model",
    "SentenceTransformerTrainer": "tercet.training.trainer",
    "SentenceTransformerTrainingArguments": "tercet.training.arguments",
}
_MODULES = ("distances", "evaluation", "losses")

__all__ = [
    "SentenceTransformer",
    "SentenceTransformerTrainer",
    "SentenceTransformerTrainingArguments",
    "__version__",
    "distances",
    "evaluation",
    "losses",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    if name in _MODULES:
        return import_module(f"tercet.{name}")
    raise AttributeError(f"module 'tercet' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
