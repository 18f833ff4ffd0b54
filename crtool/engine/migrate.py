"""The story of ``crtool migrate``: a tree goes on on another host, and only then ends here.

The image is streamed through ssh(1) to ``crtool receive``. When all of it is there and everything is restored, the
other end waits, and so does the tree here, still frozen. Then, in this order:

1. Everybody here gets a SIGSTOP, which takes effect as soon as crtool lets go of them, even by being killed.
2. The other end is told to go on.
3. It says that everything runs.
4. Everybody here is killed.

Before 2, whatever breaks, the tree goes on here, and the other end, which does not get its word, ends what it has.
Between 2 and 3 nobody can know (it is the problem of the two generals): the tree then stays stopped here, and crtool
says so. So it does if crtool is killed between 1 and 3: there is no instant at which "stopped" could be had together
with "told". It never runs at both places, and is never lost.

From 1 on no signal is heard any more: the answer comes soon, and whoever wants an end learns what has become of it.
"""

from __future__ import annotations

import os
import select
import shlex
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from types import FrameType
from typing import Any

from crtool.engine.checkpoint import checkpoint
from crtool.engine.migrate_wire import GO, PROTOCOL, failure, frame, said
from crtool.engine.preflight import survey
from crtool.engine.results import MigrateResult, Progress
from crtool.errors import CrtoolError, EnvironmentDiffers, InternalError, NotFound, ObstacleError, TimeoutExpired
from crtool.image.writer import ImageWriter
from crtool.kernel.interruption import nothing
from crtool.kernel.wait import deadline_in
from crtool.resources.policy import Policy, Stdio, Tcp, Unix

__all__ = ["SSH", "migrate", "watchful"]

# -T: no terminal. A connection that is silently gone is noticed after a minute, while the tree stands still.
_WATCHFUL = ("-T", "-o", "ServerAliveInterval=20", "-o", "ServerAliveCountMax=3")
SSH = ("ssh", *_WATCHFUL)
_HEARD = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_OF_THE_TERMINAL = (signal.SIGINT, signal.SIGHUP)
_PATIENCE = 90.0  # seconds for the answer to "go": the other end has only to let go
_FAREWELL = 5.0  # seconds for ssh to end, when everything is done


def migrate(
    pid: int,
    host: str,
    *,
    ssh: Sequence[str] = SSH,
    remote_crtool: str = "crtool",
    pidns: bool | None = None,
    timeout: float | None = None,
    stdio: Stdio = "refuse",
    tcp: Tcp = "keep",
    unix: Unix = "refuse",
    sysvipc: bool = False,
    progress: Callable[[Progress], None] | None = None,
    done: Callable[[], None] = nothing,
) -> MigrateResult:
    """Moves process *pid* and all its descendants to *host*, where *remote_crtool* is the command of crtool.

    *ssh*: the command that connects, with its options. *pidns* is for the restart there. Returns when the tree runs
    there and has ended here. Called from the main thread it hears no SIGINT, SIGTERM, SIGHUP from the last word on,
    of which *done* is told.

    Raises what checkpoint raises, what a restart there raises, with the host before its message, and
    EnvironmentDiffers if the connection fails: the tree then goes on here, or, where the message says so, is stopped.
    """
    start = time.monotonic()
    report = survey(pid, Policy(stdio=stdio, tcp=tcp, unix=unix, sysvipc=sysvipc))
    if report.obstacles:
        raise ObstacleError(report.obstacles)
    namespace = "" if pidns is None else " --pidns" if pidns else " --no-pidns"
    # The shell of the other host reads it: ~/bin/crtool, or python3 -m crtool.
    with _Connection(pid, host, [*ssh, host, f"{remote_crtool} receive{namespace}"], timeout) as wire:
        wire.greet(shlex.join([*ssh, host]))
        saved = checkpoint(
            pid, ImageWriter(wire), leave="killed", timeout=timeout, stdio=stdio, tcp=tcp, unix=unix, sysvipc=sysvipc,
            progress=progress, held=wire.meet, done=done,
        )  # fmt: skip
        there = wire.result
    return MigrateResult(
        pid=pid,
        host=host,
        remote_pid=there["pid"],
        processes=saved.processes,
        size=saved.size,
        pages_written=saved.pages_written,
        pages_skipped=saved.pages_skipped,
        frozen_seconds=saved.frozen_seconds,
        wall_seconds=time.monotonic() - start,
        pidns=there["pidns"],
        warnings=(*saved.warnings, *(f"{host}: {line}" for line in (there["reason"], *there["warnings"]) if line)),
        stages=saved.stages,
    )


def watchful(command: Sequence[str]) -> list[str]:
    """*command* with the options by which ssh notices that the connection is gone, if it is ssh.

    They come last: of an option that is given twice, ssh takes the first.
    """
    return [*command, *(_WATCHFUL if os.path.basename(command[0]) == "ssh" else ())]


class _Connection:
    """The other host, as a place that an image is written to; it is committed when the tree runs there."""

    def __init__(self, pid: int, host: str, command: Sequence[str], timeout: float | None) -> None:
        self.name = host
        self.result: dict[str, Any] = {}
        self._pid = pid
        self._tree: Mapping[int, bool] = {}
        self._greeted = False
        self._deafness = ExitStack()
        self._deadline = deadline_in(timeout)
        try:
            # What the terminal sends to all in the foreground is for crtool: without ssh nobody would hear the answer.
            with _handled(_OF_THE_TERMINAL, signal.SIG_IGN):
                self._ssh = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
        except OSError as error:
            why = f"{command[0]} cannot be executed: {error.strerror}"
            raise NotFound(why, "install it, or name another command with --ssh") from None
        assert self._ssh.stdin is not None
        assert self._ssh.stdout is not None
        self._to, self._from = self._ssh.stdin.fileno(), self._ssh.stdout.fileno()

    def __enter__(self) -> _Connection:
        return self

    def __exit__(self, *exc: object) -> None:
        with self._deafness:  # the tree here is dead by now, if it is to be
            self.discard()
            if not self._greeted:
                self._ssh.terminate()  # one that asks for a password leaves the terminal as it was
            with suppress(subprocess.TimeoutExpired):
                self._ssh.wait(_FAREWELL)
            if self._ssh.poll() is None:
                self._ssh.kill()
                self._ssh.wait()
            if self._ssh.stdout is not None:
                self._ssh.stdout.close()

    def greet(self, connect: str) -> None:
        """Waits for the first word of the other end. *connect*: how a human tries the same."""
        key, value = self._listen()
        self._greeted = bool(key)
        if key == "hello" and value == PROTOCOL:
            return
        if key == "hello":
            raise EnvironmentDiffers(
                f"{self.name}: its crtool speaks version {value} of migration, this one {PROTOCOL}",
                "install the same crtool on both hosts",
            )
        if key == "failed":
            raise failure(self.name, value)
        with suppress(subprocess.TimeoutExpired):
            self._ssh.wait(_FAREWELL)
        status = self._ssh.poll()
        if status in (126, 127):
            raise EnvironmentDiffers(f"{self.name}: there is no crtool", "install it there, or see --remote-crtool")
        if status == 255:  # ssh(1): "255 if an error occurred"
            raise EnvironmentDiffers(f"{self.name} cannot be reached", f"try: {connect}")
        raise EnvironmentDiffers(
            f"{self.name}: its crtool did not answer as one should (status {status})",
            f"try: {connect} crtool --version",
        )

    def meet(self, tree: Mapping[int, bool]) -> None:
        """Gets to know the frozen tree: its PIDs, each with whether job control has stopped it."""
        self._tree = tree

    @property
    def direct(self) -> int:
        """Nobody else can write."""
        return -1

    def write(self, view: memoryview | bytes) -> None:
        """Sends *view*; nothing is sent of an empty one, which would be the end of the image."""
        if view:
            self._frame(view)

    def _frame(self, view: memoryview | bytes) -> None:
        try:
            frame(self._to, view, self.name)
        except CrtoolError:
            raise self._broken() from None

    def skip(self, nbytes: int) -> None:
        """Nobody else can have written."""
        raise InternalError(f"{self.name}: {nbytes} bytes are missing")

    def read_back(self, view: memoryview, offset: int) -> None:
        """What is gone is gone."""
        raise InternalError(f"{self.name}: {len(view)} bytes at {offset} cannot be read back")

    def hand_over(self, heed: Callable[[], None]) -> None:
        """The other end says by itself when it has all."""

    def commit(self, done: Callable[[], None] = nothing) -> None:
        """Steps 1 to 3; afterwards it is for the caller to kill the tree."""
        self._frame(b"")
        key, value = self._listen()
        if key != "ready":
            raise failure(self.name, value) if key == "failed" else self._broken()
        done()  # what is decided from here on nobody can change
        self._deafness.enter_context(_handled(_HEARD, _come_too_late))
        # Who stands still already is to do so when all others go on, here or there.
        going = [pid for pid, stopped in self._tree.items() if not stopped]
        _send(going, signal.SIGSTOP)
        with suppress(CrtoolError):  # part of it may have arrived
            frame(self._to, GO, self.name)
        # Nobody hears of a line that has gone silent, unless ssh is told to look (ServerAliveInterval).
        heard = select.select([self._from], [], [], _PATIENCE)[0]
        key, value = said(self._from) if heard else ("", {})
        if key == "failed":
            _send(going, signal.SIGCONT)
            raise failure(self.name, value)
        if key != "running":
            everybody = " ".join(map(str, self._tree))
            back = f"kill -CONT {' '.join(map(str, going))}" if going else "it is as it was"
            raise EnvironmentDiffers(
                f"the connection to {self.name} broke just when it was told to go on; whether it does is not "
                f"known, and PID {self._pid} is left stopped here",
                f"if it runs on {self.name}: kill -KILL {everybody}; if not: {back}",
            )
        self.result = value

    def discard(self) -> None:
        """Says nothing more: without the word, the other end ends what it has."""
        if self._ssh.stdin is not None:
            with suppress(OSError):
                self._ssh.stdin.close()

    def _listen(self) -> tuple[str, Any]:
        if self._deadline is not None:
            left = max(0.0, self._deadline - time.monotonic())
            if not select.select([self._from], [], [], left)[0]:
                raise TimeoutExpired(f"{self.name} did not answer in the time given", "give it more --timeout")
        return said(self._from)

    def _broken(self) -> CrtoolError:
        """Why nothing can be sent any more: the other end may have said so."""
        key, value = said(self._from)
        if key == "failed":
            return failure(self.name, value)
        return EnvironmentDiffers(
            f"the connection to {self.name} broke; PID {self._pid} goes on here", "see what ssh has said, and try again"
        )


def _send(pids: Sequence[int], number: int) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def _come_too_late(number: int, frame: FrameType | None) -> None:
    """Handles a signal by doing nothing: what it asks for has been decided."""


@contextmanager
def _handled(numbers: Sequence[signal.Signals], handler: signal.Handlers | Callable[..., None]) -> Iterator[None]:
    """Lets *handler* handle signals. A mask would not do: other threads of crtool would take them.

    Python's handlers run in the main thread, so a caller that is another one is not interrupted anyway.
    """
    with ExitStack() as stack:
        if threading.current_thread() is threading.main_thread():
            for number in numbers:
                if (before := signal.getsignal(number)) is not None:  # None: not Python's
                    stack.callback(signal.signal, number, before)
                    signal.signal(number, handler)
        yield
