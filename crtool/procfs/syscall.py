"""/proc/PID/syscall: the system call that a task is in.

Spec: proc_pid_syscall(5); proc_pid_syscall() in the kernel's fs/proc/base.c. Three forms:

    running                                             on a CPU, or was when the kernel looked
    -1 0x7ffc95cdf748 0x7f78b93ad2ad                    blocked, but not in a call (a page fault, a stop, a zombie)
    0 0x3 0x7f78b9231000 0x20000 0x0 0x0 0x0 0x7ffc… 0x7f78…    number, six arguments, stack pointer, program counter

Who traces a task knows better, from its registers: this is for looking without touching.
"""

from __future__ import annotations

from crtool.procfs.error import ProcfsError
from crtool.record import dataclass

__all__ = ["Blocked", "parse"]


@dataclass(frozen=True)
class Blocked:
    """A task that is off the CPU."""

    number: int  # of the call, in the numbering of the task's own ABI; −1 if it is in none
    args: tuple[int, ...]  # six, none if it is in no call; as they were at the start of the call
    stack_pointer: int  # address in the task, 0 for a zombie
    program_counter: int  # likewise


def parse(data: bytes) -> Blocked | None:
    """What the task is blocked in; None if it was running. ProcfsError if the file has another form."""
    words = data.split()
    if words == [b"running"]:
        return None
    try:
        number, *args, stack_pointer, program_counter = words
        if len(args) != (0 if number == b"-1" else 6):
            raise ValueError
        return Blocked(
            int(number), tuple(int(arg, 16) for arg in args), int(stack_pointer, 16), int(program_counter, 16)
        )
    except ValueError:
        raise ProcfsError("syscall", data) from None
