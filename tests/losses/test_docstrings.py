"""The examples in the docstrings of losses, distances and evaluation run, and print what they say."""

import doctest
import importlib
import pkgutil

import pytest

import tercet.distances
import tercet.evaluation
import tercet.losses

_PACKAGES = (tercet.distances, tercet.evaluation, tercet.losses)
_MODULES = [
    module.name for package in _PACKAGES for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
]


@pytest.mark.parametrize("name", _MODULES)
def test_examples(name):
    assert doctest.testmod(importlib.import_module(name)).failed == 0


def test_there_are_examples():
    finder = doctest.DocTestFinder()
    modules = map(importlib.import_module, _MODULES)
    assert sum(bool(test.examples) for module in modules for test in finder.find(module)) >= 8
