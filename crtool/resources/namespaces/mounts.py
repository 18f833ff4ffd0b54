"""Mount namespaces (mount_namespaces(7)).

The kernel keeps in each a tree of mounts, and with each mount where its changes go to and come from (propagation).

We read /proc/PID/mountinfo, and compare it with crtool's own. Which PID namespace a procfs shows, the PID 1 in it says.

We rebuild one whose mounts are those of crtool's, plus some of its own (:mod:`crtool.resources.namespaces.own_mounts`)
and /proc of the tree's PID namespaces: by unshare(2), and mount(2), which for a procfs is made by a process that lives
in that PID namespace.

Refused: whatever else is mounted, or is not. The propagation of all mounts becomes that of the root.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from crtool.abi import mount as abi
from crtool.abi.clone import CLONE_NEWNS
from crtool.procfs import mountinfo
from crtool.procfs import ns as ns_file
from crtool.procfs.error import ProcfsError
from crtool.procfs.mountinfo import Mount
from crtool.procfs.read import read
from crtool.puppet.batch import Batch
from crtool.record import dataclass
from crtool.resources.namespaces.own_mounts import MountRecord, flags

__all__ = [
    "FLAG",
    "MountsRecord",
    "ProcRecord",
    "flags",
    "mixed",
    "mount",
    "procs",
    "propagation",
    "restore",
    "shown_by",
]

FLAG = CLONE_NEWNS


@dataclass(frozen=True)
class ProcRecord:
    """A procfs that is mounted there and not here."""

    point: bytes  # where
    namespace: int  # whose PIDs it shows: the first process of that PID namespace, 0 for the one that the tree grew in
    by: int  # a process that lives in both namespaces
    flags: int  # MS_* of the mount


@dataclass(frozen=True)
class MountsRecord:
    """A mount namespace."""

    members: tuple[int, ...]  # PIDs of the processes that live in it, as of ProcessRecord.pids[0]
    propagation: int  # of its mounts: MS_PRIVATE, MS_SLAVE or MS_SHARED
    procs: tuple[ProcRecord, ...]  # in the order in which they are to be mounted
    own: tuple[MountRecord, ...] = ()  # likewise: what else is mounted there and not here


def procs(door: int) -> Iterator[tuple[Mount, int | None]]:
    """Each procfs that lies on top of its mount point and is another one than crtool's, and the inode number of the
    PID namespace that it shows; None if its first process has ended.
    """
    own = os.stat("/proc").st_dev
    top = {mount.mount_point: mount for mount in mountinfo.parse(read(door, "mountinfo"))}  # what is mounted last wins
    for mount in top.values():
        device = os.makedev(mount.major, mount.minor)
        if mount.fs_type == "proc" and device != own and mount.root == b"/":
            yield mount, shown_by(door, mount.mount_point, device)


def shown_by(door: int, point: bytes, device: int = 0) -> int | None:
    """The inode number of the PID namespace that the procfs at *point* shows; None if nothing of it can be seen."""
    path = f"/proc/{door}/root".encode() + point
    try:
        if device and os.stat(path).st_dev != device:
            return None
        return ns_file.parse_link(os.readlink(path + b"/1/ns/pid"))[1]
    except (OSError, ProcfsError):
        return None


def propagation(door: int) -> int:
    """How the root of the mounts of thread *door* is tied to others."""
    for mount in mountinfo.parse(read(door, "mountinfo")):
        if mount.mount_point == b"/":
            return _tie(mount)
    return abi.MS_PRIVATE


def mixed(door: int) -> bool:
    """Whether a mount of thread *door* is tied to others in another way than the root."""
    return len({_tie(mount) for mount in mountinfo.parse(read(door, "mountinfo"))}) > 1


def _tie(mount: Mount) -> int:
    if mount.master is not None:
        return abi.MS_SLAVE
    return abi.MS_PRIVATE if mount.shared is None else abi.MS_SHARED


def restore(batch: Batch, record: MountsRecord) -> None:
    """Adds the calls by which mounts of a new namespace do not reach others."""
    kinds = [abi.MS_PRIVATE if record.propagation == abi.MS_PRIVATE else abi.MS_SLAVE]
    if record.propagation == abi.MS_SHARED:
        kinds.append(abi.MS_SHARED)  # among those only that will be copied from it
    for kind in kinds:
        batch.call("mount", batch.path("none"), batch.path("/"), 0, abi.MS_REC | kind, 0, label="propagation of mounts")


def mount(batch: Batch, record: ProcRecord) -> None:
    """Adds the call that mounts a procfs, to be made by ``record.by``."""
    name, where = batch.path("proc"), batch.path(record.point)
    batch.call("mount", name, where, name, record.flags, 0, label=f"{record.point.decode(errors='replace')} of procfs")
