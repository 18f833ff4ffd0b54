"""Real programs, checkpointed in mid-work, compared with an uninterrupted run.

A :class:`Program` says how a program is started and how one sees that it is in mid-work; a :class:`Run` is one run of
it in a folder of its own: started in a session of its own, standard input from /dev/null (or a file), output appended
to the file ``out``, no other descriptor. :func:`interrupt` does to a run what the *mode* says:

    plain     nothing: shows that the program and the comparison hold without crtool
    restart   checkpoint --kill, then restart in the foreground
    leave     checkpoint, and the program itself goes on
    chain     three times checkpoint --kill and restart

The process of the tests has no children but those of the run that it is about.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from . import orphans

__all__ = [
    "MODES",
    "PROGRAMS",
    "Program",
    "Run",
    "grown",
    "interrupt",
    "need",
    "progress",
    "reference",
    "whole",
]

MODES = ("plain", "restart", "leave", "chain")
REPOSITORY = Path(__file__).resolve().parents[2]
PROGRAMS = Path(__file__).resolve().parent / "programs"
PATIENCE = 120.0
"""Seconds after which a run that neither works nor ends is taken for hung."""


@dataclass(frozen=True)
class Program:
    """A program, and what its run in a fresh folder is compared by.

    *prepare* fills the folder; *working* says whether the run is in mid-work, from the files that it has written;
    *results* are the files compared besides ``out``; *status* is the exit status that it ends with.
    """

    name: str
    command: Sequence[str]
    working: Callable[[Path], bool]
    prepare: Callable[[Path], object] = lambda folder: None
    results: Sequence[str] = ()
    status: int = 0
    stdin: str | None = None  # a file in the folder; None is /dev/null
    environment: dict[str, str] = field(default_factory=dict)


def progress(least: int) -> Callable[[Path], bool]:
    """In mid-work once the file ``progress`` holds a number of at least *least*."""

    def working(folder: Path) -> bool:
        try:
            return int((folder / "progress").read_text() or 0) >= least
        except (FileNotFoundError, ValueError):
            return False

    return working


def grown(name: str, size: int) -> Callable[[Path], bool]:
    """In mid-work once the file *name* has *size* bytes."""

    def working(folder: Path) -> bool:
        try:
            return (folder / name).stat().st_size >= size
        except FileNotFoundError:
            return False

    return working


def need(*commands: str) -> pytest.MarkDecorator:
    """Skip a test where one of the commands is not installed."""
    missing = [command for command in commands if not shutil.which(command)]
    return pytest.mark.skipif(bool(missing), reason=f"not installed: {', '.join(missing)}")


class Run:
    """One run of a program; ``process`` is what the tests wait for: the program, or crtool in its place."""

    def __init__(self, program: Program, folder: Path, *, hold: bool = False) -> None:
        """With *hold* there is a file ``hold``: programs that look for it go slowly until :func:`interrupt` is done."""
        self.program = program
        self.folder = folder
        folder.mkdir()
        program.prepare(folder)
        (folder / "tmp").mkdir()
        if hold:
            (folder / "hold").touch()
        environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "LC_ALL": "C", "TMPDIR": "tmp"}
        environment |= program.environment
        with (
            open(folder / "out", "ab") as out,
            open(folder / program.stdin if program.stdin else os.devnull, "rb") as stdin,
        ):
            self.process = subprocess.Popen(
                program.command, cwd=folder, env=environment,
                stdin=stdin, stdout=out, stderr=out, start_new_session=True,
            )  # fmt: skip
        self.root = self.process.pid

    def await_work(self) -> None:
        """Wait until the program is in mid-work; it must not have ended by then."""
        limit = time.monotonic() + PATIENCE
        while not self.program.working(self.folder):
            status = self.process.poll()
            assert status is None, f"ended with {status} before mid-work:\n{self.output()}"
            assert time.monotonic() < limit, f"not in mid-work after {PATIENCE:.0f} s:\n{self.output()}"
            time.sleep(0.01)
        assert self.process.poll() is None, f"ended before it could be interrupted:\n{self.output()}"

    def checkpoint(self, image: Path, *options: str) -> None:
        """Checkpoint the tree; with --kill the dead are reaped as well."""
        trouble = crtool("checkpoint", str(self.root), "-o", str(image), *options)
        status = self.process.poll() if trouble else None
        assert not trouble, f"{trouble}\n--- ended: {status}; out\n{self.output()}\n--- restart\n{self.restart_log()}"
        if "--kill" in options:
            self.process.wait(PATIENCE)
            orphans.collect(PATIENCE)

    def restart(self, image: Path) -> None:
        """Bring the tree back from *image*; ``process`` is the crtool that waits for it."""
        pidfile = self.folder.parent / "pid"
        pidfile.unlink(missing_ok=True)
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "crtool", "restart", str(image), "--pidfile", str(pidfile)],
                cwd=REPOSITORY, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        limit = time.monotonic() + PATIENCE
        while not pidfile.exists() and self.process.poll() is None and time.monotonic() < limit:
            time.sleep(0.01)
        assert pidfile.exists(), f"crtool restart ended with {self.process.returncode}:\n{self.restart_log()}"

    def finish(self) -> dict[str, bytes]:
        """Wait for the end, and give the bytes of everything that is compared."""
        status = self.process.wait(PATIENCE)
        assert status == self.program.status, f"ended with {status}:\n{self.output()}\n{self.restart_log()}"
        names = ["out", *self.program.results]
        return {name: (self.folder / name).read_bytes() for name in names}

    def output(self) -> str:
        return (self.folder / "out").read_text(errors="replace")[-3000:]

    @property
    def log(self) -> Path:
        return self.folder.parent / f"{self.folder.name}.restart"

    def restart_log(self) -> str:
        return self.log.read_text(errors="replace")[-3000:] if self.log.exists() else ""

    def end(self) -> None:
        """End and reap whatever is left of the run."""
        self.process.poll()  # else Popen would look for a process that is collected already
        orphans.collect(PATIENCE, kill=True)


def whole(program: Program, folder: Path) -> dict[str, bytes]:
    """The results of an uninterrupted run in *folder*."""
    run = Run(program, folder)
    try:
        return run.finish()
    finally:
        run.end()


_references: dict[str, dict[str, bytes]] = {}


def reference(program: Program, folder: Path) -> dict[str, bytes]:
    """The results of an uninterrupted run, made once for all modes."""
    if program.name not in _references:
        _references[program.name] = whole(program, folder)
    return _references[program.name]


def interrupt(run: Run, mode: str, images: Path) -> None:
    """Do to a run in mid-work what *mode* says; the images go to the folder *images*. From then on it may hurry."""
    if mode == "leave":
        run.checkpoint(images / "left.crt")
        trouble = crtool("verify", str(images / "left.crt"))
        assert not trouble, trouble
    elif mode in ("restart", "chain"):
        for number in range(3 if mode == "chain" else 1):
            image = images / f"{number}.crt"
            run.checkpoint(image, "--kill")
            run.restart(image)
    (run.folder / "hold").unlink()


def crtool(*arguments: str) -> str:
    """Run a verb of crtool: "" if it ends with 0, else what it printed."""
    done = subprocess.run(
        [sys.executable, "-m", "crtool", *arguments],
        cwd=REPOSITORY, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    if done.returncode == 0:
        return ""
    return f"crtool {' '.join(arguments)} ended with {done.returncode}:\n{done.stdout}{done.stderr}"
