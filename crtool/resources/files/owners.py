"""Whom an open file tells by a signal that something can be read or written (fcntl(2), F_SETOWN_EX).

The kernel keeps in the open file description: the process, thread or group, the signal (SIGIO if none was chosen), and
with O_ASYNC that signals are wanted at all. It also keeps by which descriptor, which it tells, and who set it, for
the permission to send the signal.

We ask a borrowed descriptor.

We rebuild it in the first process that has it open, by its first descriptor, when all processes and threads are born.

Lost: who set it, and by which descriptor if there are several; an owner outside the tree that has ended.
"""

from __future__ import annotations

import fcntl
import os
import struct

from crtool.abi.fcntl import F_GETOWN_EX, F_GETSIG, F_SETOWN_EX, F_SETSIG
from crtool.puppet.batch import Batch
from crtool.record import dataclass
from crtool.resources.files.openfile import OpenFile

__all__ = ["OwnerRecord", "dump", "restore"]

_OWNER_EX = struct.Struct("<ii")  # struct f_owner_ex: type, pid


@dataclass(frozen=True)
class OwnerRecord:
    """Who is told."""

    holder: int  # PID of a process that has it open: the number of its descriptor is part of what is told
    fd: int  # the descriptor there
    kind: int  # F_OWNER_TID, F_OWNER_PID, F_OWNER_PGRP
    pid: int
    signal: int  # 0: SIGIO, without a siginfo
    flags: int  # O_* as fcntl(F_GETFL) gives them; O_ASYNC: signals are wanted


def dump(file: OpenFile) -> OwnerRecord | None:
    """The record of *file*, None if it tells nobody."""
    if file.flags & os.O_PATH:
        return None
    kind, pid = _OWNER_EX.unpack(fcntl.fcntl(file.local, F_GETOWN_EX, bytes(_OWNER_EX.size)))
    signal = fcntl.fcntl(file.local, F_GETSIG)
    if not (pid or signal or file.flags & os.O_ASYNC):
        return None
    return OwnerRecord(file.pid, file.fd, kind, pid, signal, file.flags)


def restore(batch: Batch, record: OwnerRecord) -> None:
    """Adds the calls, to be made by :attr:`OwnerRecord.holder` when it has its descriptors and all owners are born."""
    if record.pid:
        # It fails for an owner that is neither in the tree nor alive.
        batch.call("fcntl", record.fd, F_SETOWN_EX, _OWNER_EX.pack(record.kind, record.pid), must=False)
    if record.signal:
        batch.call("fcntl", record.fd, F_SETSIG, record.signal)
    if record.flags & os.O_ASYNC:
        # The flag has to be seen to change, or the file is not told about it.
        batch.call("fcntl", record.fd, fcntl.F_SETFL, record.flags & ~os.O_ASYNC)
        batch.call("fcntl", record.fd, fcntl.F_SETFL, record.flags)
