"""Import the module paths of sentence-transformers under `tercet`, and explain the names that Tercet does not have."""

import sys
from importlib import import_module
from importlib.abc import Loader
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from tercet.compat.paths import ABSENT_PATHS, GROUPS, PATHS


class PeerModule(ModuleType):
    """A module at a path of sentence-transformers. Its names are those of Tercet, imported when they are used."""

    def __getattr__(self, name: str) -> Any:
        return find_name(self.__name__, name)

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *self.__all__})

    def __setattr__(self, name: str, value: Any) -> None:
        if not _hides_class(name, value):
            super().__setattr__(name, value)


class _KeepsClasses(ModuleType):
    """The type of a package of Tercet after a path such as `tercet.losses.TripletLoss` was imported.

    Importing a path sets an attribute of the package. It would replace the class of the same name by a module.
    """

    def __setattr__(self, name: str, value: Any) -> None:
        if not _hides_class(name, value):
            super().__setattr__(name, value)


class _PeerLoader(Loader):
    """The loader of the modules in `tercet.compat.paths.PATHS`."""

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """Return a new module, whose names are found when they are used."""
        return PeerModule(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Set the names that `from … import *` imports."""
        module.__all__ = sorted(GROUPS[PATHS[module.__name__.partition(".")[2]]].names)  # type: ignore[attr-defined]


def find_spec(fullname: str) -> ModuleSpec | None:
    """Return the spec of a path of sentence-transformers, or None for any other path.

    Args:
        fullname: the path of a module of `tercet` that has no file.

    Raises:
        ModuleNotFoundError: sentence-transformers has this path, Tercet has nothing of it.
    """
    path = fullname.partition(".")[2]
    if path in ABSENT_PATHS:
        raise ModuleNotFoundError(f"Tercet has no {path}: {ABSENT_PATHS[path]}", name=fullname)
    if path not in PATHS:
        return None
    parent = sys.modules[fullname.rpartition(".")[0]]
    if type(parent) is ModuleType and path.rpartition(".")[2][0].isupper():
        parent.__class__ = _KeepsClasses
    return ModuleSpec(fullname, _PeerLoader(), is_package=True)


def find_name(module: str, name: str) -> Any:
    """Return the object of Tercet that has this name in a module of sentence-transformers.

    Args:
        module: the path of the module, such as "tercet.models", or "tercet".

    Raises:
        ImportError: sentence-transformers has this name there, Tercet has not; the message says what to do.
        AttributeError: sentence-transformers has no such name there either.
    """
    path = module.partition(".")[2]
    group = GROUPS[PATHS[path]]
    if name in group.names:
        home, _, attribute = group.names[name].partition(":")
        return getattr(import_module(f"tercet.{home}"), attribute or name)
    if name in group.absent:
        theirs = ".".join(["sentence_transformers", *filter(None, [path])])
        way_out = group.absent[name].format(line=f"`from {theirs} import {name}`")
        raise ImportError(f"Tercet has no {name}: {way_out}", name=module)
    if not path and name in PATHS:
        return import_module(f"tercet.{name}")
    raise AttributeError(f"module {module!r} has no attribute {name!r}")


def _hides_class(name: str, value: Any) -> bool:
    return isinstance(value, PeerModule) and name[0].isupper()
