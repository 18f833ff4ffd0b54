"""What is in a tmpfs that nobody but the tree sees (tmpfs(5)).

The kernel keeps the files of a tmpfs in memory only, and gives them up with its last mount.

We read all of it through /proc/PID/root, while those who see it stand still: names, modes, owners, times, links,
extended attributes, and of each file the parts that are not holes.

We rebuild it in the new, empty tmpfs, through /proc/PID/root of the first who lives there.

Refused: more than LIMIT bytes, and names of sockets. Times of last access are those of the restart.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress

from crtool.record import dataclass

__all__ = ["LIMIT", "EntryRecord", "dump", "fill", "is_sound", "obstacle"]

LIMIT = 64 << 20
"""Bytes in use of one tmpfs that come along: they are among the records, and so are in crtool's memory at once."""
_PIECE = 1 << 20


@dataclass(frozen=True)
class EntryRecord:
    """A file, folder or link."""

    path: bytes  # from the root of the tmpfs, which has the empty one
    mode: int  # st_mode, with the type
    uid: int
    gid: int
    mtime_ns: int
    rdev: int  # st_rdev of a device
    target: bytes  # of a symbolic link
    same_as: bytes  # path of an entry that is another name of the same file; all else is told there
    size: int  # bytes, with holes
    pieces: tuple[tuple[int, bytes], ...]  # offset and content of what is no hole
    attributes: tuple[tuple[str, bytes], ...]  # extended ones


def obstacle(place: bytes, points: Collection[bytes]) -> str | None:
    """Why the tmpfs at *place* cannot be saved, in words that go on "… has", if so. *points*: as of :func:`dump`."""
    usage = os.statvfs(place)
    if (used := (usage.f_blocks - usage.f_bfree) * usage.f_frsize) > LIMIT:
        return f"{used >> 20} MiB in it, and {LIMIT >> 20} are saved"
    for folder, folders, names in os.walk(place):
        here = os.path.relpath(folder, place) if folder != place else b""
        folders[:] = [name for name in folders if os.path.join(here, name) not in points]
        for name in names:
            path = os.path.join(here, name)
            with suppress(FileNotFoundError):
                if path not in points and stat.S_ISSOCK(os.lstat(os.path.join(place, path)).st_mode):
                    return f"the socket /{path.decode(errors='replace')} in it"
    return None


def dump(place: bytes, points: Collection[bytes]) -> tuple[EntryRecord, ...]:
    """All of the tmpfs at *place*, folders before what is in them.

    *points*: paths in it, from its root, at which something else is mounted.
    """
    known: dict[int, bytes] = {}
    return tuple(_entry(place, path, known, covered=path in points) for path in _paths(place, b"", points))


def _paths(place: bytes, path: bytes, points: Collection[bytes]) -> Iterator[bytes]:
    yield path
    here = os.path.join(place, path)
    if path not in points and stat.S_ISDIR(os.lstat(here).st_mode):
        for name in sorted(os.listdir(here)):
            yield from _paths(place, os.path.join(path, name), points)


def _entry(place: bytes, path: bytes, known: dict[int, bytes], *, covered: bool) -> EntryRecord:
    full = os.path.join(place, path)
    info = os.lstat(full)
    kind = stat.S_IFMT(info.st_mode)
    target, same_as, size = b"", b"", 0
    pieces: tuple[tuple[int, bytes], ...] = ()
    attributes: tuple[tuple[str, bytes], ...] = ()
    if covered:  # of what lies beneath another mount only its place can be seen
        return EntryRecord(path, kind | 0o755, 0, 0, 0, 0, target, same_as, size, pieces, attributes)
    if kind == stat.S_IFLNK:
        target = os.readlink(full)
    elif kind != stat.S_IFDIR and info.st_nlink > 1 and known.setdefault(info.st_ino, path) != path:
        same_as = known[info.st_ino]
    elif kind == stat.S_IFREG:
        size, pieces = info.st_size, tuple(_pieces(full, info.st_size))
    if not same_as:
        names = sorted(os.listxattr(full, follow_symlinks=False))
        attributes = tuple((name, os.getxattr(full, name, follow_symlinks=False)) for name in names)
    return EntryRecord(
        path=path,
        mode=info.st_mode,
        uid=info.st_uid,
        gid=info.st_gid,
        mtime_ns=info.st_mtime_ns,
        rdev=info.st_rdev,
        target=target,
        same_as=same_as,
        size=size,
        pieces=pieces,
        attributes=attributes,
    )


def _pieces(path: bytes, size: int) -> Iterator[tuple[int, bytes]]:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        position = 0
        while position < size:
            try:
                position = os.lseek(fd, position, os.SEEK_DATA)
            except OSError:  # ENXIO: only a hole is left
                return
            end = os.lseek(fd, position, os.SEEK_HOLE)
            while position < end:
                content = os.pread(fd, min(_PIECE, end - position), position)
                yield position, content
                position += len(content)
    finally:
        os.close(fd)


def is_sound(entries: Collection[EntryRecord]) -> bool:
    """Whether all of *entries* would be made in the tmpfs itself, and not where a link or ".." leads to."""
    folders: set[bytes] = set()
    files: set[bytes] = set()
    for number, entry in enumerate(entries):
        folder, _, name = entry.path.rpartition(b"/")
        if number == 0:
            sound = entry.path == b"" and stat.S_ISDIR(entry.mode)
        else:
            sound = folder in folders and not entry.path.startswith(b"/")
            sound = sound and name not in (b"", b".", b"..") and b"\0" not in name
        if not sound or entry.path in folders | files or (entry.same_as and entry.same_as not in files):
            return False
        (folders if stat.S_ISDIR(entry.mode) else files).add(entry.path)
    return bool(folders)


def fill(place: bytes, entries: Collection[EntryRecord]) -> None:
    """Makes *entries* in the empty tmpfs at *place*; OSError if one cannot be."""
    for entry in entries:
        path = os.path.join(place, entry.path)
        if entry.same_as:
            os.link(os.path.join(place, entry.same_as), path, follow_symlinks=False)
        elif entry.path:
            _MAKERS.get(stat.S_IFMT(entry.mode), _make_node)(path, entry)
    # From the bottom up: what is made in a folder changes its time, and its mode may not let anything be made there.
    for entry in reversed(tuple(entries)):
        if not entry.same_as:
            _dress(os.path.join(place, entry.path), entry)


def _make_folder(path: bytes, entry: EntryRecord) -> None:
    os.mkdir(path, 0o700)


def _make_file(path: bytes, entry: EntryRecord) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        os.ftruncate(fd, entry.size)
        for offset, content in entry.pieces:
            done = 0
            while done < len(content):
                done += os.pwrite(fd, content[done:], offset + done)
    finally:
        os.close(fd)


def _make_link(path: bytes, entry: EntryRecord) -> None:
    os.symlink(entry.target, path)


def _make_node(path: bytes, entry: EntryRecord) -> None:
    os.mknod(path, entry.mode, entry.rdev)


_MAKERS: dict[int, Callable[[bytes, EntryRecord], None]] = {
    stat.S_IFDIR: _make_folder,
    stat.S_IFREG: _make_file,
    stat.S_IFLNK: _make_link,
}


def _dress(path: bytes, entry: EntryRecord) -> None:
    os.chown(path, entry.uid, entry.gid, follow_symlinks=False)
    if not stat.S_ISLNK(entry.mode):
        os.chmod(path, stat.S_IMODE(entry.mode))
    for name, value in entry.attributes:
        os.setxattr(path, name, value, follow_symlinks=False)
    os.utime(path, ns=(entry.mtime_ns, entry.mtime_ns), follow_symlinks=False)
