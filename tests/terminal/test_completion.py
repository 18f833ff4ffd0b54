"""What stands on the screen when TAB is pressed, in bash, zsh and fish."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from .tmux import PROMPT, Tmux

SET_UP = {
    "bash": 'eval "$(_CRTOOL_COMPLETE=bash_source crtool)"',
    "zsh": 'autoload -Uz compinit; compinit -D; eval "$(_CRTOOL_COMPLETE=zsh_source crtool)"',
    "fish": "_CRTOOL_COMPLETE=fish_source crtool | source",
}

pytestmark = pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed")


@pytest.fixture
def sleepers() -> Iterator[list[int]]:
    """Two processes whose PIDs begin alike, with command lines that nobody else has."""
    processes: list[subprocess.Popen[bytes]] = []
    while len(processes) < 2 or not _alike([process.pid for process in processes[-2:]]):
        words = ["sought-by-tab", "-Sc", "import sys; sys.stdin.readline()"]
        processes.append(
            subprocess.Popen(words, executable=sys.executable, stdin=subprocess.PIPE, start_new_session=True)
        )
    yield [process.pid for process in processes[-2:]]
    for process in processes:
        process.communicate()


def _alike(pids: list[int]) -> str:
    return os.path.commonprefix([str(pid) for pid in pids])  # noqa: RUF071 - no paths


@pytest.mark.parametrize("shell", SET_UP)
def test_completion(shell: str, sleepers: list[int], tmp_path: Path) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    for name in ("first.crt", "second.crt"):
        (tmp_path / name).touch()
    with Tmux(tmp_path, shell) as terminal:
        terminal.run(SET_UP[shell])
        terminal.at_prompt()

        def completed(typed: str, expected: str) -> None:
            """TAB behind *typed* makes *expected* of it; then the line is cleared."""
            terminal.type(typed)
            terminal.press("Tab")
            terminal.wait_until(lambda lines: any(f"{PROMPT}{expected}" in line for line in lines), expected)
            terminal.press("C-u")
            terminal.wait_until(lambda lines: lines[-1] == PROMPT.rstrip(), "an empty line")

        completed("crtool chec", "crtool check")  # "check" and "checkpoint" have that in common
        completed("crtool restart --det", "crtool restart --detach")
        completed("crtool show se", "crtool show second.crt")
        completed(f"crtool checkpoint {sleepers[0]}", f"crtool checkpoint {sleepers[0]}")

        terminal.type(f"crtool checkpoint {_alike(sleepers)}")
        terminal.press("Tab", *["Tab"] * (shell == "bash"))
        # bash shows no descriptions
        sought = str(sleepers[1]) if shell == "bash" else "sought-by-tab"
        terminal.wait_until(lambda lines: sum(sought in line for line in lines) >= 1, sought)
