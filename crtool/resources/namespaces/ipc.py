"""IPC namespaces (ipc_namespaces(7)).

The kernel keeps in each the System V objects and the POSIX message queues that were made in it, apart from processes.

We note who lives in it. What is in it, and its sysctls, are read by crtool.engine.ipc_collect.

We rebuild it by unshare(2), and fill it by crtool.engine.ipc.

Refused: what of its content cannot be saved, see crtool.resources.ipc.
"""

from __future__ import annotations

from crtool.abi.clone import CLONE_NEWIPC
from crtool.record import dataclass

__all__ = ["FLAG", "IpcNamespaceRecord"]

FLAG = CLONE_NEWIPC


@dataclass(frozen=True)
class IpcNamespaceRecord:
    """An IPC namespace."""

    members: tuple[int, ...]  # PIDs of the processes that live in it, as of ProcessRecord.pids[0]
