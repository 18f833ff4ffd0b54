"""The file system view of a task: root, current folder, umask.

The kernel keeps them in one object, shared with CLONE_FS: always by the threads of a process unless one has called
unshare(CLONE_FS), sometimes by processes.

We read the links /proc/PID/root and /proc/PID/cwd and the Umask of /proc/PID/status.

We rebuild them by chroot(2), chdir(2) and umask(2), made by the task itself before it gives up any right. The
current folder is entered first, as a descriptor, since it may lie outside the new root.

A folder that was deleted is made again, entered and deleted again.
"""

from __future__ import annotations

from crtool.puppet.batch import Batch
from crtool.record import dataclass

__all__ = ["FsRecord", "restore"]


@dataclass(frozen=True)
class FsRecord:
    """Root, current folder and umask."""

    root: int  # index into the image's inodes
    cwd: int  # index into the image's inodes
    umask: int


def restore(batch: Batch, record: FsRecord, root: int, cwd: int) -> None:
    """Adds the calls; *root* and *cwd* are those folders, open in the puppet; *root* −1 if it is crtool's own."""
    if root >= 0:
        batch.call("fchdir", root, label="root")
        batch.call("chroot", b".\0", label="root")
    batch.call("fchdir", cwd, label="current folder")
    batch.call("umask", record.umask)
