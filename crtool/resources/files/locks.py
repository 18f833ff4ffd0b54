"""Locks on files: of a process (fcntl(2), POSIX), of an open file description (flock(2), F_OFD_SETLK), and leases.

The kernel keeps with the inode who has which bytes locked: the file table of a process (POSIX), or an open file
description (all others). A lease also says to whom a break is told, as :mod:`.owners` has it.

We read the lines "lock:" of /proc/PID/fdinfo.

We rebuild each by the process in whose table it was found, when it has closed all descriptors that are not its own:
closing any descriptor of a file drops the process's POSIX locks on it. Who waits for a lock is in a system call, which
begins again.

Lost, by name: leases that are being broken, and those that the kernel does not grant again. Lost: notifications
about folders (F_NOTIFY), which the kernel does not tell.
"""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Callable, Sequence

from crtool.errors import EnvironmentDiffers
from crtool.procfs import fdinfo_kinds
from crtool.procfs.fdinfo import Fdinfo
from crtool.procfs.fdinfo_kinds import Lock
from crtool.puppet.batch import Batch, Call
from crtool.record import dataclass

__all__ = ["LockRecord", "Locks", "TableLocks", "restore"]

_F_SETLK, _F_OFD_SETLK, _F_SETLEASE = 6, 37, 1024
_TYPES = {"READ": 0, "WRITE": 1}  # F_RDLCK, F_WRLCK
_LOCK_SH, _LOCK_EX, _LOCK_NB = 1, 2, 4
_FLOCK = struct.Struct("<hh4xqqi4x")  # struct flock: type, whence, start, length, PID


@dataclass(frozen=True)
class LockRecord:
    """One lock."""

    fd: int  # a descriptor of the table through which it is held
    kind: str  # POSIX, FLOCK, OFDLCK, LEASE
    write: bool  # for one holder alone
    start: int  # first byte
    length: int  # bytes, 0: to the end of the file, wherever that is


class Locks:
    """The locks of an image under way: those of descriptions are seen in many tables, and kept once."""

    def __init__(self, warn: Callable[[str], None]) -> None:
        self.warn = warn
        self.known: set[tuple[int, Lock]] = set()  # description, lock

    def table(self) -> TableLocks:
        """For one table."""
        return TableLocks(self)


class TableLocks:
    """The locks of one file table under way."""

    def __init__(self, all_locks: Locks) -> None:
        self._all = all_locks
        self._found: dict[tuple[int, Lock], LockRecord] = {}

    def add(self, pid: int, fd: int, description: int, info: Fdinfo) -> None:
        """Takes note of the locks of descriptor *fd* of process *pid*; *info*: its fdinfo."""
        for lock in fdinfo_kinds.locks(info):
            key = (description if lock.kind != "POSIX" else -1, lock)
            if key in self._found or key in self._all.known:
                continue
            record = _dump(fd, lock, lambda what: self._all.warn(f"PID {pid} fd {fd}: {what} is lost"))
            if record is not None:
                self._found[key] = record
                if lock.kind != "POSIX":
                    self._all.known.add(key)

    def records(self) -> tuple[LockRecord, ...]:
        """All of them."""
        return tuple(self._found.values())


def _dump(fd: int, lock: Lock, lost: Callable[[str], None]) -> LockRecord | None:
    if lock.kind not in ("POSIX", "FLOCK", "OFDLCK", "LEASE"):
        return None  # of a file server in the kernel
    if lock.kind == "LEASE" and lock.state != "ACTIVE":
        lost("a lease that is being broken")
        return None
    length = 0 if lock.end is None else lock.end - lock.start + 1
    return LockRecord(fd, lock.kind, lock.access == "WRITE", lock.start, length)


def restore(batch: Batch, records: Sequence[LockRecord]) -> Callable[[int, Callable[[str], None]], None]:
    """Adds the calls; the function returned is to be called after them, with the PID, and with whom to tell what is
    not as it was.
    """
    calls = [(record, _add(batch, record)) for record in records]

    def judge(pid: int, warn: Callable[[str], None]) -> None:
        for record, call in calls:
            if call.errno and record.kind == "LEASE":
                warn(f"PID {pid} fd {record.fd}: a lease is lost: {os.strerror(call.errno)}")
            elif call.errno:
                _complain(pid, record, call.errno)

    return judge


def _add(batch: Batch, record: LockRecord) -> Call:
    kind = _TYPES["WRITE" if record.write else "READ"]
    if record.kind == "LEASE":
        return batch.call("fcntl", record.fd, _F_SETLEASE, kind, must=False, label="lease")
    if record.kind == "FLOCK":
        operation = (_LOCK_EX if record.write else _LOCK_SH) | _LOCK_NB
        return batch.call("flock", record.fd, operation, must=False)
    command = _F_SETLK if record.kind == "POSIX" else _F_OFD_SETLK
    request = _FLOCK.pack(kind, os.SEEK_SET, record.start, record.length, 0)
    return batch.call("fcntl", record.fd, command, request, must=False, label="lock")


def _complain(pid: int, record: LockRecord, number: int) -> None:
    path = f"/proc/{pid}/fd/{record.fd}"
    if number not in (errno.EAGAIN, errno.EACCES):
        raise EnvironmentDiffers(f"{os.readlink(path)} cannot be locked: {os.strerror(number)}")
    raise EnvironmentDiffers(
        f"{os.readlink(path)} is locked by {_holder(os.stat(path))}", "end that, or wait until it lets it go"
    )


def _holder(info: os.stat_result) -> str:
    """In words, who has a lock on a file."""
    where = f"{os.major(info.st_dev):02x}:{os.minor(info.st_dev):02x}:{info.st_ino}"
    with open("/proc/locks", encoding="ascii") as file:
        for line in file:
            fields = line.split()
            if where in fields and "->" not in fields:
                pid = fields[fields.index(where) - 1]
                return f"PID {pid}" if int(pid) > 0 else "an open file description of somebody"
    return "somebody"
