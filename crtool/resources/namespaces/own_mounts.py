"""Mounts that a mount namespace has for itself: bind mounts, and instances of tmpfs.

The kernel keeps for each what of which file system is mounted where, in which order, and by which flags.

We read /proc/PID/mountinfo, and compare it with crtool's own. What of a bind mount is to be bound is looked for among
the mounts that both have; that it is the same file is asked of stat(2).

We rebuild them in their order by mount(2), made by the first who lives in the namespace. What is in a tmpfs comes along
(:mod:`crtool.resources.namespaces.tmpfs`).

Refused: other file systems that crtool does not have mounted, bind mounts of what crtool does not see, and what lies
beneath another mount; and, when they are made, places to which a symbolic link leads.
"""

from __future__ import annotations

import errno
import os
import stat
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence

from crtool.abi import mount as abi
from crtool.errors import EnvironmentDiffers
from crtool.kernel.resolve import Diverted, resolve, resolve_plain
from crtool.procfs import fdinfo, mountinfo
from crtool.procfs.mountinfo import Mount
from crtool.procfs.read import read
from crtool.puppet.batch import Batch
from crtool.puppet.puppet import Puppet
from crtool.record import dataclass
from crtool.resources.namespaces import tmpfs
from crtool.resources.namespaces.tmpfs import EntryRecord

__all__ = ["MountRecord", "dump", "flags", "judge", "obstacle", "refusal", "restore"]

_FOLDER = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
_OPTIONS = {
    "ro": abi.MS_RDONLY,
    "nosuid": abi.MS_NOSUID,
    "nodev": abi.MS_NODEV,
    "noexec": abi.MS_NOEXEC,
    "noatime": abi.MS_NOATIME,
    "nodiratime": abi.MS_NODIRATIME,
    "relatime": abi.MS_RELATIME,
}
_OF_TMPFS = (b"size", b"nr_blocks", b"nr_inodes", b"mode", b"uid", b"gid", b"huge")  # options that it is mounted by


@dataclass(frozen=True)
class MountRecord:
    """A bind mount, or a tmpfs."""

    point: bytes  # where, as those who live there see it
    source: bytes  # what is bound there, when its turn has come; of a tmpfs: the name by which it was mounted
    options: bytes  # of a tmpfs, as mount(2) takes them
    flags: int  # MS_* of the mount
    content: tuple[EntryRecord, ...] | None  # of a tmpfs; None: a bind mount


class _Refused(Exception):
    """In words that go on "PID 7 …"."""


def flags(mount: Mount) -> int:
    """MS_* of a mount."""
    return sum(_OPTIONS.get(option, 0) for option in mount.options)


def obstacle(door: int) -> str | None:
    """Why the mounts of thread *door* cannot be made again, in words, if so."""
    try:
        _planned(door)
    except _Refused as reason:
        return str(reason)
    return None


def dump(door: int) -> tuple[MountRecord, ...]:
    """Those mounts of thread *door* that crtool does not have, which no :func:`obstacle` speaks against."""
    found = []
    for record in _planned(door):
        if record.content is not None:
            content = tmpfs.dump(_place(door, record.point), _points_below(door, record.point))
            record = MountRecord(record.point, record.source, record.options, record.flags, content)
        found.append(record)
    return tuple(found)


def _points_below(door: int, point: bytes) -> set[bytes]:
    """Where something is mounted below *point*, from there."""
    below = point.rstrip(b"/") + b"/"
    points = {mount.mount_point for mount in mountinfo.parse(read(door, "mountinfo"))}
    return {other.removeprefix(below) for other in points if other.startswith(below)}


def _place(door: int, point: bytes) -> bytes:
    return b"/proc/%d/root%s" % (door, point)


def _planned(door: int) -> list[MountRecord]:
    """The records, without the content of any tmpfs; _Refused."""
    here = [mount for mount in mountinfo.parse(read(os.getpid(), "mountinfo")) if not _is_whole_proc(mount)]
    missing = Counter(map(_key, here))
    own = []
    for mount in mountinfo.parse(read(door, "mountinfo")):
        if _is_whole_proc(mount):
            continue
        if missing[_key(mount)]:
            missing[_key(mount)] -= 1
        else:
            own.append(mount)
    if left := sorted(+missing):
        point, *_, kind = left[0]
        raise _Refused(f"does not have {_name(point)} ({kind}) mounted in a mount namespace of its own")
    records: list[MountRecord] = []
    first: dict[int, bytes] = {}  # point at which a tmpfs of the tree's own was mounted, by device
    for mount in own:
        device = os.makedev(mount.major, mount.minor)
        if device in first and not records[-1].point.startswith(first[device] + mount.root):
            records.append(_bound(mount, _joined(first[device], mount.root)))
        elif (source := _source(door, mount, here, records)) is not None:
            records.append(_bound(mount, source))
        elif mount.fs_type == "tmpfs" and mount.root == b"/" and device not in first:
            records.append(_tmpfs(door, mount, device))
            first[device] = mount.mount_point
        else:
            raise _Refused(f"has {_shown(mount)} mounted in a mount namespace of its own")
    return records


def _shown(mount: Mount) -> str:
    return f"{_name(mount.mount_point)} ({mount.fs_type})"


def _is_whole_proc(mount: Mount) -> bool:
    return mount.fs_type == "proc" and mount.root == b"/"


def _key(mount: Mount) -> tuple[bytes, int, int, bytes, bool, int, str]:
    return (
        mount.mount_point, mount.major, mount.minor, mount.root, mount.read_only, flags(mount), mount.fs_type
    )  # fmt: skip


def _joined(folder: bytes, path: bytes) -> bytes:
    return b"/" + b"/".join(part for part in (*folder.split(b"/"), *path.split(b"/")) if part)


def _bound(mount: Mount, source: bytes) -> MountRecord:
    return MountRecord(mount.mount_point, source, b"", flags(mount), None)


def _source(door: int, mount: Mount, here: Iterable[Mount], before: Sequence[MountRecord]) -> bytes | None:
    """What has to be bound, as everybody sees it who has the mounts of crtool's, and those *before* it."""
    place = _place(door, mount.mount_point)
    for other in here:
        below = other.root.rstrip(b"/") + b"/"
        if (other.major, other.minor) != (mount.major, mount.minor) or not (mount.root + b"/").startswith(below):
            continue
        source = _joined(other.mount_point, (mount.root + b"/")[len(below) :])
        if any(source == one.point or source.startswith(one.point.rstrip(b"/") + b"/") for one in before):
            continue  # another mount covers it by then
        try:
            bound, now = os.lstat(source), os.lstat(place)
        except OSError:
            continue
        if (bound.st_dev, bound.st_ino) == (now.st_dev, now.st_ino):
            return source
    return None


def _tmpfs(door: int, mount: Mount, device: int) -> MountRecord:
    place = _place(door, mount.mount_point)
    if os.lstat(place).st_dev != device:
        raise _Refused(f"has {_shown(mount)} mounted beneath another mount, in a mount namespace of its own")
    if why := tmpfs.obstacle(place, _points_below(door, mount.mount_point)):
        raise _Refused(f"has {_shown(mount)} mounted in a mount namespace of its own, which has {why}")
    given = [word for word in mount.super_options.split(b",") if word.partition(b"=")[0] in _OF_TMPFS]
    return MountRecord(mount.mount_point, mount.source, b",".join(given), flags(mount), ())


def refusal(record: MountRecord, pid: int, number: int) -> EnvironmentDiffers:
    """What is said if a mount cannot be made: *number* is an errno, *pid* that of a process that lives there."""
    return EnvironmentDiffers(
        f"{_name(record.point)} cannot be mounted in the mount namespace of PID {pid}: {os.strerror(number)}",
        "put back what was mounted there, and the place itself; see namespaces(7) for the rights that it takes",
    )


def judge(records: Iterable[MountRecord], unseen: tuple[bytes, ...]) -> Iterator[tuple[MountRecord, int]]:
    """Gives those of *records* that could not be made where crtool lives, each with an errno.

    EnvironmentDiffers if a link leads elsewhere. Below *unseen*, and on other mounts of theirs, nothing can be told.
    """
    root = os.open(b"/", _FOLDER)
    try:
        for record in records:
            try:
                if not record.point.startswith(unseen):
                    os.close(_place_for(root, record.point))
                if record.content is None and not record.source.startswith(unseen):
                    os.close(_what_to_bind(root, record))
            except OSError as error:
                yield record, error.errno or 0
            unseen += (record.point.rstrip(b"/") + b"/",)
    finally:
        os.close(root)


def restore(puppet: Puppet, record: MountRecord) -> None:
    """Makes one mount in the namespace of *puppet*, with what is in it.

    What belongs to others may be replaced at any time, by links into the file system of the host among others. So the
    place and what is bound there are looked up within the root of *puppet*, and once more when mount(2) has taken its
    own way to them; nothing is written but through a descriptor of the new mount.

    RemoteCallError; OSError if the content cannot be made; EnvironmentDiffers if a link leads elsewhere.
    """
    root = os.open(b"/proc/%d/root" % puppet.pid, _FOLDER)
    try:
        _restore(puppet, record, root)
    finally:
        os.close(root)


def _restore(puppet: Puppet, record: MountRecord, root: int) -> None:
    batch = Batch()
    point, label = batch.path(record.point), f"mount of {_name(record.point)}"
    known = {mount.id for mount in mountinfo.parse(read(puppet.pid, "mountinfo"))}
    os.close(_place_for(root, record.point))
    if record.content is None:
        held = _what_to_bind(root, record)
        try:
            batch.call("mount", batch.path(record.source), point, 0, abi.MS_BIND, 0, label=label)
            puppet.run(batch)
            place = _new_mount(root, record, known)
            same = os.path.samestat(os.fstat(place), os.fstat(held))
            os.close(place)
        finally:
            os.close(held)
        if not same:
            raise _replaced(record.source)
    else:
        made = record.flags & ~abi.MS_RDONLY
        kind, options = batch.path("tmpfs"), batch.path(record.options)
        batch.call("mount", batch.path(record.source or b"tmpfs"), point, kind, made, options, label=label)
        puppet.run(batch)
        place = _new_mount(root, record, known)
        try:
            tmpfs.fill(b"/proc/self/fd/%d" % place, record.content)
        finally:
            os.close(place)
    if record.content is None or record.flags & abi.MS_RDONLY:
        again = abi.MS_BIND | abi.MS_REMOUNT | record.flags
        batch = Batch()
        batch.call("mount", 0, batch.path(record.point), 0, again, 0, label=label)
        puppet.run(batch)


def _new_mount(root: int, record: MountRecord, known: Collection[int]) -> int:
    """A descriptor of what is at its place; EnvironmentDiffers if that is on one of the mounts that were *known*."""
    place = _place_for(root, record.point)
    if fdinfo.parse(read(os.getpid(), f"fdinfo/{place}")).mnt_id in known:
        os.close(place)
        raise _replaced(record.point)
    return place


def _replaced(path: bytes) -> EnvironmentDiffers:
    return EnvironmentDiffers(f"{_name(path)} has just been replaced", "try again")


def _name(path: bytes) -> str:
    return path.decode(errors="replace")


def _place_for(root: int, point: bytes) -> int:
    """A descriptor of what stands at *point* within *root*, to which no link leads: mountinfo knows none."""
    try:
        return resolve_plain(point, root)
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        raise EnvironmentDiffers(
            f"{_name(point)}, where something was mounted, is reached through a symbolic link now", "remove the link"
        ) from None


def _what_to_bind(root: int, record: MountRecord) -> int:
    """A descriptor of it, with nobody's link on the way but root's and one's own."""
    source = _name(record.source)
    try:
        held = resolve(record.source, root)
    except Diverted as diverted:
        differs = f"{source} is reached through {_name(diverted.link)} now, a symbolic link of user {diverted.owner}"
        raise EnvironmentDiffers(differs, "remove the link") from None
    if stat.S_ISLNK(os.fstat(held).st_mode):
        os.close(held)
        differs = f"{source}, which was mounted at {_name(record.point)}, is a symbolic link now"
        raise EnvironmentDiffers(differs, "put back what was there")
    return held
