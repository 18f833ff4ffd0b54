"""IPC namespaces (ipc_namespaces(7)).

The kernel keeps in each the System V objects and the POSIX message queues that were made in it, apart from processes.

We look from within whether there are any.

We rebuild an empty one by unshare(2). (That of the root, with all that is in it, comes back by crtool.engine.ipc.)

Refused: one that holds something. Its sysctls (kernel.shm*, kernel.sem, kernel.msg*, fs.mqueue.*) get their defaults.
"""

from __future__ import annotations

from pathlib import Path

from crtool.abi.clone import CLONE_NEWIPC
from crtool.kernel.within import queue_names, within
from crtool.record import dataclass

__all__ = ["FLAG", "IpcNamespaceRecord", "obstacle"]

FLAG = CLONE_NEWIPC
_TABLES = {"shm": "shared memory", "sem": "semaphores", "msg": "message queues"}


@dataclass(frozen=True)
class IpcNamespaceRecord:
    """An IPC namespace with nothing in it."""

    members: tuple[int, ...]  # PIDs of the processes that live in it, as of ProcessRecord.pids[0]


def obstacle(door: int) -> str | None:
    """Why the namespace of thread *door* cannot be saved, if so."""
    found = within(door, FLAG, _contents).decode()
    return f"has {found} in an IPC namespace of its own" if found else None


def _contents() -> bytes:
    found = [
        f"System V {what}"
        for table, what in _TABLES.items()
        if len(Path(f"/proc/sysvipc/{table}").read_bytes().splitlines()) > 1
    ]
    found += [f"the POSIX message queue /{name}" for name in queue_names()]
    return ", ".join(found).encode()
