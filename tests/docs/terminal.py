"""An interactive bash on a terminal: a command at a time, what it says and its exit status."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import termios
import time
from pathlib import Path
from types import TracebackType

__all__ = ["Terminal"]

PATIENCE = 90.0  # seconds for one command
_END = re.compile(rb"@@(\d+)@@\r\n")


class Terminal:
    """One that stands in *folder*, with crtool from *bin* in its PATH. All that it has started ends with it."""

    def __init__(self, folder: Path, bin: Path) -> None:
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            try:
                os.closerange(3, 1024)
                os.chdir(folder)
                environment = {
                    "PATH": f"{bin}:{os.environ['PATH']}",
                    "HOME": str(folder),
                    "LC_ALL": "C.UTF-8",
                    "PS1": "",
                    "PS2": "",
                    "TERM": "dumb",
                    "TMPDIR": str(folder),
                }
                os.execvpe("bash", ["bash", "--norc", "--noprofile", "--noediting", "-i"], environment)
            finally:
                os._exit(127)
        attributes = termios.tcgetattr(self.fd)
        attributes[3] &= ~termios.ECHO
        termios.tcsetattr(self.fd, termios.TCSANOW, attributes)
        self._seen = b""
        self.run("true")

    def __enter__(self) -> Terminal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.write(self.fd, b"\x03\nkill -KILL $(jobs -p) 2>/dev/null; wait; exit 0\n")
        until = time.monotonic() + 5
        while not (ended := os.waitpid(self.pid, os.WNOHANG)[0]) and time.monotonic() < until:
            if select.select([self.fd], [], [], 0.05)[0]:
                try:
                    os.read(self.fd, 65536)
                except OSError:  # nobody has the other end any more
                    os.close(self.fd)
                    os.waitpid(self.pid, 0)
                    return
        if not ended:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self.fd)

    def run(self, command: str) -> tuple[int, list[str]]:
        """Types a command and waits for its end: its exit status, and the lines that have come."""
        os.write(self.fd, f"{command}\n_status=$?; printf '@@%s@@\\n' $_status; (exit $_status)\n".encode())
        until = time.monotonic() + PATIENCE
        while (end := _END.search(self._seen)) is None:
            assert time.monotonic() < until, f"{command} has not ended, but said {self._seen!r}"
            if select.select([self.fd], [], [], 0.1)[0]:
                self._seen += os.read(self.fd, 65536)
            self._reap()
        said = self._seen[: end.start()].decode(errors="replace").replace("\r", "")
        self._seen = self._seen[end.end() :]
        return int(end[1]), said.splitlines()

    def _reap(self) -> None:
        """Collects orphans, as init does: a zombie keeps its PID, which a restart needs."""
        while (dead := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)) and dead.si_pid != self.pid:
            os.waitpid(dead.si_pid, 0)
