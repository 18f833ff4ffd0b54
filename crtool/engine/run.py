"""The story of ``crtool run``: a command under care, or its last image, until it ends.

Signals are blocked from the beginning to the end and taken out of the queue one by one, so that none comes between two
steps: one that arrives during a checkpoint is heeded after it.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Sequence, Set
from contextlib import nullcontext, suppress

from crtool.engine.attend import PASSED_ON, sent_by_somebody, signals_held
from crtool.engine.checkpoint import Leave, checkpoint
from crtool.engine.foreground import Foreground
from crtool.engine.parent import Parent
from crtool.engine.relay import Relay
from crtool.engine.restart import restart
from crtool.engine.results import CheckpointResult, RestartResult, RunResult
from crtool.engine.start import begin
from crtool.engine.store import Keeper
from crtool.engine.tracker import Tracker
from crtool.engine.workplace import Workplace
from crtool.errors import CrtoolError, UsageError
from crtool.image.keys import Keys, Lock
from crtool.kernel.interruption import nothing
from crtool.kernel.prctl import child_subreaper
from crtool.kernel.wait import WALL, keep_status, kept_status
from crtool.procfs.read import alive

__all__ = ["ENDING", "run"]

ENDING = frozenset((signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM))
"""Signals that mean "save it and end"; all others mean "save it and go on"."""

_NEVER = frozenset((signal.SIGKILL, signal.SIGSTOP, signal.SIGCHLD))

_PATIENCE = 1.0  # seconds

Report = Callable[[str], None]


def run(
    command: Sequence[str],
    keeper: Keeper,
    *,
    every: float | None = None,
    on_signal: Set[int] = frozenset(),
    restart_on_crash: int = 0,
    fresh: bool = False,
    keep_images: bool = False,
    incremental: bool = False,
    lock: Lock | None = None,
    keys: Keys | None = None,
    tell: Report = lambda line: None,
    warn: Report = lambda line: None,
    done: Callable[[], None] = nothing,
) -> RunResult:
    """Runs *command*, or goes on from the newest image of *keeper*, and waits for its end.

    It is saved *every* so many seconds, and on each signal of *on_signal*: one of :data:`ENDING` then ends it. All
    other signals are passed on. A crash (death by a signal, or an exit status other than 0) is followed by a
    restart of the newest image, *restart_on_crash* times. *fresh*: images that are there are not used. When the command
    has ended with 0, its images are removed, unless *keep_images*. *incremental*: where more than one image is kept, an
    image has only what has changed since the one before, and now and then all. *lock* encrypts and signs the images,
    *keys* read them. *tell* gets lines about what happens, *warn* those about what did not work out.
    *done* is called when the command has ended, while signals are still held.

    Raises EnvironmentDiffers if another run is at work there, ImageError if there are images and none is whole,
    UsageError if the newest is encrypted and the next would not be, NotFound, and what a restart raises. A checkpoint
    that fails is only warned of.
    """
    if forbidden := on_signal & _NEVER:
        name = signal.Signals(min(forbidden)).name
        raise UsageError(f"{name} cannot be waited for", "choose SIGUSR1, SIGUSR2 or SIGTERM")
    with (
        signals_held(on_signal) as mask,
        Workplace(keeper.lock, keeper.path) as workplace,
        Tracker() if incremental else nullcontext() as tracker,
    ):
        care = _Care(keeper, workplace, every, on_signal, tracker, lock, keys, tell, warn)
        crashes = 0
        while True:
            image = None if fresh else keeper.newest(warn)
            _require_as_secret(image, lock, keys)
            care.begin(image)
            if image is None:
                status = _start(command, mask, care)
            else:
                tell(f"going on from {image}, written {_ago(image)}")
                status = restart(image, keys=keys, running=care.told, wait=care.wait).status or 0
            if care.ended_by is not None or status == 0 or care.told_to_end or crashes >= restart_on_crash:
                break
            crashes += 1
            fresh = fresh and not care.saved
            warn(f"the command {_how(status)}; going back, {crashes} of {restart_on_crash} times")
        if status == 0 and care.ended_by is None and not keep_images:
            keeper.clear()
        done()
        return RunResult(status=status, saved_on=care.ended_by, checkpoints=care.saved, crashes=crashes)


def _require_as_secret(image: str | None, lock: Lock | None, keys: Keys | None) -> None:
    if image is None or keys is None or not keys.identities or (lock is not None and lock.encrypts):
        return
    from crtool.image.sealed import is_sealed  # noqa: PLC0415 - 5 ms

    if is_sealed(image):
        raise UsageError(
            f"{image}: the image is encrypted, and those that follow would not be",
            "give --encrypt-to FILE, or the passphrase; --fresh starts the command anew",
        )


class _Care:
    """What is done about a command while it runs."""

    def __init__(
        self,
        keeper: Keeper,
        workplace: Workplace,
        every: float | None,
        on_signal: Set[int],
        tracker: Tracker | None,
        lock: Lock | None,
        keys: Keys | None,
        tell: Report,
        warn: Report,
    ) -> None:
        self._keeper = keeper
        self._workplace = workplace
        self._every = every
        self._on_signal = on_signal
        self._tracker = tracker
        self._last: str | None = None  # the image that was made last, or from which the command has gone on
        self._lock = lock
        self._keys = keys
        self._tell = tell
        self._warn = warn
        self._warned: set[str] = set()
        self.saved = 0  # checkpoints
        self.ended_by: int | None = None  # the signal upon which it was saved and ended
        self.told_to_end = False  # a signal was passed on that ends a program

    def begin(self, image: str | None) -> None:
        """The command begins, or goes on from *image*."""
        self._last = image

    def told(self, result: RestartResult) -> None:
        """What a restart has to say."""
        for warning in (*([result.reason] if result.reason else []), *result.warnings):
            self._warn_once(warning)

    def wait(self, pid: int, job: Foreground | Relay | None) -> int:
        """Waits until child *pid* has ended, and takes care of it meanwhile; returns its wait status."""
        self._workplace.occupy(pid)
        keep_status(pid)
        heard = {*PASSED_ON, *self._on_signal, signal.SIGCHLD}
        due = self._next()
        while True:
            if (status := _reap(pid, job)) is not None:
                return status
            info = signal.sigwaitinfo(heard) if due is None else signal.sigtimedwait(heard, max(0, due - _now()))
            if info is None:
                self._save(pid, end=False)
                due = self._next()
            elif info.si_signo in self._on_signal:
                self._asked(pid, info.si_signo)
                if self.ended_by is not None:
                    return signal.SIGKILL
                due = self._next()
            elif info.si_signo != signal.SIGCHLD:
                self._pass_on(pid, job, info)

    def _next(self) -> float | None:
        return None if self._every is None else _now() + self._every

    def _asked(self, pid: int, number: int) -> None:
        """A signal asks for a checkpoint."""
        if number not in ENDING:
            self._save(pid, end=False)
        elif self._save_and_end(pid):
            self.ended_by = number
        else:  # it was not saved; but whoever sends this wants an end
            self.told_to_end = True
            _send(pid, number)

    def _save_and_end(self, pid: int) -> bool:
        """Makes a last checkpoint; waits for all that it ends, so that no zombie keeps a PID that is wanted soon."""
        with child_subreaper():
            if not self._save(pid, end=True):
                return False
            _reap_all()
            return True

    def _save(self, pid: int, *, end: bool) -> bool:
        """Makes a checkpoint; says whether there is one. Nothing that goes wrong with it ends the command."""
        try:
            with self._parent() or nullcontext() as parent:
                path = self._keeper.next()
                leave: Leave = "killed" if end else "running"
                result = checkpoint(
                    pid,
                    path,
                    leave=leave,
                    force=True,
                    stdio="inherit",
                    parent=parent,
                    lock=self._lock,
                    tracker=self._tracker,
                )
            self._last = path
            self._keeper.written()
        except CrtoolError as error:
            if not alive(pid):
                return False  # it has just ended
            self._warn_once(f"no checkpoint: {error.message}" + (f"; {error.remedy}" if error.remedy else ""))
            return False
        for warning in result.warnings:
            self._warn_once(warning)
        self.saved += 1
        self._tell(_line(result))
        return True

    def _parent(self) -> Parent | None:
        """The image on which the next one is to build, if it is still of use."""
        if self._tracker is None or self._last is None:
            return None
        try:
            if not self._keeper.parent(self._last):
                return None
            return Parent(self._last, keys=self._keys, known=self._tracker.whole)
        except CrtoolError as error:
            self._warn_once(f"{error.message}; the next image is a whole one")
            return None

    def _warn_once(self, text: str) -> None:
        """What goes wrong at every checkpoint is said at the first."""
        if text not in self._warned:
            self._warned.add(text)
            self._warn(text)

    def _pass_on(self, pid: int, job: Foreground | Relay | None, info: signal.struct_siginfo) -> None:
        number = info.si_signo
        if number == signal.SIGWINCH and isinstance(job, Relay):
            job.resize()  # the kernel tells the program
        elif number == signal.SIGCONT and isinstance(job, Foreground):
            job.go_on()
        else:
            self.told_to_end = self.told_to_end or number in ENDING
            if sent_by_somebody(info) or not _same_group(pid):
                _send(pid, number)


def _start(command: Sequence[str], mask: set[signal.Signals], care: _Care) -> int:
    """Starts the command and waits for it; returns its wait status.

    It is a job of its own, as a restored one is: so what is sent to crtool's whole group, as timeout(1) does, does not
    reach it behind crtool's back.
    """
    pid = begin(command, mask, own_group=True)
    job = Foreground.new(pid)
    if job is None:
        return care.wait(pid, None)
    try:
        job.lend()
        return care.wait(pid, job)
    finally:
        job.close()


def _reap_all() -> None:
    """Waits for all children, who have been killed; somebody else's orphans (as PID 1) are not waited for long."""
    until = _now() + _PATIENCE
    with suppress(ChildProcessError):  # nobody is left
        while _now() < until:
            if os.waitpid(-1, WALL | os.WNOHANG) == (0, 0):
                time.sleep(0.001)


def _reap(pid: int, job: Foreground | Relay | None) -> int | None:
    """Waits for whoever has ended; the wait status of *pid* if it is among them."""
    stops = os.WUNTRACED if isinstance(job, Foreground) else 0
    while True:
        if (kept := kept_status(pid)) is not None:
            return kept  # it ended while a checkpoint had begun
        ended, status = os.waitpid(-1, WALL | os.WNOHANG | stops)
        if not ended:
            return None
        if ended != pid:
            continue  # as PID 1 of a container, or a thread that crtool has traced
        if isinstance(job, Foreground) and os.WIFSTOPPED(status):
            job.follow_stop(os.WSTOPSIG(status))
        elif os.WIFEXITED(status) or os.WIFSIGNALED(status):
            return status


def _send(pid: int, number: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def _same_group(pid: int) -> bool:
    try:
        return os.getpgid(pid) == os.getpgrp()
    except ProcessLookupError:
        return True


def _line(result: CheckpointResult) -> str:
    mib = result.size / (1 << 20)
    return f"saved to {result.image}, {mib:.1f} MiB, frozen for {result.frozen_seconds * 1000:.1f} ms"


def _how(status: int) -> str:
    if os.WIFSIGNALED(status):
        return f"was killed by {signal.Signals(os.WTERMSIG(status)).name}"
    return f"ended with status {os.WEXITSTATUS(status)}"


def _ago(path: str) -> str:
    seconds = max(0, int(time.time() - os.stat(path).st_mtime))
    days, seconds = divmod(seconds, 86400)
    hours, seconds = divmod(seconds, 3600)
    minutes, seconds = divmod(seconds, 60)
    parts = [(days, "d"), (hours, "h"), (minutes, "min"), (seconds, "s")]
    found = [f"{number} {unit}" for number, unit in parts if number]
    return " ".join(found[:2] or ["0 s"]) + " ago"


def _now() -> float:
    return time.monotonic()
