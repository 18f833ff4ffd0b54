"""Commands of crtool without the start of Python and without its imports, which take longer than all that they do.

Every process of the tests has one zygote, a Python that has imported everything; a command is a fork of it. Everything
else is as if the command had been executed: its descriptors, its session, its environment, its end. With CRTOOL_COLD=1
it is executed.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from .processes import become_subreaper

__all__ = ["Command", "ready", "start", "stop", "zygotes"]

REPOSITORY = Path(__file__).resolve().parents[3]
ZYGOTE = Path(__file__).parent / "zygote.py"


class Command:
    """A command that runs: what the tests use of :class:`subprocess.Popen`."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """The exit status, or minus the signal that ended it; None while it runs."""
        return self._collect(os.WNOHANG)

    def wait(self, timeout: float | None = None) -> int:
        """Waits for the end; :class:`subprocess.TimeoutExpired` after *timeout* seconds."""
        if timeout is None:
            self._collect(0)
        else:
            deadline = time.monotonic() + timeout
            pause = 0.0005
            while self.poll() is None:
                if time.monotonic() > deadline:
                    raise subprocess.TimeoutExpired(["crtool"], timeout)
                time.sleep(pause)
                pause = min(pause * 1.3, 0.02)
        assert self.returncode is not None
        return self.returncode

    def kill(self) -> None:
        if self.poll() is None:
            os.kill(self.pid, signal.SIGKILL)

    def _collect(self, options: int) -> int | None:
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, options)
            if pid:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode


class _Zygote:
    """The zygote of this process, and the socket to it."""

    def __init__(self) -> None:
        become_subreaper()
        self.owner = os.getpid()
        self.socket, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with other:
            self.process = subprocess.Popen(
                [sys.executable, str(ZYGOTE), str(other.fileno())], pass_fds=[other.fileno()],
                cwd=REPOSITORY, stdin=subprocess.DEVNULL, start_new_session=True,
            )  # fmt: skip


_zygote: _Zygote | None = None


def start(
    arguments: Sequence[str], environment: Mapping[str, str], stdout: int, stderr: int, cwd: Path = REPOSITORY
) -> Command | subprocess.Popen[bytes]:
    """Starts ``crtool ARGUMENTS`` in a session of its own, with nothing to read."""
    if os.environ.get("CRTOOL_COLD"):
        return subprocess.Popen(
            [sys.executable, "-m", "crtool", *arguments], stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr,
            env=dict(environment), cwd=cwd, start_new_session=True,
        )  # fmt: skip
    ready()
    assert _zygote is not None
    request = {"arguments": list(arguments), "environment": dict(environment), "cwd": str(cwd)}
    with open(os.devnull, "rb") as nothing:
        socket.send_fds(_zygote.socket, [json.dumps(request).encode()], [nothing.fileno(), stdout, stderr])
    return Command(int(_zygote.socket.recv(64)))


def ready() -> None:
    """Starts the zygote if this process has none that lives, so that it is not taken for a process of somebody's test
    later.
    """
    global _zygote  # noqa: PLW0603 - one for each process, made when it is first needed
    if _zygote is None or _zygote.owner != os.getpid() or _zygote.process.poll() is not None:
        _zygote = _Zygote()


def stop() -> None:
    """Ends the zygote of this process, if it has one."""
    global _zygote  # noqa: PLW0603 - see ready()
    if zygotes():
        assert _zygote is not None
        _zygote.socket.close()
        _zygote.process.wait()
        _zygote = None


def zygotes() -> set[int]:
    """The PID of this process's zygote, which is its child and lives as long as it."""
    return set() if _zygote is None or _zygote.owner != os.getpid() else {_zygote.process.pid}
