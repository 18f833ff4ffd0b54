"""/proc/sysvipc/{shm,sem,msg}: the objects of the IPC namespace of whoever reads them.

Spec: proc_sysvipc(5); sysvipc_*_proc_show() in the kernel's ipc/{shm,sem,msg}.c. The first line names the columns,
whose number and order differ between kernels.
"""

from __future__ import annotations

from crtool.procfs.error import ProcfsError
from crtool.record import dataclass

__all__ = ["Listed", "parse"]

_IDS = (b"shmid", b"semid", b"msqid")
_USERS = (b"cpid", b"lpid", b"lspid", b"lrpid")


@dataclass(frozen=True)
class Listed:
    """One object."""

    id: int
    key: int  # as the *get(2) calls take it, without a sign
    pids: tuple[int, ...]  # who made it and who used it last, as far as that is kept


def parse(data: bytes) -> tuple[Listed, ...]:
    """All objects; ProcfsError if there is no column of ids."""
    first, *lines = data.splitlines() or [b""]
    columns = first.split()
    place = next((columns.index(name) for name in _IDS if name in columns), None)
    if place is None:
        raise ProcfsError("sysvipc", data)
    users = [index for index, name in enumerate(columns) if name in _USERS]
    found = []
    for line in lines:
        values = line.split()
        if len(values) != len(columns):
            raise ProcfsError("sysvipc", line)
        pids = tuple(int(values[index]) for index in users)
        found.append(Listed(int(values[place]), int(values[0]) & 0xFFFFFFFF, pids))
    return tuple(found)
