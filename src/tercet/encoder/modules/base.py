"""The base class of the modules of a model."""

from pathlib import Path
from typing import Any

from torch import nn

from tercet.encoder.features import Features
from tercet.errors import ModelError


class Module(nn.Module):
    """A module of a `SentenceTransformer`: takes and returns features, and is saved in one folder.

    A subclass also has a class method `load`, which reads the folder that `save` writes. Folders are written in the
    oldest layout of sentence-transformers, which all its versions read, and are read in all layouts from 3.x to 6.x.
    """

    @property
    def output_size(self) -> int | None:
        """The dimension of the sentence embedding that the module returns; None if it does not change the dimension."""
        return None

    def forward(self, features: Features) -> Features:
        """Return the features with the module's output added."""
        raise NotImplementedError

    def save(self, folder: Path) -> None:
        """Write settings and weights into an existing folder."""
        raise NotImplementedError


def embedding_dimension(modules: dict[str, Any]) -> int:
    """Return the dimension of the sentence embedding that a sequence of modules returns.

    Args:
        modules: the modules by name, in their order.

    Raises:
        ModelError: a module has no attribute `output_size`, or it is None for all of them.
    """
    for name, module in reversed(modules.items()):
        if not hasattr(module, "output_size"):
            raise ModelError(
                f"module {name} ({type(module).__name__}) has no output_size: give it this attribute, the dimension "
                "of its sentence_embedding, or None if it does not change the dimension"
            )
        if module.output_size is not None:
            return int(module.output_size)
    raise ModelError("this model has no pooling, so it has no sentence embedding")
