"""Import names when they are first used, so that importing a package is fast.

Names and module paths of sentence-transformers are found by `tercet.compat`, which is imported only for them.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any


def lazy_names(
    package: str, modules: Mapping[str, Sequence[str]], missing: Callable[[str], Any] | None = None
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Return the functions `__getattr__` and `__dir__` of a package.

    Args:
        package: the `__name__` of the package.
        modules: the names that each module of the package provides. The modules are names of the package too.
        missing: called with any other name.
    """

    def get(name: str) -> Any:
        if name in modules:
            return import_module(f"{package}.{name}")
        for module, names in modules.items():
            if name in names:
                return getattr(import_module(f"{package}.{module}"), name)
        if missing is not None:
            return missing(name)
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    return get, lambda: sorted({*vars(sys.modules[package]), *sys.modules[package].__all__})


def peer_names(package: str) -> Callable[[str], Any]:
    """Return a `__getattr__` of a package for the names that the same package of sentence-transformers has."""

    def get(name: str) -> Any:
        if name.startswith("_"):  # Python looks for many such names, such as `__wrapped__`.
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return import_module("tercet.compat.finder").find_name(package, name)

    return get


class PeerPathFinder:
    """The last finder of imports: it finds modules of `tercet` that only sentence-transformers has as files."""

    @staticmethod
    def find_spec(fullname: str, path: Sequence[str] | None, target: Any = None) -> Any:
        """Return the spec of a module path of sentence-transformers, or None; see `tercet.compat.finder`."""
        if not fullname.startswith("tercet."):
            return None
        return import_module("tercet.compat.finder").find_spec(fullname)
