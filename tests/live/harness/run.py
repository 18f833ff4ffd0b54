"""One run of a specimen, in a folder of its own, and what crtool does to it.

A :class:`Run` ends with the specimen's own verdict in the file ``out``. Its methods raise :class:`Broken`, which says
what went wrong, with all that the specimen and crtool have printed so far.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from crtool.arch import cpu
from tests import surroundings

from . import warm
from .catalogue import Specimen, build
from .folder import FolderState
from .processes import Deadline, descendants, end, family, is_traced, reap_all, zombie_status

__all__ = ["Broken", "Run", "Skipped", "User"]

REPOSITORY = Path(__file__).resolve().parents[3]
PATIENCE = 30.0
"""Seconds after which a specimen that is not ready, or does not end, is taken for hung."""
PATIENCE_WITH_CRTOOL = 120.0
"""Seconds for one command of crtool; a loaded machine is slow, a hung restart is hung for ever."""


@dataclass(frozen=True)
class User:
    """An ordinary user, who needs no entry in /etc/passwd, and a Python that he may execute."""

    id: int
    python: str
    environment: dict[str, str]


class Broken(Exception):
    """The specimen, or crtool, did not do what it has to."""


class Skipped(Exception):
    """The specimen says that this machine does not have what it is about."""


class Run:
    """One run; *folder* gets ``work`` (the specimen's own), the images and the logs."""

    def __init__(
        self, specimen: Specimen, folder: Path, user: User | None = None, prefix: Sequence[str] = ()
    ) -> None:
        """*user*: who the specimen and crtool run as, if not the caller; the folder has to be his. *prefix*: a command
        that executes the specimen.
        """
        self.specimen = specimen
        self.user = user
        self.folder = folder
        self.work = folder / "work"
        self.work.mkdir()
        self.identity: dict[str, Any] = {}  # for subprocess
        if user is not None:
            os.chown(self.work, user.id, user.id)
            self.identity = {"user": user.id, "group": user.id, "extra_groups": []}
        self.out = self.work / "out"
        self.python: Sequence[str] = (sys.executable if user is None else user.python, "-m", "crtool")
        warm.ready()
        self.before = descendants()
        self.log: list[str] = []  # every command of crtool, and what it printed
        self.expected = b"ready\n"
        self.waiting: warm.Command | subprocess.Popen[bytes] | None = None  # the crtool that waits for the root
        self.images = 0
        program = build(specimen)
        self.mark = surroundings.mark()
        environment = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "SPECIMEN_MARK": self.mark}
        with open(os.devnull, "rb") as nothing:
            out = os.open(self.out, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
            self.target = subprocess.Popen(
                [*prefix, str(program)], cwd=self.work, env=environment, stdin=nothing, stdout=out, stderr=out,
                start_new_session=True, **self.identity,
            )  # fmt: skip
            if user is not None:
                os.chown(self.out, user.id, user.id)
            os.close(out)
        self.root = self.target.pid

    def await_ready(self) -> None:
        """Waits for "ready"; raises Skipped if the specimen cannot run here."""

        def decided() -> bool:
            return self.printed() != b"" or self.target.poll() is not None

        self._within(PATIENCE, "the specimen to be ready", decided)
        text = self.printed()
        if text.startswith(b"SKIP: "):
            self._within(PATIENCE, "the end of the specimen", lambda: self.target.poll() is not None)
            raise Skipped(text.removeprefix(b"SKIP: ").decode(errors="replace").strip())
        if text != self.expected:
            raise self.broken("the specimen is not ready")

    def await_rest(self) -> None:
        """Waits until the main thread sleeps in specimen_wait(), with another signal mask than a moment before."""
        self.await_ready()
        sleeping = b"%d " % cpu.NUMBERS["rt_sigsuspend"]
        self._within(
            PATIENCE,
            "the specimen to wait",
            lambda: Path(f"/proc/{self.root}/syscall").read_bytes().startswith(sleeping),
        )

    def checkpoint(self, *options: str) -> Path:
        """Checkpoints the tree; with --kill it waits until its numbers are free again."""
        members = family(self.root)
        image = self.folder / f"{self.images}.crt"
        self.images += 1
        self.crtool("checkpoint", str(self.root), "-o", str(image), *options)
        if "--kill" in options:
            if self.waiting is not None:
                self._end_of_waiting(128 + signal.SIGKILL)
            else:
                self._wait_for(self.target)
            reap_all(members)
        return image

    def restart(self, image: Path, *options: str, prefix: Sequence[str] = ()) -> None:
        """Brings the tree back, as a child of a crtool that waits for it; returns when it runs.

        *prefix*: a command that executes crtool.

        With --pidns the root has another PID than before.
        """
        pidfile = self.folder / "pid"
        pidfile.unlink(missing_ok=True)
        with open(self.folder / "restart.log", "wb") as log:
            waiting = self._start(log, "restart", str(image), "--pidfile", str(pidfile), *options, prefix=prefix)
        self.waiting = waiting

        def decided() -> bool:
            return pidfile.exists() or waiting.poll() is not None

        self._within(PATIENCE_WITH_CRTOOL, "the restart", decided)
        if not pidfile.exists():
            raise self.broken(f"crtool restart ended with {waiting.returncode}")
        if "--pidns" in options or self.user is not None:
            self.root = int(pidfile.read_text())
        elif pidfile.read_text() != f"{self.root}\n":
            raise self.broken(f"--pidfile says {pidfile.read_text()!r}, the PID was {self.root}")
        # The file is promised for when everything runs, but nothing here depends on that very instant.
        self._within(PATIENCE, "the root to be let go", lambda: waiting.poll() is not None or not is_traced(self.root))

    def pass_judgement(self) -> None:
        """SIGTERM to the root, which then checks itself: it must say PASS, and end with 0."""
        if self.waiting is None and zombie_status(self.root) is not None:
            raise self.broken("the specimen ended before SIGTERM")
        if self.printed() != self.expected:
            raise self.broken("the specimen said something before SIGTERM")
        self.expected += b"PASS\n"
        os.kill(self.root, signal.SIGTERM)
        if self.waiting is not None:
            self._end_of_waiting(0)
        else:
            status = self._wait_for(self.target)
            if status != 0:
                raise self.broken(f"the specimen ended with {status}")
        if self.printed() != self.expected:
            raise self.broken("the specimen did not pass")
        self._within(PATIENCE, "the end of the specimen's children", lambda: not self._left_over())

    def state_of_files(self) -> FolderState:
        return FolderState(self.work, apart={"out"})

    def crtool(self, *arguments: str) -> None:
        """Runs one verb of crtool, which must end with 0."""
        done = self.attempt(*arguments)
        if done.returncode:
            raise self.broken(f"crtool {arguments[0]} ended with {done.returncode}")

    def attempt(self, *arguments: str) -> subprocess.CompletedProcess[bytes]:
        """Runs one verb of crtool, which may fail."""
        with tempfile.TemporaryFile() as said:
            command = self._start(said, *arguments)
            try:
                status = command.wait(PATIENCE_WITH_CRTOOL)
            except subprocess.TimeoutExpired:
                command.kill()
                command.wait()
                status = None
            said.seek(0)
            text = said.read()
        if status is None:
            self._note(arguments, "no end", text)
            raise self.broken(f"crtool {arguments[0]} hangs")
        self._note(arguments, f"status {status}", text)
        return subprocess.CompletedProcess(arguments, status, text, b"")

    def end(self) -> None:
        """Ends whatever is left of the run."""
        if self.waiting is not None and self.waiting.poll() is None:
            self.waiting.kill()
            self.waiting.wait()
        self.target.poll()
        end(self._left_over())
        self.target.poll()
        surroundings.remove_named(f"specimen-{self.mark}")

    def printed(self) -> bytes:
        return self.out.read_bytes()

    def broken(self, message: str) -> Broken:
        """The message, with everything that helps to understand it."""
        if self.waiting is not None:
            self._note(("restart",), "so far", (self.folder / "restart.log").read_bytes())
        said = self.printed().decode(errors="replace")
        return Broken(f"{self.specimen.name}: {message}\n--- out\n{said}" + "".join(self.log))

    def _left_over(self) -> set[int]:
        """Everybody below this process that came with the run, dead or alive; the dead that are ours are reaped."""
        found = set()
        for pid in descendants() - self.before:
            try:
                if os.waitpid(pid, os.WNOHANG)[0] == pid:
                    continue
            except ChildProcessError:
                pass
            found.add(pid)
        return found

    def _wait_for(self, process: warm.Command | subprocess.Popen[bytes]) -> int:
        self._within(PATIENCE, f"the end of PID {process.pid}", lambda: process.poll() is not None)
        assert process.returncode is not None
        return process.returncode

    def _end_of_waiting(self, wanted: int) -> None:
        """The crtool that waits for the root ends as the root ends: 128+N, and death by the same signal, if killed."""
        assert self.waiting is not None
        status = self._wait_for(self.waiting)
        text = (self.folder / "restart.log").read_bytes()
        self._note(("restart",), f"status {status}", text)
        self.waiting = None
        if status != wanted and (status >= 0 or 128 - status != wanted):
            raise self.broken(f"crtool restart ended with {status}, not {wanted}")

    def _within(self, seconds: float, what: str, condition: Callable[[], bool]) -> None:
        try:
            Deadline(seconds, what).wait_until(condition)
        except TimeoutError as error:
            raise self.broken(str(error)) from None

    def _note(self, arguments: Sequence[str], ending: str, text: bytes) -> None:
        self.log.append(f"--- crtool {' '.join(arguments)}: {ending}\n{text.decode(errors='replace')}")

    def _start(
        self, output: IO[bytes], *arguments: str, prefix: Sequence[str] = ()
    ) -> warm.Command | subprocess.Popen[bytes]:
        """Starts a verb of crtool, by a fork of a warm one if it is the caller's."""
        environment = {**os.environ, **({} if self.user is None else self.user.environment)}
        if self.user is None and not prefix:
            return warm.start(arguments, environment, output.fileno(), output.fileno())
        return subprocess.Popen(
            [*prefix, *self.python, *arguments],
            cwd=REPOSITORY, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True,
            env=environment, **self.identity,
        )  # fmt: skip
