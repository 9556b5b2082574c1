"""A pytest plugin that swaps the import: `sentence_transformers` is Tercet where Tercet has the name, else itself.

Loaded by `python -m tests.peer` with `-p peer_plugin`, in the tests of sentence-transformers. `PEER_SWAP=0` swaps
nothing, to find the tests that pass with sentence-transformers itself in this place. The outcome of each test, and
whether code of Tercet ran in it, is written to the file in `PEER_RESULTS`.
"""

import json
import os
import pkgutil
import sys
from importlib import import_module
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any

import datasets
import pytest
import sentence_transformers

import tercet

_SOURCE = str(Path(tercet.__file__).parent)
_COMPAT = str(Path(_SOURCE) / "compat")
_SWAPS = os.environ.get("PEER_SWAP", "1") == "1"
_results: dict[str, dict[str, Any]] = {}


class Swapped(ModuleType):
    """A module of sentence-transformers, with the names of Tercet where Tercet has them."""

    def __init__(self, theirs: ModuleType) -> None:
        super().__init__(theirs.__name__, theirs.__doc__)
        ours = theirs.__name__.replace("sentence_transformers", "tercet", 1)
        try:
            self.__dict__["_ours"] = import_module(ours)
        except ImportError:
            self.__dict__["_ours"] = None
        self.__dict__["_theirs"] = theirs
        for name in ("__file__", "__path__", "__spec__"):
            if hasattr(theirs, name):
                self.__dict__[name] = getattr(theirs, name)

    def __getattr__(self, name: str) -> Any:
        if (submodule := sys.modules.get(f"{self.__name__}.{name}")) is not None and not name[0].isupper():
            return submodule
        if self._ours is not None and not name.startswith("_"):
            try:
                return getattr(self._ours, name)
            except (AttributeError, ImportError):
                pass
        return getattr(self._theirs, name)

    def __setattr__(self, name: str, value: Any) -> None:
        # A test that replaces a function means the one that their code calls.
        if not isinstance(value, Swapped):
            setattr(self._theirs, name, value)
        super().__setattr__(name, value)

    def __dir__(self) -> list[str]:
        return sorted({*dir(self._theirs), *(dir(self._ours) if self._ours else ())})


def _swap() -> None:
    for module in pkgutil.walk_packages(sentence_transformers.__path__, "sentence_transformers."):
        try:
            import_module(module.name)
        except Exception:  # a part of an extra that is not installed
            continue
    theirs = {name: module for name, module in sys.modules.items() if name.partition(".")[0] == "sentence_transformers"}
    for name, module in theirs.items():
        if isinstance(module, ModuleType):
            sys.modules[name] = Swapped(module)


def _stsb(*args: Any, split: str | None = None, **options: Any) -> Any:
    """The columns of STSb with other sentences, because the hub cannot be reached."""
    words = ["team", "bank", "soup", "train", "hotel", "game", "market", "bread", "coast", "goal"]
    pairs = [(f"the {a} is near the {b}", f"a {b} near a {a}") for a in words for b in words]
    rows = {"sentence1": [a for a, _ in pairs], "sentence2": [b for _, b in pairs],
            "score": [(row % 11) / 10 for row in range(100)]}  # fmt: skip
    part = datasets.Dataset.from_dict(rows)
    parts = datasets.DatasetDict({"train": part, "validation": part, "test": part})
    return parts if split is None else parts[split]


def _load_dataset(name: str, *args: Any, **options: Any) -> Any:
    return (_stsb if name == "sentence-transformers/stsb" else _real_load_dataset)(name, *args, **options)


_real_load_dataset, datasets.load_dataset = datasets.load_dataset, _load_dataset
if _SWAPS:
    _swap()


def _watch(nodeid: str) -> None:
    """Note whether a function of Tercet is called from now on."""

    def hook(frame: FrameType, event: str, argument: Any) -> None:
        path = frame.f_code.co_filename
        if event == "call" and path.startswith(_SOURCE) and not path.startswith(_COMPAT):
            _results[nodeid]["touched"] = True
            sys.setprofile(None)

    if _SWAPS:
        sys.setprofile(hook)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Begin the result of a test."""
    _results[item.nodeid] = {"outcome": "passed", "touched": False, "message": ""}


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Any:
    """Watch the test, but not its fixtures, which copy models: a hook on each call makes that slow."""
    _watch(item.nodeid)
    try:
        return (yield)
    finally:
        sys.setprofile(None)


@pytest.hookimpl(trylast=True)
def pytest_runtest_logfinish(nodeid: str) -> None:
    """Write the result of a test."""
    _write(nodeid)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Record the worst outcome of set-up, call and tear-down."""
    result = _results.setdefault(report.nodeid, {"outcome": "passed", "touched": False, "message": ""})
    if report.outcome != "passed" and result["outcome"] != "failed":
        result["outcome"] = report.outcome
        crash = getattr(report.longrepr, "reprcrash", None)
        result["message"] = (crash.message if crash else str(report.longrepr)).split("\n")[0][:200]


def pytest_collectreport(report: pytest.CollectReport) -> None:
    """Record a file that cannot be imported."""
    if report.failed:
        _results[report.nodeid] = {"outcome": "failed", "touched": True, "message": str(report.longrepr)[-300:]}
        _write(report.nodeid)


def _write(nodeid: str) -> None:
    """Append the result of a test to the file, so that a run that is stopped keeps its results."""
    if path := os.environ.get("PEER_RESULTS"):
        with Path(path).open("a") as file:
            file.write(json.dumps({"test": nodeid, **_results[nodeid]}) + "\n")
