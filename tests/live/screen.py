"""A terminal with a person at it: what is typed, and what is waited for on the screen."""

from __future__ import annotations

import os
import pty
import select
import signal
import sys
import time
from pathlib import Path
from types import TracebackType

__all__ = ["Screen"]

REPOSITORY = Path(__file__).resolve().parents[2]
PATIENCE = 30.0


class Screen:
    """A pseudoterminal whose session is led by *command*, with nothing else open."""

    def __init__(self, *command: str) -> None:
        self.seen = b""  # what has come and was not waited for
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            try:
                os.closerange(3, 1024)
                os.chdir(REPOSITORY)
                environment = {"PATH": os.environ["PATH"], "LC_ALL": "C", "PS1": "$ ", "TERM": "dumb"}
                os.execvpe(command[0], command, environment)
            finally:
                os._exit(127)

    @classmethod
    def shell(cls) -> Screen:
        """One with an interactive shell that has said its prompt."""
        screen = cls("bash", "--norc", "--noprofile", "-i")
        screen.expect("$ ")
        return screen

    @classmethod
    def crtool(cls, *arguments: str) -> Screen:
        """One whose session is led by crtool itself."""
        return cls(sys.executable, "-m", "crtool", *arguments)

    def __enter__(self) -> Screen:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()

    def type(self, keys: str) -> None:
        os.write(self.fd, keys.encode())

    def run(self, *words: str | Path) -> None:
        """Types a command line."""
        self.type(" ".join(map(str, words)) + "\n")

    def expect(self, text: str) -> str:
        """Waits until *text* has come; returns what came up to its end."""
        until = time.monotonic() + PATIENCE
        while text.encode() not in self.seen:
            assert time.monotonic() < until, f"{text!r} has not come, but {self.seen!r}"
            if select.select([self.fd], [], [], 0.1)[0]:
                try:
                    self.seen += os.read(self.fd, 4096)
                except OSError:  # nobody has the other end any more
                    raise AssertionError(f"{text!r} has not come before the end, but {self.seen!r}") from None
        end = self.seen.index(text.encode()) + len(text.encode())
        found, self.seen = self.seen[:end], self.seen[end:]
        return found.decode()

    def status(self) -> int:
        """Waits until the leader has ended; its exit status, or minus the signal."""
        status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        self.pid = 0
        return status

    def end(self) -> None:
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
            self.pid = 0
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1
