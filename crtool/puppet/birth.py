"""The birth of a process under our hands, and making it blank.

The first one is a child of crtool: clone3 with the PID of our choice, then execve of a tiny ELF that
is made here in a memfd. execve gives a clean slate: no C library, no rseq area (one that the C library of crtool
had registered would kill the child at the next return to user mode once its memory is unmapped), nothing mapped but
the ELF, a stack and the vDSO. All others are born by an injected clone3 from their parents and are
attached by the kernel before they run.

A newborn needs no way home: until its release it dies with crtool (PTRACE_O_EXITKILL).
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from collections.abc import Sequence
from contextlib import ExitStack, suppress

from crtool import faults
from crtool.abi import clone as clone_abi
from crtool.abi import mman
from crtool.abi import ptrace as ptrace_abi
from crtool.abi.signals import ALL_SIGNALS, SIGCHLD, SIGKILL, SIGSTOP, SIGTRAP, bit
from crtool.arch import cpu
from crtool.errors import InternalError, RemoteCallError, TargetDied
from crtool.kernel import clone, eclone, ptrace
from crtool.kernel.eclone_request import EcloneRequest
from crtool.kernel.syscall import RawCall, prepared
from crtool.kernel.wait import WALL, Stop, WaitStatus, wait_for_stop
from crtool.procfs.maps import Mapping, parse
from crtool.puppet import last_pid, tiny_elf
from crtool.puppet.batch import Batch, Call
from crtool.puppet.puppet import Puppet, Scratch
from crtool.puppet.table import Table
from crtool.record import dataclass

__all__ = ["Newborn", "Space", "bear_root"]

_OPTIONS = (
    ptrace_abi.O_EXITKILL
    | ptrace_abi.O_TRACESYSGOOD
    | ptrace_abi.O_TRACEFORK
    | ptrace_abi.O_TRACEVFORK
    | ptrace_abi.O_TRACECLONE
    | ptrace_abi.O_TRACEEXEC
)
_SIG_BLOCK = 0
_RLIMIT_CORE = 4
_PR_SET_NAME = 15
_AT_EMPTY_PATH = 0x1000
_VDSO_NAMES = (b"[vvar]", b"[vvar_vclock]", b"[vdso]")


@dataclass(frozen=True)
class Space:
    """A stretch of addresses that is free in every process of the image, where newborns live.

    The scratch mapping comes first, then, after a gap, the vDSO with its data pages.
    """

    start: int
    SCRATCH = 1 << 20
    GAP = 1 << 16
    VDSO = 1 << 16
    SIZE = SCRATCH + GAP + VDSO

    @property
    def scratch(self) -> Scratch:
        """The scratch mapping."""
        return Scratch(self.start, self.start + self.SCRATCH)

    @property
    def vdso(self) -> int:
        """Where the first of the vDSO's mappings is put."""
        return self.start + self.SCRATCH + self.GAP


class Newborn(Puppet):
    """A task that is not yet anybody: a process, or one more thread of it."""

    def __init__(self, tid: int, scratch: Scratch, memory: int, pid: int | None = None) -> None:
        self.tid = tid
        self.pid = tid if pid is None else pid
        self.scratch = scratch
        self.memory = memory
        self.born: list[int] = []  # what its clone calls have brought forth, in order, in our PID namespace

    def close(self) -> None:
        """Gives back the descriptor through which its memory is reached."""
        if self.memory >= 0:
            os.close(self.memory)
            self.memory = -1

    @classmethod
    def attached(cls, tid: int, parent: Newborn, *, thread: bool) -> Newborn:
        """Takes charge of a task that *parent* has cloned; returns once it has stopped."""
        faults.point("born")
        wait_for_stop(tid)
        if thread:
            return cls(tid, parent.scratch, parent.memory, parent.pid)
        return cls(tid, parent.scratch, os.open(f"/proc/{tid}/mem", os.O_RDWR | os.O_CLOEXEC))

    def clone(self, batch: Batch, flags: int, exit_signal: int, pids: Sequence[int], *, must: bool = True) -> Call:
        """Adds a clone3 to *batch*; *pids* as in :func:`crtool.kernel.clone.clone3`."""
        return self.bear(batch, EcloneRequest.of_vector(flags, exit_signal, pids), must=must)

    def bear(self, batch: Batch, request: EcloneRequest, *, must: bool = True) -> Call:
        """Adds the birth of a child or thread of this task; addresses in *request* are those of the task."""
        if last_pid.needed():
            return last_pid.bear(batch, request, must=must)
        args = request.clone3()
        array = batch.data(struct.pack(f"<{len(args.set_tid)}i", *args.set_tid))
        packed = args.pack(0)
        # The kernel refuses the address of an array without entries.
        struct_clone_args = batch.data(packed, {clone_abi.SET_TID_OFFSET: array} if args.set_tid else None)
        return batch.call("clone3", struct_clone_args, len(packed), must=must, label="/".join(map(str, request.pids)))

    def _go(self, table: Table, end: int) -> None:
        registers = self._blank.copy()
        registers.aim_at_runner(self.scratch.start, table.address, end, 0, 0)
        ptrace.set_registers(self.tid, registers)
        ptrace.cont(self.tid)
        while True:
            status = wait_for_stop(self.tid)
            if status.kind is Stop.SIGNAL and status.signal == SIGTRAP:
                return
            self._pass_over(status)
            ptrace.cont(self.tid)

    @property
    def _blank(self) -> cpu.Registers:
        registers = ptrace.registers(self.tid)
        registers.leave_kernel()
        return registers

    def _pass_over(self, status: WaitStatus) -> None:
        if status.kind is Stop.EVENT:
            if status.event in (ptrace_abi.EVENT_FORK, ptrace_abi.EVENT_VFORK, ptrace_abi.EVENT_CLONE):
                self.born.append(ptrace.event_message(self.tid))
        elif status.kind is Stop.SIGNAL and status.signal != SIGCHLD:
            at = ptrace.registers(self.tid).ip
            raise InternalError(f"PID {self.tid}: signal {status.signal} at {at:#x} before it was restored")

    def _raw(self, gadget: int, name: str, *args: int) -> int:
        """One call at the `syscall` instruction at *gadget*; stops right behind it."""
        registers = self._blank
        registers.aim_at_call(gadget, cpu.NUMBERS[name], args, registers.sp)
        ptrace.set_registers(self.tid, registers)
        for _ in ("entry", "exit"):
            ptrace.to_next_syscall_stop(self.tid)
            while (status := wait_for_stop(self.tid)).kind is not Stop.SYSCALL:
                self._pass_over(status)
                ptrace.to_next_syscall_stop(self.tid)
        result = ptrace.registers(self.tid).result
        if -4095 <= result < 0:
            raise RemoteCallError(name, args, -result, self.tid)
        return result

    def mappings(self) -> tuple[Mapping, ...]:
        """What is mapped in this process now."""
        with open(f"/proc/{self.pid}/maps", "rb") as file:
            return parse(file.read())

    def die(self, status: int, name: bytes) -> None:
        """Ends the process, under *name*, so that its parent finds the wait status *status*.

        A core dump is not made again.
        """
        self.call("prctl", _PR_SET_NAME, name + b"\0", 0, 0, 0)
        signal = status & 0x7F
        if signal:
            self.call("prlimit64", 0, _RLIMIT_CORE, bytes(16), 0)
        registers = self._blank
        registers.aim_at_call(self._gadget, cpu.NUMBERS["exit_group"], ((status >> 8) & 0xFF,), registers.sp)
        ptrace.set_registers(self.tid, registers)
        with suppress(TargetDied):
            if signal:
                ptrace.set_signal_mask(self.tid, 0)
                os.kill(self.pid, signal)
            ptrace.cont(self.tid)
            while True:
                stop = wait_for_stop(self.tid)
                ptrace.cont(self.tid, stop.signal if stop.kind is Stop.SIGNAL and stop.signal == signal else 0)
        with suppress(ChildProcessError):
            os.waitpid(self.tid, WALL)  # if it died too early for wait_for_stop to have seen it
        self.close()

    def suspend_seccomp(self) -> None:
        """Lets the task make calls that filters which it is about to install would forbid."""
        ptrace.set_options(self.tid, _OPTIONS | ptrace_abi.O_SUSPEND_SECCOMP)

    def stop(self, signal: int) -> None:
        """Stops the process as job control does, by *signal*; it stays a puppet, and stops again when it is let go.

        To be done while it has one thread: all of them would have to take part.
        """
        # A tracer may replace the signal that is being delivered; one that is blocked would be queued instead.
        ptrace.set_signal_mask(self.tid, ALL_SIGNALS & ~bit(signal))
        for attempt in (signal, SIGSTOP):  # SIGTSTP and its like are dropped in a group that nobody could continue
            os.kill(self.pid, SIGSTOP)
            status = self._resume()
            while status.kind is Stop.SIGNAL and status.signal not in (SIGSTOP, SIGTRAP):
                status = self._resume()
            if status.signal == SIGSTOP and status.kind is Stop.SIGNAL:
                status = self._resume(attempt)
            if status.kind is Stop.GROUP:
                break
        ptrace.set_signal_mask(self.tid, ALL_SIGNALS)

    def _resume(self, signal: int = 0) -> WaitStatus:
        """Lets the task run to its next stop; left alone it would run into the end of the runner."""
        registers = self._blank
        registers.ip = self.scratch.start + len(cpu.RUNNER) - 1
        ptrace.set_registers(self.tid, registers)
        ptrace.cont(self.tid, signal)
        return wait_for_stop(self.tid)

    def set_flags(self, flags: int) -> None:
        """Loads the flags register by an instruction, which sets flags that ptrace does not."""
        code = self.scratch.start + len(cpu.RUNNER)
        self._write(code, cpu.SET_FLAGS)
        self._write(self.scratch.data, flags.to_bytes(8, "little"))
        registers = self._blank
        registers.ip, registers.sp = code, self.scratch.data
        ptrace.set_registers(self.tid, registers)
        ptrace.cont(self.tid)
        wait_for_stop(self.tid)

    def call_quietly(self, name: str, *args: int | bytes) -> int:
        """One call without the runner. Its trap unblocks SIGTRAP, has it no longer ignored, and takes signals off the
        queue: dequeue_synchronous_signal() in kernel/signal.c brings the first that came of a fault, blocked or not.
        """
        ptrace.set_signal_mask(self.tid, ALL_SIGNALS)
        places, room = [], self.scratch.data
        for arg in args:
            places.append(arg if isinstance(arg, int) else room)
            if not isinstance(arg, int):
                self._write(room, arg)
                room += len(arg)
        return self._raw(self._gadget, name, *places)

    @property
    def _gadget(self) -> int:
        return self.scratch.start + cpu.RUNNER.index(b"\x0f\x05")

    def leave_scratch(self) -> None:
        """Unmaps the scratch mapping: the last call. The task stays stopped behind it, with nothing to return to."""
        self._raw(self._gadget, "munmap", self.scratch.start, self.scratch.end - self.scratch.start)

    def become(self, registers: cpu.Registers, fpu: bytes, mask: int) -> None:
        """Gives the task the CPU state that it is to go on with."""
        faults.point("become")
        ptrace.set_fpu(self.tid, fpu)
        ptrace.set_registers(self.tid, registers)
        ptrace.set_signal_mask(self.tid, mask)

    def release(self) -> None:
        """Lets the task go; the kernel then delivers its signals and restarts the call that it was in."""
        faults.point("release a thread")
        ptrace.detach(self.tid)


def end_child(pid: int) -> None:
    """Ends a child of ours that we may trace, and collects it, whatever stops it still has to report before."""
    with suppress(ProcessLookupError):
        os.kill(pid, SIGKILL)
    with suppress(ChildProcessError):
        while not os.WIFSIGNALED(os.waitpid(pid, WALL)[1]):
            pass


def bear_root(space: Space, pids: Sequence[int], flags: int = 0, exit_signal: int = SIGCHLD) -> Newborn:
    """The birth of the first process, a child of this one, blank and with its scratch mapping in *space*.

    Raises OSError with EEXIST if one of *pids* is taken, EPERM without the right to choose.
    """
    with ExitStack() as borrowed:
        elf = tiny_elf.memfd(space.start)
        borrowed.callback(os.close, elf)
        gate, opener = os.pipe()
        for fd in (gate, opener):
            borrowed.callback(os.close, fd)
        return _bear_root(space, pids, flags, exit_signal, elf, gate, opener)


def _bear_root(
    space: Space, pids: Sequence[int], flags: int, exit_signal: int, elf: int, gate: int, opener: int
) -> Newborn:
    # With the name "" it is the descriptor itself that is executed. Until that has come through the gate, and if crtool
    # dies before, the name is one that leads nowhere.
    name, none = ctypes.create_string_buffer(b"-"), (ctypes.c_ulong * 1)(0)
    nobody, everything = ctypes.addressof(none), (ctypes.c_ulong * 1)(ALL_SIGNALS)
    steps = (
        prepared("rt_sigprocmask", _SIG_BLOCK, ctypes.addressof(everything), 0, 8),  # or one might end the read
        prepared("close", opener),  # so that the read ends when crtool dies
        prepared("read", gate, ctypes.addressof(name), 1),
        prepared("execveat", elf, ctypes.addressof(name), nobody, nobody, _AT_EMPTY_PATH),
    )
    pid = _clone(flags, exit_signal, pids, steps)
    try:
        try:
            faults.point("root cloned")
            ptrace.seize(pid, _OPTIONS)
            os.write(opener, b"\0")
            status = wait_for_stop(pid)
            if status.event != ptrace_abi.EVENT_EXEC:
                raise InternalError(f"PID {pid}: unexpected stop ({status.kind.value}) at birth")
        except TargetDied:
            raise InternalError(f"PID {pid} could not execute the program that crtool made for it") from None
        return _blank_out(pid, space)
    except BaseException:
        end_child(pid)
        raise


def _clone(flags: int, exit_signal: int, pids: Sequence[int], steps: Sequence[RawCall]) -> int:
    """A child of crtool that takes *steps*; its PID."""
    if not last_pid.needed():
        return clone.clone3(flags, exit_signal, pids, steps)
    try:
        pid = eclone.bear(EcloneRequest.of_vector(flags, exit_signal, pids))
    except OSError as error:
        if error.errno == errno.EBUSY:
            raise FileExistsError(errno.EEXIST, error.strerror) from None
        raise
    if pid == 0:
        try:
            for step in steps:
                step()
        finally:
            os._exit(127)
    return pid


def _blank_out(pid: int, space: Space) -> Newborn:
    """Gives a process that has just executed the tiny ELF its scratch mapping, and takes all else from it."""
    puppet = Newborn(pid, space.scratch, os.open(f"/proc/{pid}/mem", os.O_RDWR | os.O_CLOEXEC))
    try:
        _move_in(puppet, pid, space)
    except BaseException:
        puppet.close()
        raise
    return puppet


def _move_in(puppet: Newborn, pid: int, space: Space) -> None:
    ptrace.to_next_syscall_stop(pid)  # the exit from execve itself
    wait_for_stop(pid)
    ptrace.set_signal_mask(pid, ALL_SIGNALS)
    before = puppet.mappings()
    gadget = space.start + 120
    flags = mman.MAP_PRIVATE | mman.MAP_ANONYMOUS | mman.MAP_FIXED_NOREPLACE | mman.MAP_NORESERVE
    # The ELF lies where the code page will be, so that its one instruction is there until the runner is:
    # map the data, then a page of code behind all, run from there, and move it into place.
    data, spare = space.scratch.data, space.scratch.end
    readwrite = mman.PROT_READ | mman.PROT_WRITE
    puppet._raw(gadget, "mmap", data, space.scratch.capacity, readwrite, flags, -1, 0)
    puppet._raw(gadget, "mmap", spare, cpu.PAGE_SIZE, mman.PROT_READ | mman.PROT_EXEC, flags, -1, 0)
    puppet._write(spare, cpu.RUNNER)
    fixed = mman.MREMAP_MAYMOVE | mman.MREMAP_FIXED
    gadget = spare + cpu.RUNNER.index(b"\x0f\x05")
    puppet._raw(gadget, "munmap", space.start, cpu.PAGE_SIZE)
    puppet._raw(gadget, "mmap", space.start, cpu.PAGE_SIZE, mman.PROT_READ | mman.PROT_EXEC, flags, -1, 0)
    puppet._write(space.start, cpu.RUNNER)
    batch = Batch()
    batch.call("munmap", spare, cpu.PAGE_SIZE)
    place = space.vdso
    for mapping in before:
        size = mapping.end - mapping.start
        if mapping.name in _VDSO_NAMES:
            batch.call("mremap", mapping.start, size, size, fixed, place, label=mapping.name.decode())
            place += size
        elif mapping.start != space.start and mapping.name != b"[vsyscall]":
            batch.call("munmap", mapping.start, size, label=mapping.name.decode(errors="replace"))
    puppet.run(batch)
