"""The twin: a fork of a held process that stands still, so that the process itself can go on while it is copied.

The target must not notice that it has a child. What it takes:

- The child has no exit signal: there is no SIGCHLD, and no wait(2) returns it, blocks for it, or misses it when it says
  ECHILD. Only who asks for it (__WALL, __WCLONE) could see it.
- It is traced from its birth on, never runs a single instruction of the program, and dies with crtool (EXITKILL). In
  the moment before that is set, its stack leads it into exit_group, not into the program.
- It is born with the file table of its parent and then leaves that for an empty one: no descriptor is held open by it,
  and none is closed. Locks, timers and pending signals are not inherited by a fork.
- It gives up its area of restartable sequences, to which the kernel writes on which CPU it runs, whenever that changes.
- It leaves group and session, or a signal to the group would reach it, and is the first that the kernel takes when
  memory runs out.
- When it is dead, only its parent can bury it. So the target is stopped once more, for one wait4(2); while it is
  stopped nobody else can be given what the wait returns. Nobody sees the dead twin before, since it is crtool's.

What is left to be seen: a number that is taken, its place in the limits on processes, and its resource usage
among those of dead children (getrusage(2)). Who executes another program meanwhile could be sent a SIGCHLD.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress

from crtool.abi import clone as clone_abi
from crtool.abi import ptrace as ptrace_abi
from crtool.abi.prctl import PR_SET_NAME
from crtool.abi.rseq import RSEQ_FLAG_UNREGISTER
from crtool.errors import RemoteCallError, TargetError
from crtool.kernel import ptrace
from crtool.kernel.wait import WALL, wait_for_stop
from crtool.procfs import status as status_file
from crtool.procfs.maps import Mapping
from crtool.procfs.read import read
from crtool.puppet.batch import Batch
from crtool.puppet.birth import Newborn
from crtool.puppet.hold import HeldProcess
from crtool.puppet.suspension import set_options

__all__ = ["NAME", "Twin", "bury"]

NAME = b"crtool-twin"
_STACK = 64  # bytes that the kernel is told the stack has; it only wants to know where that ends
_CLOSE_RANGE_UNSHARE = 2
_EVERY_DESCRIPTOR = 0xFFFF_FFFF
_MAX_OOM_SCORE = "1000"


class Twin:
    """A copy of the address space of *owner*, for as long as crtool keeps it."""

    def __init__(self, owner: int, newborn: Newborn) -> None:
        self.owner = owner
        self.tid = newborn.tid
        self.memory = newborn.memory
        self.scratch = newborn.scratch
        self.puppet = newborn
        self.is_still = False  # whether nobody, and not the kernel either, writes to its memory
        self._dead = False

    @classmethod
    def of(cls, held: HeldProcess) -> Twin:
        """The twin of a process that stands still, with the memory of this moment.

        Raises OSError if the kernel refuses the fork, or leaves the child more than it should have.
        """
        tid = held.fork(_clone_args)
        try:
            wait_for_stop(tid)
            newborn = Newborn(tid, held.scratch, os.open(f"/proc/{tid}/mem", os.O_RDWR | os.O_CLOEXEC))
        except BaseException:
            _undo(held, tid)
            raise
        twin = cls(held.pid, newborn)
        try:
            set_options(tid, ptrace_abi.O_TRACESYSGOOD | ptrace_abi.O_EXITKILL)
            batch = Batch()
            batch.call("close_range", 0, _EVERY_DESCRIPTOR, _CLOSE_RANGE_UNSHARE)
            batch.call("setsid")
            batch.call("chdir", b"/\0")
            batch.call("prctl", PR_SET_NAME, NAME + b"\0", 0, 0, 0)
            area, size, signature = held.caller.rseq
            left = batch.call("rseq", area, size, RSEQ_FLAG_UNREGISTER, signature, must=False) if area else None
            newborn.run(batch)
            if area:
                os.pwrite(twin.memory, os.pread(held.memory, size, area), area)
            twin.is_still = ptrace.tells_rseq(tid) and (left is None or not left.errno)
            with open(f"/proc/{tid}/oom_score_adj", "w", encoding="ascii") as file:
                file.write(_MAX_OOM_SCORE)
            at, content = held.original()
            os.pwrite(twin.memory, content, at)
        except BaseException as error:
            twin.undo(held)
            if isinstance(error, RemoteCallError):
                raise OSError(error.errno, error.message) from None
            raise
        return twin

    def undo(self, held: HeldProcess) -> None:
        """Ends it and lets its owner, which still stands still, wait for it."""
        self.kill()
        _undo(held, self.tid)

    def kill(self) -> None:
        """Ends it. The kernel takes its memory down; until :func:`bury` it is a zombie that only crtool can see."""
        if not self._dead:
            self._dead = True
            with suppress(ProcessLookupError):
                os.kill(self.tid, 9)
            os.close(self.memory)

    def await_death(self) -> None:
        """Returns when it is dead, but still there."""
        _await_death(self.tid)


def _await_death(tid: int) -> None:
    with suppress(ChildProcessError):
        os.waitid(os.P_PID, tid, os.WEXITED | os.WNOWAIT | WALL)


def _undo(held: HeldProcess, tid: int) -> None:
    """Ends *tid*, which *held* has just born, and lets *held* wait for it."""
    with suppress(ProcessLookupError):
        os.kill(tid, 9)
    _await_death(tid)
    number = number_in(held.pid, tid)
    with suppress(ChildProcessError):
        os.waitpid(tid, WALL)
    held.call("wait4", number, 0, WALL, 0, must=False)


def number_in(owner: int, tid: int) -> int:
    """The PID of *tid*, dead or alive, as *owner* knows it."""
    depth = len(status_file.later(read(owner, "status")).ns_pid)
    return status_file.later(read(tid, "status")).ns_pid[depth - 1]


def bury(owner: HeldProcess, maps: Sequence[Mapping], number: int) -> bool:
    """Lets *owner* wait for its dead child; *number*: as the owner's PID namespace knows it. False: it was not there.

    TargetError if the child lives.
    """
    result = owner.errand(maps, "wait4", number, 0, WALL | os.WNOHANG, 0)
    if result == 0:
        raise TargetError(f"PID {owner.pid}: its twin {number} does not end", "send it SIGKILL")
    return result == number


def _clone_args(top: int) -> bytes:
    """struct clone_args of a child without exit signal that shares the file table, and whose stack ends at *top*."""
    return clone_abi.CLONE_ARGS.pack(clone_abi.CLONE_FILES, 0, 0, 0, 0, top - _STACK, _STACK, 0, 0, 0, 0)
