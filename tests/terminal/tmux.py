"""A terminal of tmux: what is typed into it, and what stands on its screen."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

__all__ = ["PROMPT", "Tmux"]

PROMPT = "ready> "
PATIENCE = 60.0

# Neither is there a file of the user's, nor do they offer what he has typed before.
_SHELLS = {
    "bash": ["env", f"PS1={PROMPT}", "bash", "--norc", "--noprofile", "-i"],
    "zsh": ["env", f"PS1={PROMPT}", "zsh", "-f", "-i"],
    "fish": ["fish", "--no-config", "--private", "-i", "-C", f"function fish_prompt; printf '{PROMPT}'; end"],
}


class Tmux:
    """A server of its own with one window, in which a shell stands in *folder*, with ``crtool`` in its PATH."""

    def __init__(self, folder: Path, shell: str = "bash", columns: int = 80, lines: int = 24, **more: str) -> None:
        self.folder = folder
        self._socket = folder / "tmux"
        bin = folder / "bin"
        bin.mkdir(exist_ok=True)
        (bin / "crtool").write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m crtool "$@"\n')
        (bin / "crtool").chmod(0o755)
        self._environment = {
            "PATH": f"{bin}:{os.environ['PATH']}",
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
            "HOME": str(folder),
            "LC_ALL": "C.UTF-8",
            "TMUX_TMPDIR": str(folder),
            **more,
        }
        size = ("-x", str(columns), "-y", str(lines))
        self._tmux("-f", "/dev/null", "new-session", "-d", *size, shlex.join(_SHELLS[shell]))
        self.at_prompt()

    def __enter__(self) -> Tmux:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._tmux("kill-server")  # hangs up: what runs in there ends

    def _tmux(self, *words: str) -> str:
        done = subprocess.run(
            ["tmux", "-S", self._socket, *words], cwd=self.folder, env=self._environment, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, check=True, timeout=PATIENCE,
        )  # fmt: skip
        return done.stdout

    def type(self, text: str) -> None:
        """Types *text* as it is."""
        self._tmux("send-keys", "-l", "--", text)

    def press(self, *keys: str) -> None:
        """Presses keys, by the names that tmux has for them: Enter, Tab, C-c."""
        self._tmux("send-keys", *keys)

    def run(self, line: str) -> None:
        """Types a command line, and sees that it has arrived before Enter is pressed."""
        self.type(line)
        echo = line.rstrip().replace(" ", "")
        self.wait_until(lambda lines: "".join(lines).replace(" ", "").endswith(echo), line)
        self.press("Enter")

    def screen(self) -> list[str]:
        """The lines of the screen down to the last that has something on it."""
        return self._tmux("capture-pane", "-p").rstrip("\n").split("\n")

    def ask(self, format: str) -> str:
        """What tmux knows of the window, as FORMATS in tmux(1) says."""
        return self._tmux("display-message", "-p", format).rstrip("\n")

    def record(self, file: Path) -> None:
        """Writes every byte that comes from now on to *file*."""
        self._tmux("pipe-pane", f"cat > {shlex.quote(str(file))}")

    def wait_until(self, condition: Callable[[list[str]], bool], what: str) -> list[str]:
        """Waits for a screen of which *condition* is true, and returns it."""
        until = time.monotonic() + PATIENCE
        while not condition(lines := self.screen()):
            assert time.monotonic() < until, "\n".join([f"not on the screen: {what}", *lines])
            time.sleep(0.05)
        return lines

    def expect(self, text: str) -> list[str]:
        """Waits until *text* stands somewhere on the screen."""
        return self.wait_until(lambda lines: any(text in line for line in lines), text)

    def at_prompt(self) -> list[str]:
        """Waits until the shell is there again; the lines between the last command and the prompt."""
        lines = self.wait_until(lambda lines: lines[-1] == PROMPT.rstrip(), "the prompt")[:-1]
        starts = [at for at, line in enumerate(lines) if line.startswith(PROMPT)]
        return lines[starts[-1] + 1 if starts else 0 :]
