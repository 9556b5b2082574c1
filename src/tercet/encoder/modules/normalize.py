"""Normalize: a module that scales each sentence embedding to length 1."""

from pathlib import Path

from torch.nn import functional as F

from tercet._files import read_json
from tercet.encoder.features import Features
from tercet.encoder.modules.base import Module
from tercet.errors import ModelError


class Normalize(Module):
    """Scale each row of `sentence_embedding` `(batch, dim)` to Euclidean norm 1; a zero row stays zero."""

    @classmethod
    def load(cls, folder: str | Path) -> "Normalize":
        """Read the module from a folder.

        Raises:
            ModelError: `config.json` is invalid, or names a feature other than `sentence_embedding`.
        """
        folder = Path(folder)
        config = read_json(folder / "config.json") if (folder / "config.json").exists() else {}
        if config.get("module_input_name", "sentence_embedding") != "sentence_embedding":
            raise ModelError(
                f"{folder / 'config.json'} has the module_input_name {config['module_input_name']!r}; "
                "only 'sentence_embedding' is supported"
            )
        return cls()

    def forward(self, features: Features) -> Features:
        """Scale each sentence embedding to Euclidean norm 1."""
        return {**features, "sentence_embedding": F.normalize(features["sentence_embedding"], dim=1)}

    def save(self, folder: str | Path) -> None:
        """Write nothing: the module has no settings."""
