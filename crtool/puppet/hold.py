"""Holding a living process: seize, stop, make it call, let it go, and never harm it.

The invariant: at every instant, if crtool dies by SIGKILL, the target goes on unharmed. What it takes:

1. A target is never attached with EXITKILL, and always with TRACESYSGOOD: a tracer that dies while the
   task is in a system-call stop would else leave it a real SIGTRAP. It is never single-stepped: the trap
   flag outlives the tracer.
2. A task is *at home* when its registers and mask are its own. Before they are changed, the way home is
   laid below the live part of a stack of the process (:func:`crtool.arch.x86_64.home`): two signal
   frames, of which the first unmaps the scratch mapping and the second is the task's true state. All
   that a task led away from home ever does ends in a `ret` into that way.
3. Registers are aimed at the way home first, and only then are signals blocked; going home it is the
   other way round. In between, a signal handler may run on top of the way: it returns into it.
4. One task of a process is away at a time, or the munmap of the first would pull the runner from under
   the second. To hand over, both are set onto their ways home, outside the runner, before the first comes home.
5. The runner ends by raising a signal that this program would drop. A living tracer is told even
   of such a signal; with a dead one the kernel drops it, and the task walks home.
6. What would interrupt crtool while a task is in a call, or between here and there, is put off.
7. The scratch mapping lies in the middle of the largest hole of the address space, where no mmap of the
   program's own puts anything while other threads may already run again.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress

from crtool import faults
from crtool.abi import mman
from crtool.abi import ptrace as ptrace_abi
from crtool.abi.signals import ALL_SIGNALS, SI_TKILL, SIGCHLD, SIGSTOP, SIGURG, SIGWINCH, STOP_SIGNALS, bit
from crtool.arch import cpu
from crtool.errors import InternalError, RemoteCallError, TargetDied, TargetError
from crtool.kernel import ptrace
from crtool.kernel.interruption import whole
from crtool.kernel.wait import Stop, WaitStatus, wait_for_stop
from crtool.procfs.maps import Mapping
from crtool.procfs.status import Status
from crtool.puppet import stack_room
from crtool.puppet.burial import await_end
from crtool.puppet.code import gadgets_of
from crtool.puppet.puppet import Puppet, Scratch
from crtool.puppet.space import largest_hole
from crtool.puppet.suspension import set_options, suspend_seccomp
from crtool.puppet.table import Table
from crtool.puppet.thread import HeldThread, await_group_stop

__all__ = ["HeldProcess", "bury"]

# Signals whose default action is to be dropped. Not SIGCONT: raising it would clear pending stops.
_QUIET = (SIGURG, SIGWINCH, SIGCHLD)
_SCRATCH_SIZE = 1 << 20
_ERESTARTNOINTR = 513  # what copy_process() says when a signal is pending
_ATTEMPTS = 100


class HeldProcess(Puppet):
    """A process all of whose threads crtool holds. As a context manager it lets them go at the end."""

    def __init__(
        self, pid: int, threads: Sequence[HeldThread], statuses: dict[int, Status], parent: int = 0
    ) -> None:
        """*threads*: all of them, stopped; *statuses*: theirs, by TID, read since; *parent*: its parent."""
        self.pid = pid
        self.parent = parent
        self.threads = {thread.tid: thread for thread in threads}
        self.statuses = statuses
        for tid, thread in self.threads.items():
            thread.seccomp = suspend_seccomp(tid, ptrace_abi.O_TRACESYSGOOD, statuses[tid])
        # The folder of a thread that lives: that of a main thread which has ended shows nothing of the process.
        self.door = next(iter(self.threads))
        self.memory = os.open(f"/proc/{self.door}/mem", os.O_RDWR | os.O_CLOEXEC)
        self.scratch = Scratch(0, 0)
        self._caught = statuses[self.door].caught  # signals that have a handler
        self._away: HeldThread | None = None
        self._led: dict[int, HeldThread] = {}  # by TID: whose registers are not their own
        self._slots: tuple[int, int] = (0, 0)
        self._slot = 0
        self._way = 0  # where the way home of the one who is away begins
        self._direct = 0  # from here the way home does not unmap
        self._saved_stack: tuple[int, bytes] = (0, b"")
        self._gadgets: cpu.Gadgets | None = None
        self._born = 0  # TID of the last child that a call has brought forth
        self.in_call = False  # the one who is away is in a call whose end was not seen: it has to walk home by itself

    # -- the scratch mapping ----------------------------------------------------------------------

    def prepare(self, maps: Sequence[Mapping], tid: int | None = None) -> tuple[Mapping, ...]:
        """Makes the scratch mapping, with thread *tid* (any if None) as the one that calls.

        *maps* are the mappings of the frozen process; returned are those that it has now, besides that one.
        """
        thread = self.threads[tid] if tid is not None else self._best_thread()
        self._gadgets = gadgets_of(self.pid, self.memory, maps)
        start = largest_hole(maps, _SCRATCH_SIZE + cpu.PAGE_SIZE)
        self.scratch = Scratch(start, start + cpu.PAGE_SIZE + _SCRATCH_SIZE)
        self._choose_slots(maps)
        self._lead_away(thread)
        flags = mman.MAP_PRIVATE | mman.MAP_ANONYMOUS | mman.MAP_FIXED_NOREPLACE | mman.MAP_NORESERVE
        code, data = mman.PROT_READ | mman.PROT_EXEC, mman.PROT_READ | mman.PROT_WRITE
        if self._raw("mmap", start, self.scratch.end - start, code | data, flags, -1, 0) < 0:
            # Forbidden, as by PR_SET_MDWE or SELinux. Each call takes the process to two stops, so it is tried first.
            self._one("mmap", start, cpu.PAGE_SIZE, code, flags, -1, 0)
            self._one("mmap", self.scratch.data, self.scratch.capacity, data, flags, -1, 0)
        self._write(start, cpu.RUNNER)
        return stack_room.grown(maps, self._slots[0])

    def _best_thread(self) -> HeldThread:
        """A thread that can use the runner, if there is one; else any."""
        threads = list(self.threads.values())
        free = [thread for thread in threads if self._quiet_signal(thread) and not thread.seccomp]
        return (free or threads)[0]

    def _choose_slots(self, maps: Sequence[Mapping]) -> None:
        """Finds room for two ways home in memory that no thread uses."""
        size = -(-cpu.home_size(max(len(thread.fpu) for thread in self.threads.values())) // cpu.FRAME_ALIGN)
        size *= cpu.FRAME_ALIGN
        pointers = [thread.registers.sp for thread in self.threads.values()]
        at = stack_room.find(maps, pointers, 2 * size, self.memory)
        if not at:
            raise TargetError(
                f"PID {self.pid} has no room left on any stack to be called from",
                "try again when it is less deep in recursion",
            )
        self._saved_stack = (at, os.pread(self.memory, 2 * size, at))
        self._slots = (at, at + size)

    # -- away from home and back ------------------------------------------------------------------

    @whole
    def _lead_away(self, thread: HeldThread) -> None:
        """Makes *thread* the one that is away; whoever was comes home."""
        if self._away is thread:
            return
        assert self._gadgets is not None
        slot = self._slots[self._slot]
        self._slot ^= 1
        laid, direct = cpu.home(
            slot,
            thread.portable,
            thread.fpu,
            thread.mask,
            self._gadgets,
            (self.scratch.start, self.scratch.end - self.scratch.start),
        )
        self._write(slot, laid)
        faults.point("way laid")
        before, its_way = self._away, self._way
        if before is not None:
            self._set_on_way(before, its_way)  # out of the runner, which the other would unmap
        # Filters are suspended only while crtool lives: rather than be killed for a munmap, leave the scratch mapping.
        way = direct if thread.seccomp else slot
        self._set_on_way(thread, way)
        faults.point("on the way")
        ptrace.set_signal_mask(thread.tid, ALL_SIGNALS & ~self._quiet_bits(thread))
        faults.point("away")
        self._away, self._way, self._direct = thread, way, direct
        if before is not None:
            self._bring_home(before)

    def _set_on_way(self, thread: HeldThread, way: int) -> None:
        """Aims *thread* at the first step of its way home."""
        assert self._gadgets is not None
        self._led[thread.tid] = thread
        start = thread.portable.copy()
        start.leave_kernel()
        start.ip, start.sp = self._gadgets.sigreturn[0], way + 8
        ptrace.set_registers(thread.tid, start)

    def _bring_home(self, thread: HeldThread) -> None:
        ptrace.set_signal_mask(thread.tid, thread.mask)
        faults.point("nearly home")
        ptrace.set_registers(thread.tid, thread.registers)
        del self._led[thread.tid]

    def _quiet_signal(self, thread: HeldThread) -> int:
        """A signal that this program neither handles nor blocks in this thread, and so would drop; 0 if none."""
        for signal in _QUIET:
            if not (self._caught | thread.mask) & bit(signal):
                return signal
        return 0

    def _quiet_bits(self, thread: HeldThread) -> int:
        signal = self._quiet_signal(thread)
        return bit(signal) if signal else 0

    def queued_signals(self) -> tuple[tuple[bytes, ...], ...]:
        """What is in the queues: of the process, then of each thread."""
        tids = list(self.threads)
        own = tuple(ptrace.queued_signals(tid, shared=False) for tid in tids)
        return (ptrace.queued_signals(tids[0], shared=True), *own)

    @property
    def caller(self) -> HeldThread:
        """The thread that makes the calls of the next batch."""
        assert self._away is not None
        return self._away

    # -- running ------------------------------------------------------------------------------------

    def on(self, tid: int) -> Puppet:
        """This process, with thread *tid* as the one that makes the calls of the next batches."""
        self._lead_away(self.threads[tid])
        return self

    @whole
    def _go(self, table: Table, end: int) -> None:
        thread = self._away
        assert thread is not None
        quiet = self._quiet_signal(thread)
        if not quiet or thread.seccomp:
            self._go_one_by_one(table)
            return
        registers = thread.registers.copy()
        registers.aim_at_runner(self.scratch.start, table.address, end, self._way, quiet)
        ptrace.set_registers(thread.tid, registers)
        ptrace.cont(thread.tid)
        while True:
            status = self._wait(thread)
            if status.kind is Stop.SIGNAL and status.signal == quiet and self._is_own(thread.tid):
                return
            self._suppress(thread, status)
            ptrace.cont(thread.tid)

    def _is_own(self, tid: int) -> bool:
        """Whether the signal that stopped the task is the one that the runner raised."""
        return int.from_bytes(ptrace.siginfo(tid)[8:12], "little", signed=True) == SI_TKILL

    def _go_one_by_one(self, table: Table) -> None:
        """For a thread that can raise no quiet signal: each call at the gadget, between two system-call stops."""
        results = table.address + cpu.ENTRY_RESULT
        for call in table.calls:
            for row, args in table.entries_of(call):
                result = self._raw(call.name, *args)
                call.finish(result)
                self._write(results + row * cpu.ENTRY.size, result.to_bytes(8, "little", signed=True))
                if call.must and call.errno:
                    return

    def _one(self, name: str, *args: int) -> int:
        result = self._raw(name, *args)
        if -4095 <= result < 0:
            raise RemoteCallError(name, args, -result, self.pid)
        return result

    @whole
    def _raw(self, name: str, *args: int) -> int:
        """Makes the away thread call *name* at the gadget; returns the raw result."""
        thread, way = self._away, self._way
        assert thread is not None and self._gadgets is not None
        registers = thread.registers.copy()
        registers.aim_at_call(self._gadgets.call, cpu.NUMBERS[name], args, way)
        ptrace.set_registers(thread.tid, registers)
        self.in_call = True
        for _ in ("entry", "exit"):
            ptrace.to_next_syscall_stop(thread.tid)
            while (status := self._wait(thread)).kind is not Stop.SYSCALL:
                self._suppress(thread, status)
                ptrace.to_next_syscall_stop(thread.tid)
            faults.point("call entered or left")
        result = ptrace.registers(thread.tid).result
        self.in_call = False
        return result

    def _wait(self, thread: HeldThread) -> WaitStatus:
        return wait_for_stop(thread.tid)

    def _suppress(self, thread: HeldThread, status: WaitStatus) -> None:
        """Keeps back what arrives while the thread is away: only stop signals and our own can, all else is blocked."""
        if status.kind is Stop.EVENT:
            self._born = ptrace.event_message(thread.tid)
        elif status.kind is Stop.SIGNAL and status.signal in STOP_SIGNALS:
            thread.stop_signals.append(status.signal)
        elif status.kind is Stop.SIGNAL and status.signal not in _QUIET:
            registers = ptrace.registers(thread.tid)
            raise InternalError(f"PID {thread.tid}: signal {status.signal} at {registers.ip:#x} while it was held")

    # -- a twin, and what it leaves ----------------------------------------------------------------

    @whole
    def fork(self, pack: Callable[[int], bytes]) -> int:
        """Makes the process fork by clone3; returns the TID of the child, which crtool traces from then on.

        *pack*: struct clone_args for a child whose stack ends at the address given. There lies a way that leads the
        child out of the world, should crtool die before it has the child in hand. OSError if the kernel refuses.
        """
        thread = self.caller
        assert self._gadgets is not None
        top = self.scratch.data + cpu.PAGE_SIZE
        args = pack(top)
        self._write(self.scratch.data, args)
        self._write(top, cpu.way_out(top, thread.portable, self._gadgets))
        set_options(thread.tid, ptrace_abi.O_TRACESYSGOOD | ptrace_abi.O_TRACECLONE)
        try:
            for _ in range(_ATTEMPTS):
                result = self._raw("clone3", self.scratch.data, len(args))
                if result != -_ERESTARTNOINTR:  # a signal that is about to be kept back
                    break
        finally:
            set_options(thread.tid, ptrace_abi.O_TRACESYSGOOD)
        if result < 0:
            raise OSError(-result, os.strerror(-result))
        return self._born

    def original(self) -> tuple[int, bytes]:
        """Where crtool has laid the ways home, and what was there: a copy of the memory has to get that back."""
        return self._saved_stack

    @whole
    def errand(self, maps: Sequence[Mapping], name: str, *args: int) -> int:
        """Makes one call in a process that needs no more, without a scratch mapping; returns the raw result.

        All threads are at home afterwards.
        """
        thread = self._best_thread()
        self._gadgets = gadgets_of(self.pid, self.memory, maps)
        self._choose_slots(maps)
        slot = self._slots[0]
        laid, direct = cpu.home(slot, thread.portable, thread.fpu, thread.mask, self._gadgets, (0, 0))
        self._write(slot, laid)
        self._set_on_way(thread, direct)
        ptrace.set_signal_mask(thread.tid, ALL_SIGNALS & ~self._quiet_bits(thread))
        self._away, self._way, self._direct = thread, direct, direct
        result = self._raw(name, *args)
        self._bring_home(thread)
        self._away = None
        self._write(*self._saved_stack)
        return result

    # -- letting go -----------------------------------------------------------------------------------

    @whole
    def retire(self) -> None:
        """Unmaps the scratch mapping and brings everybody home; they stay stopped."""
        if not self._led:
            return
        faults.point("retire")
        if self._away is not None:
            self._way = self._direct  # the other threads may soon map things; do not unmap twice
            self._one("munmap", self.scratch.start, self.scratch.end - self.scratch.start)
            self._away = None
        for thread in [*self._led.values()]:  # two, if a handover failed midway: neither's way may be overwritten yet
            self._bring_home(thread)
        self._write(*self._saved_stack)

    def let_go(self, *, stopped: bool = False) -> None:
        """Detaches from every thread, all of which are at home.

        The kernel makes a detached task look for signals, which also restarts an interrupted system call.
        """
        late = [signal for thread in self.threads.values() for signal in thread.stop_signals]
        if stopped or late:
            os.kill(self.pid, SIGSTOP)
        faults.point("let a process go")
        for thread in self.threads.values():
            ptrace.detach(thread.tid)
            faults.point("thread gone")
        os.close(self.memory)
        await_group_stop([thread.tid for thread in self.threads.values() if thread.stop_signal])


def bury(processes: Iterable[HeldProcess], orphans: Iterable[int] = ()) -> None:
    """Detaches from what is left of processes of which some thread has died under our hands.

    The main thread is left to the parent if crtool is the parent itself. *orphans*: others of the tree who are dead,
    for whom crtool waits if they come to it.
    """
    left: list[int] = []
    adopted = list(orphans)
    for process in processes:
        parted = os.getpid() == process.parent  # its parent, we, may want to wait for it
        for tid in process.threads:
            with suppress(TargetDied):
                ptrace.detach(tid)
                continue
            if not (parted and tid == process.pid):
                left.append(tid)
        if not parted:
            adopted.append(process.pid)
        os.close(process.memory)
    await_end(left, adopted)
