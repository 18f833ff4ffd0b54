"""One thread of a living process under our hands: seizing it, letting it come to rest, reading what is its own."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import field
from functools import partial
from itertools import count

from crtool import faults
from crtool.abi import ptrace as ptrace_abi
from crtool.arch import cpu
from crtool.errors import InternalError, Obstacle, ObstacleError, TargetDied
from crtool.kernel import process, ptrace
from crtool.kernel.wait import Stop, wait_for_stop
from crtool.procfs import stat as stat_file
from crtool.procfs import status as status_file
from crtool.procfs.read import read
from crtool.puppet.critical import leave_critical_section
from crtool.puppet.waiting import Wait
from crtool.record import dataclass

__all__ = ["HeldThread", "await_group_stop", "seize"]

_CHANCES, _CHANCE = 20, 20e-6  # how often, and for how many seconds, a thread may run on


def seize(tid: int) -> None:
    """Becomes the tracer of *tid* and asks it to stop, without waiting for that. Who has ended by then is waited for
    like anybody else.
    """
    faults.point("seize")
    ptrace.seize(tid, ptrace_abi.O_TRACESYSGOOD)
    faults.point("seized")
    with suppress(TargetDied):
        ptrace.interrupt(tid)


@dataclass
class HeldThread:
    """A seized thread and, once it has stopped, the state that is its own."""

    tid: int
    registers: cpu.Registers  # as they are; on release the kernel restarts what was interrupted
    portable: cpu.Registers  # the same for a task without this one's restart block: on the way home, after a restart
    fpu: bytes
    mask: int
    stop_signal: int  # with which job control has stopped the process, 0 if it has not
    rseq: tuple[int, int, int]  # address, size, signature
    seccomp: bool = False  # under filters, which are suspended while it is held, as soon as all threads have stopped
    stop_signals: list[int] = field(default_factory=list)  # arrived while it was held

    @classmethod
    def settle(
        cls, tid: int, deadline: float | None, apart: range = range(0), wait: Wait | None = None
    ) -> HeldThread:
        """Waits until the seized thread *tid* has come to rest, and reads its state. It gets a chance to leave *apart*,
        code in which it should not be stopped, first. *wait*: what was seen of it, if it waits for a limited time.

        A signal that is just being delivered goes its way: it is injected, and the thread stops again
        at the first instruction of the handler, or does not, if the signal ends it.
        """
        for chances in count():
            faults.point("settle")
            status = wait_for_stop(tid, deadline)
            if status.kind in (Stop.INTERRUPTED, Stop.GROUP):
                registers = ptrace.registers(tid)
                if registers.ip not in apart or status.kind is Stop.GROUP or chances >= _CHANCES:
                    break
                ptrace.cont(tid, 0)
                time.sleep(_CHANCE)
                ptrace.interrupt(tid)
            elif status.kind is Stop.SIGNAL:
                # Any trap uses up the pending interrupt, so it is asked for again.
                ptrace.interrupt(tid)
                ptrace.cont(tid, status.signal)
            else:
                raise InternalError(f"PID {tid}: unexpected stop ({status.kind.value})")
        if ptrace.user_dispatch(tid):
            raise ObstacleError(
                [Obstacle(tid, "", "handles its own system calls (PR_SET_SYSCALL_USER_DISPATCH)", "there is none")]
            )
        rseq = ptrace.rseq(tid)
        leave_critical_section(tid, rseq[0], registers)
        peek = partial(_peek, tid)
        waited: Callable[[], int | None] = partial(wait.passed, tid) if wait is not None else lambda: None
        if registers.forgive_interruption():
            cpu.shorten(registers, waited, peek, as_another=not _is_filtered(tid))
            ptrace.set_registers(tid, registers)
        code = b""
        if registers.lost_number:
            before = cpu.CODE_BEFORE_CALL
            code = peek(registers.ip - before, before) or b""
        portable = registers.without_restart_block(code, peek)
        if registers.has_restart_block:
            cpu.shorten(portable, waited, peek, as_another=not _is_filtered(tid))
        return cls(
            tid,
            registers,
            portable,
            ptrace.fpu(tid),
            ptrace.signal_mask(tid),
            status.signal if status.kind is Stop.GROUP else 0,
            rseq,
        )


def _is_filtered(tid: int) -> bool:
    """Whether a thread is under seccomp, of which most are not asked: it is read of all when all have come to rest."""
    return bool(status_file.later(read(tid, "status")).seccomp)


def _peek(tid: int, address: int, length: int) -> bytes | None:
    try:
        return process.read_memory(tid, address, length)
    except OSError:
        return None


def await_group_stop(tids: Sequence[int]) -> None:
    """Waits until the tasks, just detached, stand still again: each wakes up for a moment to take its place in the
    stop.

    Not for ever: somebody may have sent SIGCONT meanwhile.
    """
    deadline = time.monotonic() + 0.2
    for tid in tids:
        with suppress(TargetDied):
            while stat_file.parse(read(tid, "stat")).state == "R" and time.monotonic() < deadline:
                time.sleep(0.0002)
