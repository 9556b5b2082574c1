"""Tercet trains text-embedding models with triplet losses.

The public names are loaded when first used, so that `import tercet` and `tercet --help` are quick.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from tercet._version import __version__

if TYPE_CHECKING:
    from tercet import distances, evaluation, losses
    from tercet.encoder.sentence_transformer import SentenceTransformer
    from tercet.trainer.arguments import SentenceTransformerTrainingArguments
    from tercet.trainer.trainer import SentenceTransformerTrainer


_HOMES = {
    "SentenceTransformer": "tercet.encoder.sentence_transformer",
    "SentenceTransformerTrainer": "tercet.trainer.trainer",
    "SentenceTransformerTrainingArguments": "tercet.trainer.arguments",
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
