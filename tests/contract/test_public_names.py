"""``import crtool``: the public names."""

from __future__ import annotations

import ast
import inspect

import pytest

import crtool
from crtool import errors

from . import ROOT


def test_they_are_in_order():
    assert sorted(crtool.__all__) == crtool.__all__


@pytest.mark.parametrize("name", crtool.__all__)
def test_each_is_there_and_documented(name):
    value = getattr(crtool, name)

    assert name in dir(crtool)
    if name != "__version__":
        assert inspect.getdoc(value)
        assert value.__module__.startswith("crtool.")


def test_a_type_checker_sees_the_same_names():
    tree = ast.parse((ROOT / "crtool" / "__init__.py").read_text(encoding="utf-8"))
    (block,) = [node for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"]
    names = [alias for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names]
    seen = {alias.asname for alias in names if alias.asname}  # which gives them out

    assert set(crtool.__all__) - {"__version__"} == seen


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'nix'"):
        crtool.nix  # noqa: B018


@pytest.mark.parametrize("verb", ["checkpoint", "restart", "check", "show", "verify"])
def test_a_verb_has_hints_for_everything(verb):
    signature = inspect.signature(getattr(crtool, verb))

    assert signature.return_annotation is not inspect.Signature.empty
    assert all(parameter.annotation is not inspect.Parameter.empty for parameter in signature.parameters.values())


def test_all_errors_are_public():
    assert set(errors.__all__) - {"RemoteCallError"} <= set(crtool.__all__)


def test_the_types_are_shipped():
    assert (ROOT / "crtool" / "py.typed").exists()
