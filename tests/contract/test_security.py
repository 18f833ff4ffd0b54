"""Each promise of SECURITY.md names tests that are there."""

from __future__ import annotations

import ast
import re

import pytest

from . import ROOT

TEXT = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py(?:::\w+)*)`", TEXT)))
PROMISES = re.findall(r"^\*\*.*?(?=\n\n)", TEXT, re.MULTILINE | re.DOTALL)


def names_in(tree: ast.AST) -> dict[str, ast.AST]:
    """Functions and classes, by their names."""
    found = ast.iter_child_nodes(tree)
    return {node.name: node for node in found if isinstance(node, ast.FunctionDef | ast.ClassDef)}


def test_there_are_promises():
    assert len(PROMISES) > 10


@pytest.mark.parametrize("promise", PROMISES, ids=lambda promise: promise[2:40])
def test_each_is_tested(promise: str):
    assert "\nTested: `tests/" in promise


@pytest.mark.parametrize("name", NAMED)
def test_what_it_names_is_there(name: str):
    path, *steps = name.split("::")
    node: ast.AST = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    for step in steps:
        node = names_in(node)[step]
