"""Every command that a document shows is typed into a terminal, and says what it is shown to say."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

from .page import Command, Text, differences, steps
from .terminal import Terminal

ROOT = Path(__file__).resolve().parents[2]
PAGES = [page for page in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))] if "<!-- run" in page.read_text()]


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_what_is_shown_is_so(page: Path, tmp_path: Path):
    shutil.copytree(ROOT / "examples", tmp_path / "examples", ignore=shutil.ignore_patterns("__pycache__", "*.crt"))
    with Terminal(tmp_path, Path(sys.executable).parent) as terminal:
        todo = steps(page)
        for step, after in zip(todo, [*todo[1:], None], strict=True):
            if isinstance(step, Text):
                (tmp_path / step.name).write_text(step.text)
                continue
            status, said = terminal.run(step.text)
            missing = differences(step.expected, said)
            told = "\n".join(said)
            assert missing is None, f"$ {step.text}\n{told}\n\nThis line has not come: {missing}"
            asked = isinstance(after, Command) and after.text == "echo $?"
            assert status == 0 or asked, f"$ {step.text}\n{told}\n\nexit status {status}"
