"""The base class of the modules of a model."""

from pathlib import Path
from typing import Any

from torch import nn

from tercet.encoder.features import Features
from tercet.errors import ModelError, listed

# The methods of modules of sentence-transformers that return the dimension of their output.
_SIZE_METHODS = ("get_embedding_dimension", "get_sentence_embedding_dimension", "get_word_embedding_dimension")
_UNKNOWN = object()


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

    def get_embedding_dimension(self) -> int | None:
        """Return `output_size`."""
        return self.output_size

    get_sentence_embedding_dimension = get_embedding_dimension

    def forward(self, features: Features) -> Features:
        """Return the features with the output of this module, which is a new entry or replaces an entry."""
        raise NotImplementedError

    def save(self, folder: str | Path) -> None:
        """Write the settings and the weights into an existing folder."""
        raise NotImplementedError


def check_dimension(name: str, value: object) -> None:
    """Raise `ModelError` unless `value` is a positive integer."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ModelError(f"{name} must be a positive integer, got {value!r}")


def one_name(name: str, value: Any, others: dict[str, Any], *names: str) -> Any:
    """Return the value of an argument that has several names, or None if none is given.

    Args:
        name: the name in messages.
        value: the value by this name.
        others: further arguments. Those called `names` are removed from it.

    Raises:
        ModelError: values are given by two names.
    """
    given = {key: others.pop(key) for key in names if key in others}
    found = [item for item in (value, *given.values()) if item is not None]
    if len(found) > 1:
        raise ModelError(f"{listed(given)} and {name} are the same argument; pass one of them")
    return found[0] if found else None


def embedding_dimension(modules: dict[str, Any]) -> int:
    """Return the dimension of the sentence embedding: the last `output_size` of the modules that is not None.

    Modules of the user may have the methods of sentence-transformers for it, such as `get_embedding_dimension`.

    Args:
        modules: the modules by name, from the first to the last.

    Raises:
        ModelError: `output_size` is None for every module, or a module at the end has no such attribute.
    """
    for name, module in reversed(modules.items()):
        size = _output_size(module)
        if size is _UNKNOWN:
            raise ModelError(
                f"module {name} ({type(module).__name__}) has no attribute output_size; set it to the dimension of the "
                "sentence_embedding that the module returns, or to None if the module does not change the dimension"
            )
        if size is not None:
            return int(size)
    raise ModelError(
        "the model returns no sentence embedding: output_size is None for every module; add a Pooling module, or set "
        "output_size in the module that returns sentence_embedding"
    )


def _output_size(module: Any) -> Any:
    if hasattr(module, "output_size"):
        return module.output_size
    methods = (getattr(module, name, None) for name in _SIZE_METHODS)
    return next((method() for method in methods if callable(method)), _UNKNOWN)
