"""The shape of every module."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from . import ROOT

MODULES = sorted(path.relative_to(ROOT) for path in (ROOT / "crtool").rglob("*.py"))
ATTICS = {"base", "common", "helper", "helpers", "misc", "tools", "util", "utils"}


def test_there_are_modules():
    assert len(MODULES) > 50


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_a_module_says_what_it_is_for(path: Path):
    about = ast.get_docstring(ast.parse((ROOT / path).read_text(encoding="utf-8")))

    assert about


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_a_module_fits_into_a_head(path: Path):
    assert len((ROOT / path).read_text(encoding="utf-8").splitlines()) <= 400


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_no_attic(path: Path):
    assert path.stem not in ATTICS


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_nobody_imports_everything(path: Path):
    for node in ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            assert "*" not in [alias.name for alias in node.names]


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_what_a_module_gives_away_is_there_and_in_order(path: Path):
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    listed = [names for node in tree.body if (names := _listed(node)) is not None]
    assert len(listed) <= 1
    for names in listed:
        assert len(names) == len(set(names))
        if path.name != "__init__.py":
            assert set(names) <= _defined(tree)


def _listed(node: ast.stmt) -> list[str] | None:
    """The names of a plain ``__all__ = [...]``."""
    if isinstance(node, ast.Assign) and [ast.unparse(target) for target in node.targets] == ["__all__"]:
        return [str(name) for name in ast.literal_eval(node.value)] if isinstance(node.value, ast.List) else None
    return None


def _defined(tree: ast.Module) -> set[str]:
    """What the statements of a module bind, at its top or in an ``if`` or ``try`` there."""
    found: set[str] = set()
    todo: list[ast.AST] = list(tree.body)
    while todo:
        node = todo.pop()
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            found |= {(alias.asname or alias.name).split(".")[0] for alias in node.names}
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
        else:
            todo += ast.iter_child_nodes(node)
    return found


def test_every_folder_with_modules_is_a_package():
    folders = {path.parent for path in MODULES}

    assert not [folder for folder in folders if not (ROOT / folder / "__init__.py").exists()]
