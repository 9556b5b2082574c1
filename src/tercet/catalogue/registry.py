"""Registries of specs by name, which installed packages can add to."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any, Generic, TypeVar

from tercet.catalogue.specs import DistanceSpec, FileFormatSpec, LossSpec, MetricSpec, Reference
from tercet.errors import TercetError, did_you_mean, listed

PLUGIN_GROUP = "tercet.plugins"

Spec = TypeVar("Spec", LossSpec, DistanceSpec, MetricSpec, FileFormatSpec)


class Registry(Mapping[str, Spec], Generic[Spec]):
    """A mapping from names to specs, in the order of registration.

    The first read of any registry calls the functions of the installed plugins.

    Raises:
        TercetError: at the first read, if a plugin fails. Every later read of a registry raises the same error.
    """

    def __init__(self, kind: str, specs: Iterable[Spec]) -> None:
        self._kind = kind
        self._specs: dict[str, Spec] = {}
        for spec in specs:
            self.register(spec)

    def register(self, spec: Spec) -> Spec:
        """Add a spec and return it.

        Raises:
            TercetError: the registry already has a spec with this name.
        """
        if spec.name in self._specs:
            raise TercetError(
                f"the catalogue already has a {self._kind} named {spec.name!r}; register it under another name"
            )
        self._specs[spec.name] = spec
        return spec

    def unregister(self, name: str) -> None:
        """Remove the spec with this name, or raise a `KeyError`. Tests call it to undo a registration."""
        del self._specs[name]

    def find(self, name: str, error: type[TercetError] = TercetError) -> Spec:
        """Return the spec with this name.

        Args:
            name: the name of a spec.
            error: the class of the exception if no spec has this name. The message lists the known names.

        Raises:
            TercetError: (as the class `error`) no spec has this name. (as `TercetError`) a plugin fails.
        """
        _load_plugins()
        if name not in self._specs:
            hint = did_you_mean(str(name), self._specs)
            raise error(f"unknown {self._kind} {name!r}; {hint}choose one of {listed(self._specs, limit=20)}")
        return self._specs[name]

    def __getitem__(self, name: str) -> Spec:
        _load_plugins()
        return self._specs[name]

    def __iter__(self) -> Iterator[str]:
        _load_plugins()
        return iter(self._specs)

    def __len__(self) -> int:
        _load_plugins()
        return len(self._specs)


def resolve(reference: Reference) -> Any:
    """Return the object that a reference stands for: import a string `"module:attribute"`, return any other object.

    Raises:
        ImportError, AttributeError: the module or the attribute does not exist.
    """
    return _imported(reference) if isinstance(reference, str) else reference


@cache  # A loss asks for its distance in every step.
def _imported(reference: str) -> Any:
    module, _, attribute = reference.partition(":")
    return getattr(import_module(module), attribute)


_plugins_loaded = False
_plugin_error: TercetError | None = None


def _load_plugins() -> None:
    """Call the entry points of the group `tercet.plugins`, once per process. After an error, raise it at every call."""
    global _plugins_loaded, _plugin_error
    if _plugin_error is not None:
        raise _plugin_error
    if _plugins_loaded:
        return
    _plugins_loaded = True  # set before the calls, because a plugin may read a registry itself
    for plugin in entry_points(group=PLUGIN_GROUP):
        try:
            register: Callable[[], object] = plugin.load()
            register()
        except Exception as error:
            package = plugin.dist.name if plugin.dist else "unknown"
            _plugin_error = TercetError(
                f"the plugin {plugin.name!r} ({plugin.value}) of the package {package!r} failed with "
                f"{type(error).__name__}: {error}; update the package or uninstall it"
            )
            raise _plugin_error from error
