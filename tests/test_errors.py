"""The tree of errors: drawn at the top of its module, and each also the built-in kind that a caller expects."""

from __future__ import annotations

import builtins
import re

import pytest

import mossy
from mossy import errors

BUILT_IN = {
    "InvalidInput": ValueError,
    "InvalidDtype": TypeError,
    "UnknownMemory": KeyError,
    "EmptyMemory": LookupError,
    "MissingExtra": ImportError,
}


def test_every_error_is_a_mossy_error_and_listed():
    kinds = {name: kind for name, kind in vars(errors).items() if isinstance(kind, type)}
    assert sorted(kinds) == sorted(errors.__all__)
    assert errors.__all__ == sorted(errors.__all__)
    for kind in kinds.values():
        assert issubclass(kind, errors.MossyError)
        assert kind.__doc__
    assert mossy.MossyError is errors.MossyError


def test_every_error_is_the_built_in_kind_too():
    for name, kind in BUILT_IN.items():
        assert issubclass(getattr(errors, name), kind)
    for name in ("InvalidShape", "NotFinite", "EmptyBatch", "NothingKnown", "InvalidParameter", "InvalidTime"):
        assert issubclass(getattr(errors, name), ValueError)


def test_the_tree_in_the_module_is_the_tree():
    drawn = re.findall(r"[├└]── (\w+) *(?:\((\w+)\))?", errors.__doc__)
    assert sorted(name for name, _ in drawn) == sorted(set(errors.__all__) - {"MossyError"})
    for name, also in drawn:
        assert not also or issubclass(getattr(errors, name), getattr(builtins, also))


def test_a_message_is_not_put_in_quotes():
    assert str(errors.UnknownMemory("ids: no memory has the id 3.")) == "ids: no memory has the id 3."
    assert str(errors.UnknownMemory()) == ""


def test_a_missing_extra_says_how_to_install_it():
    with pytest.raises(ImportError, match=r"matplotlib is not installed.*pip install 'mossy\[lab\]'"):
        raise errors.MissingExtra("matplotlib", "lab")
