"""Freezing a process tree: seize and stop every thread of every process until nobody new is found."""

from __future__ import annotations

import gc
import os
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from types import MappingProxyType

from crtool.engine.frozen_process import FrozenProcess
from crtool.engine.limit import Limit
from crtool.engine.standing import (
    has_threads,
    is_another,
    is_dead,
    is_worker,
    nothing_lives,
    parent_of,
    state_of,
    threads_of,
    traced_by,
    tracer_of,
    why_not_stopped,
)
from crtool.engine.vfork import is_in_vfork
from crtool.errors import ObstacleError, TargetDied, TargetError, TimeoutExpired
from crtool.kernel import ptrace
from crtool.kernel.interruption import whole
from crtool.kernel.wait import WALL
from crtool.procfs import stat as stat_file
from crtool.procfs import status as status_file
from crtool.procfs.permission import not_permitted
from crtool.procfs.read import read
from crtool.procfs.tasks import children, living_thread
from crtool.puppet.burial import has_ended, reap
from crtool.puppet.detach import detach_early
from crtool.puppet.hold import HeldProcess, bury
from crtool.puppet.reaper import Reaper
from crtool.puppet.thread import HeldThread, seize
from crtool.puppet.waiting import Wait

__all__ = ["Frozen"]

_PATIENCE = 5.0  # seconds that a thread may take to stop, unless the caller says otherwise
_VFORK_PATIENCE = 0.01  # seconds after which it is looked at what keeps it
_TRACER_PATIENCE = 1.0  # seconds for which somebody else may be attached
# In a row, each after a wait of 1 ms. Also a main thread is refused that was replaced meanwhile by an execve(2), for
# which PTRACE_SEIZE has waited, and one that somebody has let go just now.
_REFUSALS = 500
_Lister = Callable[[int], list[int]]
_FEW = 20  # threads whose children are listed sooner than everybody in /proc


class Frozen:
    """A frozen tree, as a context manager: at the end of the block everybody is let go, whatever happened."""

    def __init__(
        self,
        root: int,
        descendants: _Lister,
        deadline: float | None,
        apart: Mapping[int, range],
        waits: Mapping[int, Wait] = MappingProxyType({}),
    ) -> None:
        """*descendants* lists the living tree below a PID; *deadline* (time.monotonic) bounds the freezing, and then
        everything that is done in the block, by an alarm. *apart*: by PID, addresses that threads are to have left;
        *waits*: by TID, who waits for a limited time.
        """
        self.root = root
        self.processes: dict[int, FrozenProcess] = {}
        self.frozen_at = self.released_at = 0.0
        self.letting_go_seconds = 0.0
        self.killed: set[int] = set()  # processes that turned out to have ended when they were let go
        self.stopped: frozenset[int] = frozenset()  # processes to be left stopped by SIGSTOP
        self._descendants, self._apart, self._waits = descendants, apart, waits
        self.limit = Limit(deadline)
        # A thread that is in the middle of vfork, or in the kernel's uninterruptible sleep, stops when it comes out.
        self._deadline = deadline if deadline is not None else time.monotonic() + _PATIENCE
        self._collecting = True
        self._losers: set[int] = set()  # processes of which a thread has ended just now, as one that executes does
        self._settled: dict[int, dict[int, HeldThread]] = {}  # of processes that are not yet taken: who stands still
        self._reaper = Reaper()
        self._dying: list[int] = []  # TIDs that have ended under our hands and have not been waited for
        self._seized: dict[int, list[int]] = {}  # pid → TIDs that are ours, from before they have settled

    def __enter__(self) -> Frozen:
        # A collection takes as long as everything else that is done for a small process while it is frozen.
        self._collecting = gc.isenabled()
        gc.disable()
        try:
            try:
                self._freeze()
            finally:
                self._reaper.end()
            self.limit.begin()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        try:
            self.let_go()
        finally:
            if self._collecting:
                gc.enable()
            self._reaper.await_end()

    @property
    def seconds(self) -> float:
        """How long the tree stood still: from the first stop to the last release, or to now."""
        now = time.monotonic()
        return (self.released_at or now) - (self.frozen_at or now)

    def _freeze(self) -> None:
        while True:
            new = self._newcomers()
            if any(map(has_threads, new)):
                self._reaper.begin()  # rather before somebody stands still
            self.frozen_at = self.frozen_at or time.monotonic()
            if not new:
                if self._lose_killed():
                    continue
                self._let_strangers_go()
                if self.processes[self.root].held is None:
                    raise TargetDied(self.root)
                return
            for pid in new:
                self._seize_process(pid)
            for pid in new:
                self._settle(pid)
            for pid in new:
                self._take(pid)

    def _newcomers(self) -> list[int]:
        """Who in the tree is not ours yet. Of a few threads that stand still their children are listed, not /proc."""
        threads = [(pid, tid) for pid, process in self.processes.items() for tid in _threads_held(process)]
        if 0 < len(threads) <= _FEW and all(self._has_no_other_children(pid, tid) for pid, tid in threads):
            return []
        return [pid for pid in self._descendants(self.root) if pid not in self.processes]

    def _has_no_other_children(self, pid: int, tid: int) -> bool:
        try:
            born = children(pid, tid)
        except TargetDied:
            return False
        return born is not None and self.processes.keys() >= set(born)

    def _lose_killed(self) -> bool:
        """Whether somebody was killed after he was taken. What is left of him is a zombie, to be taken as one; his
        children have another parent.
        """
        with suppress(ChildProcessError):
            # One question about all. Of those who stand still, and have been seen to, there is nothing to tell.
            if os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT | WALL) is None:
                return False
        killed = [one for one in self.processes.values() if any(map(has_ended, _threads_held(one)))]
        for process in killed:
            if process.pid == self.root:
                raise TargetDied(process.pid)
            del self.processes[process.pid]
            self._seized.pop(process.pid, None)
        bury(process.held for process in killed if process.held is not None)
        lost = {process.pid for process in killed}
        for process in self.processes.values():
            if process.stat.ppid in lost:
                process.stat = stat_file.parse(read(process.pid, "stat"))
                process.status = status_file.later(read(process.pid, "status"))
        return bool(killed)

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

    def _seize_process(self, pid: int) -> bool:
        """Seizes the threads of *pid* that are not yet ours; says whether there were any."""
        mine = self._seized.setdefault(pid, [])
        tids, known = threads_of(pid), set(mine)
        if not self._settled.get(pid, {}).keys() <= set(tids):
            self._losers.add(pid)
        if len(tids) > 1:
            self._reaper.attend(lambda: [*mine, *self._dying])
        found = False
        for tid in tids:
            if tid in known or (tid != pid and is_worker(pid, tid)):
                continue
            mine.append(tid)  # before it is: whatever happens now, it will be let go
            try:
                self._seize(pid, tid)
            except (TargetError, ObstacleError) as error:
                mine.remove(tid)
                if not isinstance(error, TargetDied):
                    raise
                self._losers.add(pid)  # a zombie has nothing to be stopped
                continue
            if tid in self._dying:
                self._dying.remove(tid)  # somebody else has its number now, that of a main thread
            found = True
        return found

    def _seize(self, pid: int, tid: int) -> None:
        """Seizes a thread, for which it may have to wait until somebody else lets it go."""
        until = min(self._deadline, time.monotonic() + _TRACER_PATIENCE)
        refused = 0
        while True:
            try:
                with self._reaper:
                    seize(tid)
                return
            except PermissionError:
                if is_dead(pid, tid):
                    raise TargetDied(tid) from None
                if (tracer := tracer_of(pid, tid)) == threading.get_native_id():
                    ptrace.interrupt(tid)  # another thread of ours, which has become the main thread by execve(2)
                    return
                if tracer and time.monotonic() > until:
                    raise ObstacleError([traced_by(pid, tid, tracer)]) from None
                refused = 0 if tracer else refused + 1
                if refused > _REFUSALS:
                    raise not_permitted(tid, "trace it") from None
                time.sleep(0.001)

    def _settle(self, pid: int) -> None:
        """Waits until all threads of *pid*, also those born meanwhile, have come to rest."""
        settled = self._settled.setdefault(pid, {})
        while True:
            for tid in list(self._seized[pid]):
                if tid in settled:
                    continue
                try:
                    settled[tid] = self._settle_thread(pid, tid)
                except TargetDied:
                    self._lose(pid, tid)  # it ended before it could be stopped: so be it
                except TimeoutExpired as error:
                    raise why_not_stopped(pid, tid) or error from None
            if self._seize_process(pid):
                continue
            if pid in self._losers:
                self._losers.discard(pid)
                if self._has_lost_settled(pid, settled):
                    continue
            return

    def _has_lost_settled(self, pid: int, settled: dict[int, HeldThread]) -> bool:
        """Whether threads that had come to rest were ended, by SIGKILL or by an execve(2) of another."""
        dead = [tid for tid in settled if tid != pid and state_of(pid, tid) != "t"]
        for tid in dead:
            self._lose(pid, tid)
        if pid in settled and is_another(pid):
            del settled[pid]  # who has its number now is waited for, if it is ours
            if pid not in self._seized[pid]:
                self._seized[pid].append(pid)
            return True
        return bool(dead)

    def _lose(self, pid: int, tid: int) -> None:
        """A thread of ours has ended, or has another number now."""
        self._seized[pid].remove(tid)
        self._settled[pid].pop(tid, None)
        self._losers.add(pid)
        if not reap(tid):
            # A main thread that was killed is not reported before all others have been waited for.
            self._dying.append(tid)

    def _settle_thread(self, pid: int, tid: int) -> HeldThread:
        """Waits until one thread has come to rest. If it is in the middle of vfork, its child must not stand still."""
        while True:
            try:
                until = min(time.monotonic() + _VFORK_PATIENCE, self._deadline)
                return HeldThread.settle(tid, until, self._apart.get(pid, range(0)), self._waits.get(tid))
            except TimeoutExpired:
                for other in (*self._seized[pid], *self._dying):
                    reap(other)  # one that executes waits for those that it has ended
                if is_dead(pid, tid):
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
            if pid in self.processes or pid == parent or parent_of(pid) != parent:
                continue
            detach_early(tids)
            tids.clear()
            self._settled.pop(pid, None)

    def _take(self, pid: int) -> None:
        """Takes a process that stands still, or a zombie. If it does so no more, the next pass will find it again."""
        threads = self._settled.get(pid, {})
        try:
            stat, status = stat_file.parse(read(pid, "stat")), status_file.later(read(pid, "status"))
        except TargetDied:  # it has been reaped
            if pid == self.root:
                raise
            return
        held = None
        try:
            if pid in threads and not status.tracer_pid:
                raise ProcessLookupError  # an execve(2) of a thread that was never seen
            if threads:
                statuses = {tid: status_file.later(read(tid, "status")) for tid in threads if tid != pid}
                held = HeldProcess(pid, list(threads.values()), statuses | {pid: status}, stat.ppid)
            elif not (nothing_lives(stat) and nothing_lives(stat_file.parse(read(pid, "stat")))):
                raise ProcessLookupError  # likewise: for a moment there was no thread to be seen at all
        except (FileNotFoundError, ProcessLookupError, TargetDied):
            self._losers.add(pid)
            if time.monotonic() > self._deadline:
                raise TimeoutExpired(f"PID {pid} did not stop in the time given", "give it more --timeout") from None
            for tid in self._dying:
                reap(tid)
            time.sleep(0.0005)
            return
        self._settled.pop(pid, None)
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
        self.killed.update(held.pid for held in dead if living_thread(held.pid) is None)
        # Seized, but never taken: at home, stopped or about to stop.
        detach_early([*(tid for tids in self._seized.values() for tid in tids), *self._dying])
        self._seized.clear()
        self._dying.clear()
        self._settled.clear()
        self.released_at = self.released_at or time.monotonic()
        self.letting_go_seconds = time.monotonic() - start
        if problem is not None:
            raise problem


def _threads_held(process: FrozenProcess) -> Iterable[int]:
    return () if process.held is None else process.held.threads
