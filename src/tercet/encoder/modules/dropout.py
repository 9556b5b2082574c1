"""Dropout: a module that drops values of the sentence embedding while the model is trained."""

from pathlib import Path

from torch import nn

from tercet._files import read_json, write_json
from tercet.encoder.features import Features
from tercet.encoder.modules.base import Module
from tercet.errors import ModelError


class Dropout(Module):
    """A module that sets a fraction of the values of `sentence_embedding` to 0 in training mode, and scales the others.

    Args:
        dropout: the probability that a value is dropped.

    Raises:
        ModelError: `dropout` is not a number from 0 to 1.
    """

    def __init__(self, dropout: float = 0.2) -> None:
        super().__init__()
        if not isinstance(dropout, (int, float)) or not 0 <= dropout <= 1:
            raise ModelError(f"dropout must be a number from 0 to 1, got {dropout!r}")
        self.dropout = dropout
        self.dropout_layer = nn.Dropout(dropout)

    @classmethod
    def load(cls, folder: str | Path) -> "Dropout":
        """Read the module from a folder; raise `ModelError` if `config.json` is missing or invalid."""
        folder = Path(folder)
        return cls(read_json(folder / "config.json").get("dropout", 0.2))

    def forward(self, features: Features) -> Features:
        """Drop values in training mode."""
        return {**features, "sentence_embedding": self.dropout_layer(features["sentence_embedding"])}

    def save(self, folder: str | Path) -> None:
        """Write `config.json`."""
        folder = Path(folder)
        write_json(folder / "config.json", {"dropout": self.dropout})
