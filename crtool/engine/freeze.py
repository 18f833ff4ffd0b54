"""Freezing a process tree: seize and stop every thread of every process until nobody new is found."""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress

from crtool.engine.limit import Limit
from crtool.engine.vfork import is_in_vfork, refusal
from crtool.errors import TargetDied, TargetError, TimeoutExpired
from crtool.kernel import ptrace
from crtool.kernel.interruption import whole
from crtool.kernel.wait import WALL, Stop, wait_for_stop
from crtool.procfs import stat as stat_file
from crtool.procfs import status as status_file
from crtool.procfs.read import read
from crtool.procfs.stat import Stat
from crtool.procfs.status import Status
from crtool.procfs.tasks import children
from crtool.puppet.burial import await_end
from crtool.puppet.hold import HeldProcess, bury
from crtool.puppet.thread import HeldThread, seize
from crtool.record import dataclass

__all__ = ["Frozen", "FrozenProcess"]

_PATIENCE = 5.0  # seconds that a thread may take to stop, unless the caller says otherwise
_VFORK_PATIENCE = 0.01  # seconds after which it is looked at what keeps it
_FEW = 20  # threads whose children are listed sooner than everybody in /proc
_LAST_PATIENCE = 60.0  # seconds for one that is to be let go and has not stopped yet


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

    @property
    def stop_signal(self) -> int:
        """With which job control has stopped it, 0 if it has not."""
        return 0 if self.held is None else min(thread.stop_signal for thread in self.held.threads.values())


class Frozen:
    """A frozen tree, as a context manager: at the end of the block everybody is let go, whatever happened."""

    def __init__(self, root: int, descendants: Callable[[int], list[int]], deadline: float | None) -> None:
        """*descendants* lists the living tree below a PID; *deadline* (time.monotonic) bounds the freezing, and then
        everything that is done in the block, by an alarm.
        """
        self.root = root
        self.processes: dict[int, FrozenProcess] = {}
        self.frozen_at = 0.0
        self.released_at = 0.0
        self.letting_go_seconds = 0.0
        self.stopped: frozenset[int] = frozenset()  # processes to be left stopped by SIGSTOP
        self._descendants = descendants
        self.limit = Limit(deadline)
        # A thread that is in the middle of vfork, or in the kernel's uninterruptible sleep, stops when it comes out.
        self._deadline = deadline if deadline is not None else time.monotonic() + _PATIENCE
        self._collecting = True
        self._losers: set[int] = set()  # processes of which a thread has ended just now, as one that executes does
        self._dying: list[int] = []  # TIDs that have ended under our hands and have not been waited for
        self._seized: dict[int, list[int]] = {}  # pid → TIDs that are ours, from before they have settled

    def __enter__(self) -> Frozen:
        # A collection takes as long as everything else that is done for a small process while it is frozen.
        self._collecting = gc.isenabled()
        gc.disable()
        try:
            self._freeze()
            self.limit.begin()
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

    def _freeze(self) -> None:
        while True:
            new = self._newcomers()
            self.frozen_at = self.frozen_at or time.monotonic()
            if not new:
                self._let_strangers_go()
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

    def _newcomers(self) -> list[int]:
        """Who in the tree is not ours yet. Of a few threads that stand still their children are listed, not /proc."""
        threads = [(pid, tid) for pid, process in self.processes.items() for tid in _threads_held(process)]
        if 0 < len(threads) <= _FEW and all(self._has_no_other_children(pid, tid) for pid, tid in threads):
            return []
        return [pid for pid in self._descendants(self.root) if pid not in self.processes]

    def _has_no_other_children(self, pid: int, tid: int) -> bool:
        born = children(pid, tid)
        return born is not None and self.processes.keys() >= set(born)

    def _let_strangers_go(self) -> None:
        """Lets go who has lost its parent while it was being stopped, and was adopted by somebody outside the tree.

        What was read of a process is true to the end: its parent had come to rest by then, or had ended.
        """
        while True:
            strangers = [
                process
                for process in self.processes.values()
                if process.pid != self.root and process.stat.ppid not in self.processes
            ]
            if not strangers:
                return
            for process in strangers:
                del self.processes[process.pid]
                self._seized.pop(process.pid, None)
                if process.held is not None:
                    try:
                        process.held.let_go()
                    except TargetDied:
                        bury([process.held])
                    except BaseException:
                        bury([process.held])  # it is no longer among those whom let_go() will find
                        raise

    def _seize_process(self, pid: int, known: dict[int, HeldThread]) -> bool:
        """Seizes the threads of *pid* that are not yet ours; says whether there were any."""
        mine = self._seized.setdefault(pid, [])
        found = False
        for tid in _threads(pid):
            if tid in mine or tid in known:
                continue
            mine.append(tid)  # before it is: whatever happens now, it will be let go
            try:
                seize(tid)
            except (TargetDied, PermissionError) as error:
                mine.remove(tid)
                if _is_dead(pid, tid):
                    continue  # a zombie has nothing to be stopped
                if isinstance(error, PermissionError):
                    raise TargetError(f"PID {tid} may not be traced: {error.strerror}", _how_to_trace()) from None
                self._losers.add(pid)
                continue
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
                    settled[tid] = self._settle_thread(pid, tid)
                except TargetDied:
                    self._seized[pid].remove(tid)  # it ended before it could be stopped: so be it
                    self._losers.add(pid)
                except TimeoutExpired as error:
                    raise _why_not_stopped(pid, tid) or error from None
            if self._seize_process(pid, settled):
                continue
            if pid in self._losers:
                self._losers.discard(pid)
                if pid in settled and _is_another(pid):
                    del settled[pid]
                    if pid not in self._seized[pid]:
                        self._seized[pid].append(pid)
                    continue
            return settled

    def _settle_thread(self, pid: int, tid: int) -> HeldThread:
        """Waits until one thread has come to rest. If it is in the middle of vfork, its child must not stand still."""
        while True:
            try:
                return HeldThread.settle(tid, min(time.monotonic() + _VFORK_PATIENCE, self._deadline))
            except TimeoutExpired:
                if _is_dead(pid, tid):
                    # A main thread that was killed is not reported before all others have been waited for.
                    self._dying.append(tid)
                    raise TargetDied(tid) from None
                if time.monotonic() > self._deadline:
                    raise
            ptrace.interrupt(tid)  # it may have become another by exec, which nobody has told to stop
            if is_in_vfork(pid, tid):
                self._let_children_go(pid)

    def _let_children_go(self, parent: int) -> None:
        """Lets go what was seized of the children of *parent*, none of which has settled before it; they are found
        again.
        """
        for pid, tids in self._seized.items():
            if pid in self.processes or pid == parent or _parent(pid) != parent:
                continue
            _detach_early(tids)
            tids.clear()

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

    @whole
    def let_go(self) -> None:
        """Brings everybody home and detaches; what has died meanwhile is passed over.

        Whatever goes wrong with one process, all others are let go first. That one is detached where it is: every
        task that is away from home has its way home laid.
        """
        self.limit.end()
        start = time.monotonic()
        problem: Exception | None = None
        dead: list[HeldProcess] = []
        for process in self.processes.values():
            if process.held is None:
                continue
            try:
                if process.held.in_call:
                    dead.append(process.held)
                else:
                    process.held.retire()
                    process.held.let_go(stopped=process.pid in self.stopped)
            except TargetDied:
                dead.append(process.held)
            except Exception as error:  # noqa: BLE001 - raised below
                problem = problem or error
                dead.append(process.held)
            self._seized.pop(process.pid, None)
        nested = [pid for pid, process in self.processes.items() if len(process.status.ns_pid) > 1]
        bury(dead, [pid for pid in nested if self.processes[pid].held is None])
        # Seized, but never taken: at home, stopped or about to stop.
        _detach_early([*(tid for tids in self._seized.values() for tid in tids), *self._dying])
        self._seized.clear()
        self._dying.clear()
        self.released_at = self.released_at or time.monotonic()
        self.letting_go_seconds = time.monotonic() - start
        if problem is not None:
            raise problem


def _threads_held(process: FrozenProcess) -> Iterable[int]:
    return () if process.held is None else process.held.threads


def _how_to_trace() -> str:
    """The remedy for who may not trace: some systems let nobody but root do it by the security module Yama."""
    with suppress(OSError), open("/proc/sys/kernel/yama/ptrace_scope", "rb") as file:
        if int(file.read()):
            return "run crtool as root, or allow it to the owner: sysctl kernel.yama.ptrace_scope=0"
    return "run crtool as root"


def _threads(pid: int) -> list[int]:
    try:
        return [int(name) for name in os.listdir(f"/proc/{pid}/task")]
    except (FileNotFoundError, ProcessLookupError):
        return []


def _is_another(pid: int) -> bool:
    """Whether the main thread, which had come to rest, was ended by an execve(2) of another thread, now in its place.

    That one has the TID of the main thread, is traced by us, and runs, or has come to a stop of its own.
    """
    news = os.waitid(os.P_PID, pid, os.WEXITED | os.WSTOPPED | os.WNOHANG | os.WNOWAIT | WALL)
    return news is not None or _state(pid, pid) != "t"


def _is_dead(pid: int, tid: int) -> bool:
    try:
        return stat_file.parse(read(pid, "stat", tid)).state in ("Z", "X")
    except TargetDied:
        return True


def _why_not_stopped(pid: int, tid: int) -> TargetError | None:
    """Names what keeps a thread from stopping, if that can be seen."""
    if is_in_vfork(pid, tid):
        return refusal(pid)
    if _state(pid, tid) == "D":
        return TargetError(f"PID {tid} is in an uninterruptible wait of the kernel", "try again later")
    return None


def _state(pid: int, tid: int) -> str:
    try:
        return stat_file.parse(read(pid, "stat", tid)).state
    except TargetDied:
        return "X"


def _parent(pid: int) -> int:
    try:
        return stat_file.parse(read(pid, "stat")).ppid
    except TargetDied:
        return 0


def _detach_early(tids: Sequence[int]) -> None:
    """Detaches from threads whose stop has perhaps not been seen yet.

    Who has stopped goes first: others may only come to their stop when it goes on (vfork). A tracee that runs cannot be
    detached; it would stand still as soon as it stops, if crtool went its way.
    """
    late, dead = [], []
    for tid in tids:
        number = 0  # of a signal at whose delivery it has stopped, unseen: to be delivered after all
        try:
            status = wait_for_stop(tid, 0.0)
            number = status.signal if status.kind is Stop.SIGNAL else 0
        except TimeoutExpired:
            pass  # it has been seen, or runs
        except TargetDied:
            continue
        try:
            ptrace.detach(tid, number)
        except TargetDied:
            late.append(tid)  # not stopped, or really gone
    for tid in late:
        with suppress(TargetDied):
            ptrace.interrupt(tid)
    until = time.monotonic() + _LAST_PATIENCE
    while late and time.monotonic() < until:
        for tid in list(late):
            try:
                status = wait_for_stop(tid, 0.0)
            except TimeoutExpired:
                if _state(tid, tid) not in "ZX":
                    continue
                dead.append(tid)  # waited for at the end, all together
            except TargetDied:
                pass
            else:
                with suppress(TargetDied):
                    ptrace.detach(tid, status.signal if status.kind is Stop.SIGNAL else 0)
            late.remove(tid)
        if late:
            time.sleep(0.0005)
    await_end(dead)
