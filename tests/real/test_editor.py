"""vim in a terminal, typed into by a script that holds the terminal's other end."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from .midwork import PROGRAMS, Program, need, progress

Survives = Callable[[Program], None]


def file_to_edit(folder: Path) -> None:
    (folder / "text").write_text("".join(f"line {number} was here before\n" for number in range(40)))


@need("vim")
def test_vim(survives: Survives) -> None:
    """What is typed before and after the interruption ends up in the file; macros and undo live on."""
    survives(
        Program(
            "vim",
            (sys.executable, str(PROGRAMS / "type_into_vim.py"), "text"),
            prepare=file_to_edit,
            working=progress(8),
            results=("text",),
        )
    )
