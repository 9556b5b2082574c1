"""The base class of the modules of a model."""

from pathlib import Path
from typing import Any

from torch import nn

from tercet.encoder.features import Features
from tercet.errors import ModelError


class Module(nn.Module):
    """A module of a `SentenceTransformer`, which receives features and returns features.

    The modules of Tercet also define a class method `load`, which reads the folder that `save` writes, and the folders
    of sentence-transformers 3.x to 6.x. They write the layout of 3.x, which all these versions can read (exception: see
    `Pooling.save`). A module of another class can be saved, but `SentenceTransformer` cannot load it.
    """

    @property
    def output_size(self) -> int | None:
        """The dimension of `sentence_embedding` after this module; None if the module does not change or create it."""
        return None

    def forward(self, features: Features) -> Features:
        """Return the features with the output of this module, which is a new entry or replaces an entry."""
        raise NotImplementedError

    def save(self, folder: Path) -> None:
        """Write the settings and the weights into an existing folder."""
        raise NotImplementedError


def check_dimension(name: str, value: object) -> None:
    """Raise `ModelError` unless `value` is a positive integer."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ModelError(f"{name} must be a positive integer, got {value!r}")


def embedding_dimension(modules: dict[str, Any]) -> int:
    """Return the dimension of the sentence embedding: the last `output_size` of the modules that is not None.

    Args:
        modules: the modules by name, from the first to the last.

    Raises:
        ModelError: `output_size` is None for every module, or a module at the end has no such attribute.
    """
    for name, module in reversed(modules.items()):
        if not hasattr(module, "output_size"):
            raise ModelError(
                f"module {name} ({type(module).__name__}) has no attribute output_size; set it to the dimension of the "
                "sentence_embedding that the module returns, or to None if the module does not change the dimension"
            )
        if module.output_size is not None:
            return int(module.output_size)
    raise ModelError(
        "the model returns no sentence embedding: output_size is None for every module; add a Pooling module, or set "
        "output_size in the module that returns sentence_embedding"
    )
