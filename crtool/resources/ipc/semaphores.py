"""System V semaphores (semget(2)).

The kernel keeps a set of semaphores until it is removed: its id and key, owner and creator, and the value of each.

We ask by IPC_STAT and GETALL. What processes will have undone at their end is in :mod:`.undo`.

We rebuild the set by semget(2), with the id chosen by /proc/sys/kernel/sem_next_id, and SETALL. One that is still
there gets back its values, whoever has changed them meanwhile, by operations that leave the adjustments of others as
they are.

Lost: the times, and the PIDs of who changed a value last.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from crtool.errors import EnvironmentDiffers
from crtool.kernel import sysvipc
from crtool.kernel.sysvipc import Permissions, Taken
from crtool.record import dataclass

__all__ = ["SetRecord", "dump", "is_there", "put_back", "restore", "update"]


@dataclass(frozen=True)
class SetRecord:
    """A set of semaphores."""

    permissions: Permissions
    levels: tuple[int, ...]  # their values
    used: bool  # by the tree; if not, a set that is still there is left alone


def dump(number: int, *, used: bool = True) -> SetRecord:
    """The record of set *number*."""
    permissions, _ = sysvipc.stat("sem", number)
    return SetRecord(permissions, sysvipc.values(number, sysvipc.semaphores(number)), used)


def is_there(record: SetRecord) -> bool:
    """Whether the set need not be made; EnvironmentDiffers if it is another one."""
    wanted = record.permissions
    try:
        there, _ = sysvipc.stat("sem", wanted.id)
    except OSError:
        return False
    count = sysvipc.semaphores(wanted.id)
    if (there.key, there.cuid, count) != (wanted.key, wanted.cuid, len(record.levels)):
        raise EnvironmentDiffers(f"{_shown(record)} are others now, of user {there.cuid}", _ELSEWHERE)
    return True


def restore(record: SetRecord) -> bool:
    """Makes the set; False if it is there already."""
    if is_there(record):
        return False
    wanted, shown = record.permissions, _shown(record)
    try:
        sysvipc.create("sem", wanted, len(record.levels))
    except Taken as taken:
        raise EnvironmentDiffers(taken.cause(shown), _ELSEWHERE) from None
    except OSError as error:
        cause = f"{shown} cannot be made: {error.strerror}"
        raise EnvironmentDiffers(cause, "see the limits in /proc/sys/kernel/sem") from None
    with sysvipc.removed_after_failure("sem", wanted.id):
        sysvipc.set_values(wanted.id, record.levels)
    return True


def _shown(record: SetRecord) -> str:
    return f"System V semaphores with id {record.permissions.id}"


def put_back(record: SetRecord) -> Callable[[], None]:
    """A function that gives a set that is there the values that it has now."""
    number = record.permissions.id
    return partial(sysvipc.change_values, number, sysvipc.values(number, len(record.levels)))


def update(record: SetRecord) -> None:
    """Sets the values of a set that is there."""
    number = record.permissions.id
    try:
        sysvipc.change_values(number, record.levels)
    except OSError as error:
        cause = f"System V semaphores with id {number} cannot be set: {error.strerror}"
        raise EnvironmentDiffers(cause, _ELSEWHERE) from None


_ELSEWHERE = "remove them (ipcrm -s), or restart with --pidns: then the processes have objects of their own"
