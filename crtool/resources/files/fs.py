"""The file system view of a task: root, current folder, umask.

The kernel keeps them in one object, shared with CLONE_FS: always by the threads of a process unless one has called
unshare(CLONE_FS), sometimes by processes.

We read the links /proc/PID/root and /proc/PID/cwd and the Umask of /proc/PID/status.

We rebuild them by fchdir(2), chroot(2) and umask(2), made by the task itself before it gives up any right.

A folder that was deleted is made again, entered and deleted again.
"""

from __future__ import annotations

import os

from crtool.abi.fcntl import AT_FDCWD
from crtool.puppet.batch import Batch, Call
from crtool.record import dataclass

__all__ = ["FsRecord", "restore"]


@dataclass(frozen=True)
class FsRecord:
    """Root, current folder and umask."""

    root: int  # index into the image's inodes
    cwd: int  # index into the image's inodes
    umask: int


def restore(batch: Batch, record: FsRecord, root: int | bytes | None, cwd: int | bytes) -> None:
    """Adds the calls; *root* and *cwd*: those folders, open in the puppet, or their paths in its mount namespace, in
    which a descriptor of another one would leave it. *root* None if it is the root of that namespace.
    """
    # Opened before the root changes, since the current folder may lie outside the new one.
    folder = _opened(batch, cwd, "current folder")
    if root is not None:
        there = _opened(batch, root, "root")
        batch.call("fchdir", there, label="root")
        batch.call("chroot", b".\0", label="root")
        _close(batch, there)
    batch.call("fchdir", folder, label="current folder")
    _close(batch, folder)
    batch.call("umask", record.umask)


def _opened(batch: Batch, folder: int | bytes, label: str) -> int | Call:
    if isinstance(folder, int):
        return folder
    return batch.call("openat", AT_FDCWD, batch.path(folder), os.O_PATH, 0, label=label)


def _close(batch: Batch, folder: int | Call) -> None:
    """Closes what was opened here."""
    if isinstance(folder, Call):
        batch.call("close", folder)
