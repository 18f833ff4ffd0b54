"""A desktop: an X server in memory and a terminal emulator on it, with what runs in that."""

from __future__ import annotations

import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import psutil

from .midwork import PATIENCE, need
from .test_servers import Server, until

SESSION = """
Xvfb -screen 0 640x480x24 -nolisten tcp -displayfd 3 3>display 2>/dev/null &
until [ -s display ]; do sleep 0.05; done
export DISPLAY=:$(cat display)
xterm -title counter -e "$@" 2>/dev/null &
wait
"""
COUNTER = """
import os, time
for number in range(1_000_000):
    print(number, file=open("new", "w"))
    os.rename("new", "count")
    print(number)
    time.sleep(0.05)
"""


def test_an_x_server_and_a_terminal_emulator(tmp_path: Path) -> None:
    """Killed and restarted: the same windows, the same connection, and the counter in the terminal goes on."""
    need("Xvfb", "xterm", "xwininfo")
    desktop = Server(tmp_path, ["sh", "-c", SESSION, "sh", sys.executable, "-c", COUNTER])
    try:
        until(lambda: count(tmp_path) > 5)
        windows = tree(tmp_path)
        assert '"counter"' in windows
        desktop.again()
        seen = count(tmp_path)

        until(lambda: count(tmp_path) > seen + 5)
        assert windows == tree(tmp_path)
    finally:
        members = psutil.Process(desktop.root).children(recursive=True)
        desktop.end()
        for member in members:
            with suppress(psutil.NoSuchProcess):
                member.kill()


def count(folder: Path) -> int:
    try:
        return int((folder / "count").read_text())
    except FileNotFoundError:
        return 0


def tree(folder: Path) -> str:
    """The windows with their numbers, names and places; asked by a client of its own."""
    command = ["xwininfo", "-root", "-tree", "-display", f":{(folder / 'display').read_text().strip()}"]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=PATIENCE).stdout
