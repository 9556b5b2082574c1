"""Normalize: sentence embeddings of length 1."""

from pathlib import Path

from torch.nn import functional as F

from tercet._files import read_json
from tercet.encoder.features import Features
from tercet.encoder.modules.base import Module
from tercet.errors import ModelError


class Normalize(Module):
    """A module that scales `sentence_embedding` `(batch, dim)` to length 1."""

    @classmethod
    def load(cls, folder: Path) -> "Normalize":
        """Read the module from a folder.

        Raises:
            ModelError: the folder describes a module that normalizes another feature.
        """
        config = read_json(folder / "config.json") if (folder / "config.json").exists() else {}
        if config.get("module_input_name", "sentence_embedding") != "sentence_embedding":
            raise ModelError(f"{folder} normalizes {config['module_input_name']!r}, which is not supported")
        return cls()

    def forward(self, features: Features) -> Features:
        """Scale the sentence embeddings to length 1."""
        return {**features, "sentence_embedding": F.normalize(features["sentence_embedding"], dim=1)}

    def save(self, folder: Path) -> None:
        """Write nothing: the module has no settings."""
