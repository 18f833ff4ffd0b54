"""``restart --user`` imports everything before it becomes somebody else: he may not be able to read it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from crtool.cli import another_user

from . import ROOT

SEPARATE = tuple(f"{name}." for name in another_user._SEPARATE)
LISTED = {*another_user._LATE, *another_user._OF_COMPRESSION, *another_user._OF_KEYS}


def dotted(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts) + "."


def imported(node: ast.AST, *, late: bool = False) -> Iterator[tuple[str, bool]]:
    """What is imported below *node*, by ways in which Python would look for it, and whether it is in a function."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test):
            continue
        if isinstance(child, ast.Import):
            yield from ((alias.name, late) for alias in child.names)
        elif isinstance(child, ast.ImportFrom) and child.module:
            yield child.module, late
            if child.module == "lz4":  # what it gives are modules
                yield from ((f"lz4.{alias.name}", late) for alias in child.names)
        yield from imported(child, late=late or isinstance(child, ast.FunctionDef))


def test_all_that_is_imported_late_is_listed() -> None:
    found = {
        each
        for path in (ROOT / "crtool").rglob("*.py")
        if not dotted(path).startswith(SEPARATE)
        for each in imported(ast.parse(path.read_text(encoding="utf-8")))
        if not each[0].startswith("crtool")
    }
    early = {name for name, late in found if not late}
    late = {name for name, late in found if late} - early - {"lz4"}

    assert {"psutil", "lz4.block", "zstandard"} <= late
    assert set() == late - LISTED
