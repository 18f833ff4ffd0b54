"""What a birth is to be, and the one place where it is put into the words of clone3(2).

Everywhere in crtool, in /proc/PID/status and in eclone() the PIDs of a process stand outermost namespace first; in
clone3's ``set_tid`` they stand innermost first. Here they are turned round, once.

An :class:`EcloneRequest` is pure data. crtool makes the call itself (:mod:`crtool.kernel.eclone`) or lets a puppet
make it (:meth:`crtool.puppet.birth.Newborn.clone`), where stacks, threads and shared memory make sense too.
"""

from __future__ import annotations

from collections.abc import Sequence

from crtool.abi.clone import CLONE_ARGS, CLONE_NEWPID, CLONE_PARENT, CLONE_THREAD
from crtool.record import dataclass, replace

__all__ = ["Clone3", "EcloneRequest", "set_tid"]


def set_tid(pids: Sequence[int], *, new_pid_namespace: bool = False) -> tuple[int, ...]:
    """The ``set_tid`` array for *pids*, which are those of the creator's levels, outermost first, 0 for any.

    It begins with the 1 of a new PID namespace. Outer levels that the kernel may choose are left out; a 0 that stays
    is an inner one, which clone3 cannot be told: :meth:`EcloneRequest.holes`.
    """
    numbers = list(reversed(pids))
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return (1, *numbers) if new_pid_namespace and numbers else tuple(numbers)


@dataclass(frozen=True)
class Clone3:
    """The arguments of clone3(2), but for the address of ``set_tid``, which whoever makes the call decides."""

    flags: int  # without the exit signal
    exit_signal: int
    stack: int  # lowest address, 0: the creator's stack pointer
    stack_size: int  # bytes
    parent_tid: int  # address, for CLONE_PARENT_SETTID
    child_tid: int  # address, for CLONE_CHILD_SETTID and CLONE_CHILD_CLEARTID
    tls: int  # for CLONE_SETTLS
    set_tid: tuple[int, ...]  # innermost namespace first

    def pack(self, set_tid_address: int) -> bytes:
        """struct clone_args; the address counts only if there are numbers to be set."""
        return CLONE_ARGS.pack(
            self.flags,
            0,  # pidfd
            self.child_tid,
            self.parent_tid,
            self.exit_signal,
            self.stack,
            self.stack_size,
            self.tls,
            set_tid_address if self.set_tid else 0,
            len(self.set_tid),
            0,  # cgroup
        )


@dataclass(frozen=True)
class EcloneRequest:
    """A birth: flags with the meaning that they have today, and the PIDs asked for."""

    flags: int  # CLONE_*, without the exit signal
    exit_signal: int = 0
    pids: tuple[int, ...] = ()  # of the creator's levels, outermost first, 0 for any; never the 1 of CLONE_NEWPID
    stack: int = 0  # lowest address
    stack_size: int = 0  # bytes
    parent_tid: int = 0  # address
    child_tid: int = 0  # address
    tls: int = 0

    @classmethod
    def of_vector(cls, flags: int, exit_signal: int, vector: Sequence[int]) -> EcloneRequest:
        """The birth of a task whose PIDs, as its /proc/PID/status has them, end with *vector*.

        Unlike :attr:`pids` these include the 1 in the namespace that CLONE_NEWPID makes.
        """
        if flags & CLONE_NEWPID and vector:
            if vector[-1] != 1:
                raise ValueError(f"the first process of a PID namespace is 1, not {vector[-1]}")
            vector = vector[:-1]
        return cls(flags, exit_signal, tuple(vector))

    @property
    def new_pid_namespace(self) -> bool:
        """Whether the child is the first of a PID namespace of its own."""
        return bool(self.flags & CLONE_NEWPID)

    @property
    def named(self) -> tuple[int, ...]:
        """The PIDs from the outermost one that is not left to the kernel."""
        first = next((index for index, pid in enumerate(self.pids) if pid), len(self.pids))
        return self.pids[first:]

    @property
    def holes(self) -> tuple[int, ...]:
        """Where in :attr:`pids` a 0 stands under a PID that is fixed."""
        outer = len(self.pids) - len(self.named)
        return tuple(index for index, pid in enumerate(self.pids) if pid == 0 and index > outer)

    def filled(self, numbers: Sequence[int]) -> EcloneRequest:
        """The same birth with concrete *numbers* in its holes."""
        pids = list(self.pids)
        for index, number in zip(self.holes, numbers, strict=True):
            pids[index] = number
        return replace(self, pids=tuple(pids))

    def clone3(self) -> Clone3:
        """The same in the words of clone3; ValueError if a hole is left.

        clone() and eclone() ignored the exit signal of threads and siblings, clone3 refuses it.
        """
        if self.holes:
            raise ValueError(f"clone3 cannot choose a PID below one that is fixed: {self.pids}")
        return Clone3(
            flags=self.flags,
            exit_signal=0 if self.flags & (CLONE_THREAD | CLONE_PARENT) else self.exit_signal,
            stack=self.stack,
            stack_size=self.stack_size,
            parent_tid=self.parent_tid,
            child_tid=self.child_tid,
            tls=self.tls,
            set_tid=set_tid(self.pids, new_pid_namespace=self.new_pid_namespace),
        )
