"""Freezing a process tree: seize and stop every thread of every process until nobody new is found."""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Callable

from crtool.errors import TargetDied, TargetError, TimeoutExpired
from crtool.kernel import ptrace
from crtool.procfs import stat as stat_file
from crtool.procfs import status as status_file
from crtool.procfs.read import read
from crtool.procfs.stat import Stat
from crtool.procfs.status import Status
from crtool.puppet.hold import HeldProcess
from crtool.puppet.thread import HeldThread, seize
from crtool.record import dataclass

__all__ = ["Frozen", "FrozenProcess"]

_PATIENCE = 5.0  # seconds that a thread may take to stop, unless the caller says otherwise


@dataclass
class FrozenProcess:
    """A process of the frozen tree. *held* is None for a zombie, of which only stat and status are left."""

    pid: int
    stat: Stat
    status: Status
    held: HeldProcess | None
    dead_leader: bool = False  # the main thread has ended, others have not

    @property
    def door(self) -> int:
        """The TID through whose folder in /proc the process is looked at."""
        return self.pid if self.held is None else self.held.door


class Frozen:
    """A frozen tree, as a context manager: at the end of the block everybody is let go, whatever happened."""

    def __init__(self, root: int, descendants: Callable[[int], list[int]], deadline: float | None) -> None:
        """*descendants* lists the living tree below a PID; *deadline* (time.monotonic) bounds the freezing."""
        self.root = root
        self.processes: dict[int, FrozenProcess] = {}
        self.frozen_at = 0.0
        self.released_at = 0.0
        self.letting_go_seconds = 0.0
        self.stopped: frozenset[int] = frozenset()  # processes to be left stopped by SIGSTOP
        self._descendants = descendants
        self._limit = deadline
        # A thread that is in the middle of vfork, or in the kernel's uninterruptible sleep, stops when it comes out.
        self._deadline = deadline if deadline is not None else time.monotonic() + _PATIENCE
        self._collecting = True
        self._seized: dict[int, list[int]] = {}  # pid → TIDs that are ours, from before they have settled

    def __enter__(self) -> Frozen:
        # A collection takes as long as everything else that is done for a small process while it is frozen.
        self._collecting = gc.isenabled()
        gc.disable()
        try:
            self._freeze()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        self.let_go()
        if self._collecting:
            gc.enable()

    @property
    def seconds(self) -> float:
        """How long the tree stood still: from the first stop to the last release, or to now."""
        now = time.monotonic()
        return (self.released_at or now) - (self.frozen_at or now)

    def hurry(self) -> None:
        """To be called now and then while the tree stands still: TimeoutExpired when it has done so for too long."""
        if self._limit is not None and time.monotonic() > self._limit:
            raise TimeoutExpired("the checkpoint did not end in the time given", "give it more --timeout")

    def _freeze(self) -> None:
        while True:
            new = [pid for pid in self._descendants(self.root) if pid not in self.processes]
            self.frozen_at = self.frozen_at or time.monotonic()
            if not new:
                if self.processes[self.root].held is None:
                    raise TargetDied(self.root)
                return
            pending: dict[int, dict[int, HeldThread]] = {}
            for pid in new:
                self._seize_process(pid, {})
            for pid in new:
                pending[pid] = self._settle(pid)
            for pid in new:
                self._take(pid, pending[pid])

    def _seize_process(self, pid: int, known: dict[int, HeldThread]) -> bool:
        """Seizes the threads of *pid* that are not yet ours; says whether there were any."""
        mine = self._seized.setdefault(pid, [])
        found = False
        for tid in _threads(pid):
            if tid in mine or tid in known:
                continue
            try:
                seize(tid)
            except (TargetDied, PermissionError) as error:
                if _is_dead(pid, tid):
                    continue  # a zombie has nothing to be stopped
                if isinstance(error, PermissionError):
                    raise TargetError(f"PID {tid} may not be traced: {error.strerror}", "see crtool check") from None
                continue
            mine.append(tid)
            found = True
        return found

    def _settle(self, pid: int) -> dict[int, HeldThread]:
        """Waits until all threads of *pid*, also those born meanwhile, have come to rest."""
        settled: dict[int, HeldThread] = {}
        while True:
            for tid in list(self._seized[pid]):
                if tid in settled:
                    continue
                try:
                    settled[tid] = HeldThread.settle(tid, self._deadline)
                except TargetDied:
                    self._seized[pid].remove(tid)  # it ended before it could be stopped: so be it
                except TimeoutExpired as error:
                    raise _why_not_stopped(pid, tid) or error from None
            if not self._seize_process(pid, settled):
                return settled

    def _take(self, pid: int, threads: dict[int, HeldThread]) -> None:
        try:
            stat, status = stat_file.parse(read(pid, "stat")), status_file.parse(read(pid, "status"))
        except TargetDied:
            if threads:
                raise
            if pid == self.root:
                raise
            return  # it has been reaped; the next pass will not list it
        held = None
        if threads:
            held = HeldProcess(pid, list(threads.values()), status.caught, stat.ppid)
        self.processes[pid] = FrozenProcess(pid, stat, status, held, bool(threads) and pid not in threads)

    def let_go(self) -> None:
        """Brings everybody home and detaches; what has died meanwhile is passed over.

        Whatever goes wrong with one process, all others are let go first. That one is detached where it is: every
        task that is away from home has its way home laid.
        """
        start = time.monotonic()
        problem: Exception | None = None
        for process in self.processes.values():
            if process.held is None:
                continue
            try:
                process.held.retire()
                process.held.let_go(stopped=process.pid in self.stopped)
            except TargetDied:
                process.held.bury()
            except Exception as error:  # noqa: BLE001 - raised below
                problem = problem or error
                process.held.bury()
            self._seized.pop(process.pid, None)
        for tids in self._seized.values():
            for tid in tids:  # seized, but never taken: at home, stopped or about to stop
                _detach_early(tid)
        self._seized.clear()
        self.released_at = self.released_at or time.monotonic()
        self.letting_go_seconds = time.monotonic() - start
        if problem is not None:
            raise problem


def _threads(pid: int) -> list[int]:
    try:
        return [int(name) for name in os.listdir(f"/proc/{pid}/task")]
    except (FileNotFoundError, ProcessLookupError):
        return []


def _is_dead(pid: int, tid: int) -> bool:
    try:
        return stat_file.parse(read(pid, "stat", tid)).state in ("Z", "X")
    except TargetDied:
        return True


def _why_not_stopped(pid: int, tid: int) -> TargetError | None:
    """Names what keeps a thread from stopping, if that can be seen."""
    try:
        state = stat_file.parse(read(pid, "stat", tid)).state
        call = read(pid, "syscall", tid).split()
    except (TargetDied, OSError):
        return None
    from crtool.arch import cpu  # noqa: PLC0415

    numbers = {str(cpu.NUMBERS[name]).encode(): name for name in ("vfork", "clone", "clone3")}
    if state == "D" and call and call[0] in numbers:
        return TargetError(
            f"PID {pid} is in the middle of vfork: the kernel lets nobody stop it until its child execs or exits",
            "try again when the child has gone on",
        )
    if state == "D":
        return TargetError(f"PID {tid} is in an uninterruptible wait of the kernel", "try again later")
    return None


def _detach_early(tid: int) -> None:
    """Detaches from a thread whose stop has perhaps not been seen yet."""
    from crtool.kernel.wait import Stop, wait_for_stop  # noqa: PLC0415

    try:
        try:
            ptrace.detach(tid)
            return
        except TargetDied:
            pass  # not stopped (or really gone): wait for the stop that was asked for
        status = wait_for_stop(tid, time.monotonic() + 1)
        ptrace.detach(tid, status.signal if status.kind is Stop.SIGNAL else 0)
    except (TargetDied, TimeoutExpired):
        pass
