"""LayerNorm: a module that normalizes the values of each sentence embedding."""

from pathlib import Path
from typing import Any

from torch import nn

from tercet._files import read_json, write_json
from tercet.encoder.features import Features
from tercet.encoder.modules.base import Module, check_dimension
from tercet.encoder.modules.weights import check_shape, read_weights, write_weights


class LayerNorm(Module):
    """A module that applies `torch.nn.LayerNorm` to `sentence_embedding` `(batch, dimension)`.

    Raises:
        ModelError: `dimension` is not a positive integer.
    """

    def __init__(self, dimension: int) -> None:
        super().__init__()
        check_dimension("dimension", dimension)
        self.norm = nn.LayerNorm(dimension)

    @classmethod
    def load(cls, folder: str | Path) -> "LayerNorm":
        """Read the module from a folder.

        Raises:
            ModelError: a file is missing or damaged, or the weights do not have the dimension in `config.json`.
        """
        folder = Path(folder)
        dimension: Any = read_json(folder / "config.json").get("dimension")
        check_dimension(f"{folder / 'config.json'}: dimension", dimension)
        check_shape(folder, "norm.weight", [dimension], "the dimension")
        module = cls(dimension)
        read_weights(module, folder)
        return module

    @property
    def output_size(self) -> int:
        """The dimension of the sentence embedding."""
        return self.norm.normalized_shape[0]

    def forward(self, features: Features) -> Features:
        """Normalize each sentence embedding."""
        return {**features, "sentence_embedding": self.norm(features["sentence_embedding"])}

    def save(self, folder: str | Path) -> None:
        """Write `config.json` and the weights."""
        folder = Path(folder)
        write_json(folder / "config.json", {"dimension": self.output_size})
        write_weights(self, folder)
