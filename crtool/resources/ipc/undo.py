"""What a process will have undone to System V semaphores at its end (SEM_UNDO, semop(2)).

The kernel keeps for each process a list of adjustments: numbers that are added to semaphores when it ends. Its threads
have one list, if they were made by pthread_create(3).

No interface shows them, but they have limits: an operation that would lead an adjustment beyond 32767 is refused with
ERANGE. The process is made to try operations of which the last cannot succeed, so that the kernel takes all of them
back (perform_atomic_semop_slow() in ipc/sem.c) and answers EAGAIN if the limit was not met: each try compares the
adjustment with a number, and nothing has changed. crtool chooses the number as one searches in a sorted list.

We rebuild them by pairs of operations in one call, one with SEM_UNDO and one without, that leave the value as it is.

Lost: that threads made without CLONE_SYSVSEM had lists of their own. Refused: a process that
may not change a set any more, and was the last to do so.
"""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable, Iterator, Sequence

from crtool.abi import ipc
from crtool.abi.clone import CLONE_SYSVSEM
from crtool.errors import Obstacle, ObstacleError
from crtool.kernel.process import KCMP_SYSVSEM, kcmp
from crtool.kernel.syscall import syscall
from crtool.puppet.batch import Batch, Call
from crtool.puppet.puppet import Puppet
from crtool.record import dataclass
from crtool.resources.ipc.semaphores import SetRecord

__all__ = ["AdjustmentRecord", "dump", "has_list", "restore"]

_CHUNK = 16_000  # so much can be added to a value or taken from it, whatever that is
_NEVER = ipc.SEMBUF.pack(0, -32768, ipc.IPC_NOWAIT)  # below zero, whatever the value is


@dataclass(frozen=True)
class AdjustmentRecord:
    """What a process will have added to one semaphore."""

    pid: int
    set: int  # id
    number: int
    adjustment: int


def has_list(door: int) -> bool:
    """Whether the task has a list, maybe an empty one: one that has borne a thread has (copy_semundo() in ipc/sem.c).

    It is compared with crtool, which gives up its own first.
    """
    syscall("unshare", CLONE_SYSVSEM)
    return kcmp(threading.get_native_id(), door, KCMP_SYSVSEM) != 0


def shift(number: int, value: int, by: int) -> bytes:
    """Operations that change an adjustment *by* something and leave the semaphore at its *value*."""
    operations = b""
    left = abs(by)
    while left:
        part = min(left, _CHUNK)
        left -= part
        up = ipc.SEMBUF.pack(number, part, ipc.IPC_NOWAIT | (ipc.SEM_UNDO if by < 0 else 0))
        down = ipc.SEMBUF.pack(number, -part, ipc.IPC_NOWAIT | (ipc.SEM_UNDO if by > 0 else 0))
        operations += up + down if value + part <= ipc.SEMVMX else down + up
    return operations


def _ask(batch: Batch, record: SetRecord, number: int, *, least: int | None = None, most: int | None = None) -> Call:
    """Asks whether an adjustment is at least, or at most, that much: the call then fails with ERANGE, else EAGAIN."""
    by = ipc.SEMAEM + 1 - least if least is not None else -(ipc.SEMAEM + 2 + (most or 0))
    operations = shift(number, record.levels[number], by) + _NEVER
    count = len(operations) // ipc.SEMBUF.size
    return batch.call("semop", record.permissions.id, operations, count, must=False)


def dump(
    puppet: Puppet, pid: int, sets: Sequence[SetRecord], has_changed: Callable[[int], bool]
) -> Iterator[AdjustmentRecord]:
    """The adjustments of *sets* that process *pid*, held as *puppet*, has. ObstacleError if they cannot be told: those
    of a set that it may not change are none, unless it *has_changed* it.
    """
    batch = Batch()
    asked = [
        (record, number, _ask(batch, record, number, least=1), _ask(batch, record, number, most=-1))
        for record in sets
        for number in range(len(record.levels))
    ]
    puppet.run(batch)
    for record, number, positive, negative in asked:
        if positive.errno == errno.EACCES and not has_changed(record.permissions.id):
            continue
        if _answer(pid, record, positive):
            low, high = 1, ipc.SEMAEM
        elif _answer(pid, record, negative):
            low, high = -ipc.SEMAEM - 1, -1
        else:
            continue
        while low < high:
            middle = (low + high + 1) // 2
            batch = Batch()
            call = _ask(batch, record, number, least=middle)
            puppet.run(batch)
            if _answer(pid, record, call):
                low = middle
            else:
                high = middle - 1
        yield AdjustmentRecord(pid, record.permissions.id, number, low)


def _answer(pid: int, record: SetRecord, call: Call) -> bool:
    if call.errno in (errno.ERANGE, errno.EAGAIN):
        return call.errno == errno.ERANGE
    if call.errno in (errno.EINVAL, errno.EIDRM):
        return False  # the set has been removed
    cause = (
        f"may not change the System V semaphores with id {record.permissions.id}, so that nobody can tell what it will "
        "have undone to them (SEM_UNDO)"
    )
    raise ObstacleError([Obstacle(pid, "", cause, "give it the right to change them")])


def restore(batch: Batch, record: AdjustmentRecord, value: int) -> None:
    """Adds the call by which the process gets an adjustment of a semaphore that has *value*."""
    operations = shift(record.number, value, record.adjustment)
    count = len(operations) // ipc.SEMBUF.size
    batch.call("semop", record.set, operations, count, label="adjustments of semaphores")
