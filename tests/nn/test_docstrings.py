import doctest
import importlib
import pkgutil

import pytest

import mossy.nn

MODULES = sorted(module.name for module in pkgutil.walk_packages(mossy.nn.__path__, "mossy.nn."))


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings_run(name):
    found = doctest.testmod(importlib.import_module(name), optionflags=doctest.NORMALIZE_WHITESPACE)
    assert found.failed == 0


def test_some_docstrings_have_examples():
    finder = doctest.DocTestFinder()
    assert any(case.examples for name in MODULES for case in finder.find(importlib.import_module(name)))
