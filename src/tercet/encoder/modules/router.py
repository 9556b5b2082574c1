"""Router: other modules for queries than for documents."""

import logging
from ast import literal_eval
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from torch import nn

from tercet._events import WarningKind
from tercet._files import read_json, write_json
from tercet.encoder.features import Features
from tercet.encoder.modules.base import embedding_dimension
from tercet.encoder.modules.input_module import InputModule
from tercet.encoder.modules.static_embedding import StaticEmbedding
from tercet.encoder.modules.weighted_layer_pooling import ask_for_layers
from tercet.encoder.token_stats import TokenStats
from tercet.errors import ModelError, listed

logger = logging.getLogger(__name__)

CONFIG = "router_config.json"
_TEXT = "text"


class Router(InputModule):
    """A module with several sequences of modules, the routes. `encode_query` and `encode_document` choose one.

    `encode(texts, task="query")` chooses by a task of any name. The training argument `router_mapping` gives each text
    column of the training data a task.

    Args:
        sub_modules: the modules of each route. The first one tokenizes the texts.
        default_route: the route without a task.
        allow_empty_key: whether the first route is the default one if `default_route` is None.
        route_mappings: the route of pairs of a task and "text"; None in a pair stands for any value. By default a task
            has the name of its route.

    Raises:
        ModelError: there is no route, a route does not exist or does not begin with a module for texts, only some
            routes return a sentence embedding, or the embeddings of the routes have different dimensions.
    """

    def __init__(
        self,
        sub_modules: Mapping[str, Sequence[nn.Module]],
        default_route: str | None = None,
        allow_empty_key: bool = True,
        route_mappings: Mapping[tuple[str | None, Any], str] | None = None,
    ) -> None:
        super().__init__()
        if not sub_modules or not all(sub_modules.values()):
            raise ModelError(f"a Router needs routes with modules, got {dict(sub_modules or {})}")
        self.route_mappings = dict(route_mappings or {})
        for route in filter(None, [default_route, *self.route_mappings.values()]):
            if route not in sub_modules:
                raise ModelError(f"the Router has no route {route!r}; its routes are {listed(sub_modules)}")
        self.sub_modules = nn.ModuleDict({name: nn.Sequential(*modules) for name, modules in sub_modules.items()})
        self.allow_empty_key = allow_empty_key
        self.default_route = default_route or (next(iter(sub_modules)) if allow_empty_key else None)
        for name, modules in sub_modules.items():
            if not isinstance(modules[0], InputModule) or isinstance(modules[0], Router):
                kind = type(modules[0]).__name__
                raise ModelError(f"the first module of the route {name!r} must be a Transformer, but it is {kind}")
        sizes = {name: _output_size(modules) for name, modules in sub_modules.items()}
        without = [name for name, size in sizes.items() if size is None]
        if 0 < len(without) < len(sizes):
            raise ModelError(
                f"the route {without[0]!r} returns no sentence embedding, but other routes do; add a Pooling module to "
                "it, or set output_size in the module that returns sentence_embedding"
            )
        if len(set(sizes.values())) > 1:
            raise ModelError(f"the routes return vectors of different dimensions: {sizes}; add a Dense module to one")
        self._output_size = next(iter(sizes.values()))
        self.warned: set[WarningKind] = set()
        self._has_logged = False

    @classmethod
    def for_query_document(
        cls,
        query_modules: Sequence[nn.Module],
        document_modules: Sequence[nn.Module],
        default_route: str | None = "document",
        allow_empty_key: bool = True,
    ) -> "Router":
        """Return a Router with the routes "query" and "document"."""
        return cls({"query": query_modules, "document": document_modules}, default_route, allow_empty_key)

    @classmethod
    def load(cls, folder: str | Path, load_module: Callable[[str, Path], nn.Module]) -> "Router":
        """Read the module from a folder.

        Args:
            folder: the folder.
            load_module: a function from the type of a module, as in `modules.json`, and its folder to the module.

        Raises:
            ModelError: `router_config.json` is missing or invalid, or a module cannot be loaded.
        """
        path = Path(folder) / CONFIG
        if not path.exists():
            path = Path(folder) / "config.json"  # before version 5 of sentence-transformers
        config = read_json(path)
        types, structure, options = (config.get(name, {}) for name in ("types", "structure", "parameters"))
        if not types or not all(isinstance(part, dict) for part in (types, structure, options)):
            raise ModelError(f"{path} must have the JSON objects types, structure and parameters")
        modules = {}
        for name, kind in types.items():
            if len(PurePosixPath(name).parts) != 1 or name in (".", "..") or "\\" in name:
                raise ModelError(f"{path} has the module {name!r}, which is no name of a folder in it")
            modules[name] = load_module(kind, Path(folder) / name)
        routes = {route: [modules[name] for name in names] for route, names in structure.items()}
        mappings = {literal_eval(pair): route for pair, route in (options.get("route_mappings") or {}).items()}
        return cls(routes, options.get("default_route"), options.get("allow_empty_key", True), mappings)

    def route(self, task: str | None) -> str:
        """Return the route of a task.

        Raises:
            ModelError: there is none.
        """
        for pair in ((task, _TEXT), (task, None), (None, _TEXT), (None, None)):
            if pair in self.route_mappings:
                return str(self.route_mappings[pair])
        if task is not None and task in self.sub_modules:
            return task
        if task is None and _TEXT in self.sub_modules:
            return _TEXT
        if task is None and self.default_route is not None:
            return self.default_route
        hint = "call encode_query or encode_document, or pass task" if task is None else "pass another task"
        raise ModelError(
            f"the Router has no route for task={task!r}; its routes are {listed(self.sub_modules)}; {hint}"
        )

    def for_task(self, task: str | None) -> InputModule:
        """Return the module that tokenizes the texts of a task."""
        return self._first[self.route(task)]

    def log_default_route(self) -> None:
        """Log, once, which route texts without a task take, if there are several."""
        if len(self.sub_modules) > 1 and not self._has_logged:
            self._has_logged = True
            logger.info(
                f"the texts take the route {self.route(None)!r} of {listed(self.sub_modules)}; to choose one, pass "
                "`task` to encode"
            )

    @property
    def _first(self) -> dict[str, InputModule]:
        return {name: next(modules.children()) for name, modules in self.sub_modules.items()}  # type: ignore[misc]

    @property
    def _default(self) -> InputModule:
        return self.for_task(None) if self.default_route is not None else next(iter(self._first.values()))

    @property
    def output_size(self) -> int | None:
        """The dimension of the sentence embedding; None if a module after the Router creates it."""
        return self._output_size

    @property
    def hidden_size(self) -> int:
        """The dimension of the vectors that the routes return."""
        return self._output_size or self._default.hidden_size

    @property
    def tokenizer(self) -> Any:
        """The tokenizer of the default route."""
        return self._default.tokenizer

    @property
    def max_seq_length(self) -> int | None:
        """The largest maximum number of tokens of the routes; None if one has none.

        Setting it sets that of each route, except of a `StaticEmbedding`, which has no limit to set. If a route refuses
        the value, all keep theirs.
        """
        limits = [module.max_seq_length for module in self._first.values()]
        return None if None in limits else max(limit for limit in limits if limit is not None)

    @max_seq_length.setter
    def max_seq_length(self, value: int | None) -> None:
        first = self._first.values()
        modules = [module for module in first if not isinstance(module, StaticEmbedding)] or list(first)
        before = [module.max_seq_length for module in modules]
        try:
            for module in modules:
                module.max_seq_length = value
        except Exception:
            for module, limit in zip(modules, before, strict=True):
                module.max_seq_length = limit
            raise

    @property
    def packing(self) -> bool:
        """True if all routes compute batches without padding. Setting it sets that of each route."""
        return all(module.packing for module in self._first.values())

    @packing.setter
    def packing(self, value: bool) -> None:
        for module in self._first.values():
            module.packing = value

    @property
    def word_embeddings(self) -> nn.Module:
        """The layer of the word embeddings of the default route."""
        return self._default.word_embeddings

    def tokenize(self, texts: list[str]) -> Features:
        """Tokenize texts for the default route."""
        return self._default.tokenize(texts)

    def token_ids(self, texts: list[str], stats: TokenStats | None = None) -> list[list[int]]:
        """Return the token ids of each text for the default route."""
        return self._default.token_ids(texts, stats)

    def token_counts(self, texts: list[str]) -> list[int]:
        """Return the number of tokens of each text for the default route."""
        return self._default.token_counts(texts)

    def token_settings(self) -> tuple[Any, ...]:
        """Return what the token ids of a text depend on, for all routes."""
        return tuple(module.token_settings() for module in self._first.values())

    def test_batch(self) -> tuple[Features, bool]:
        """Return a batch of two texts to test a route with, and whether their tokens differ."""
        features, differ = self._default.test_batch()
        return {**features, "route": self.default_route or next(iter(self.sub_modules))}, differ

    def forward(self, features: Features) -> Features:
        """Run the modules of the route of `task` in the features, or of the default route."""
        modules = self.sub_modules[features.get("route") or self.route(features.get("task"))]
        features = ask_for_layers(modules, features)  # type: ignore[arg-type]
        for module in modules.children():
            features = module(features)
        return features

    def save(self, folder: str | Path) -> None:
        """Write the modules of each route into a subfolder each, and `router_config.json`."""
        names: dict[Any, str] = {}
        structure: dict[str, list[str]] = {}
        for route, modules in self.sub_modules.items():
            structure[route] = []
            for index, module in enumerate(modules.children()):
                if module not in names:
                    names[module] = f"{route}_{index}_{type(module).__name__}"
                    (Path(folder) / names[module]).mkdir(exist_ok=True)
                    save: Any = module.save
                    save(Path(folder) / names[module])
                structure[route].append(names[module])
        types = {name: f"sentence_transformers.models.{type(module).__name__}" for module, name in names.items()}
        options = {
            "default_route": self.default_route,
            "allow_empty_key": self.allow_empty_key,
            "route_mappings": {str(pair): route for pair, route in self.route_mappings.items()},
        }
        write_json(Path(folder) / CONFIG, {"types": types, "structure": structure, "parameters": options})


def _output_size(modules: Sequence[nn.Module]) -> int | None:
    """Return the dimension of the sentence embedding of a route; None if it has none."""
    try:
        return embedding_dimension({str(index): module for index, module in enumerate(modules)})
    except ModelError:
        return None
