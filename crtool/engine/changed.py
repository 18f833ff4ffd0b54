"""Files that are not as they were when the image was made, and what the user has chosen for them.

A file that the program only writes to may have changed. One that it reads must have the size that it had, unless it is
to be taken as it is, cut to the old size, or put back from the image, if that contains it. What is put back is made
beside the file, under a name of its own, and takes the file's place as the very last step: somebody else who has the
file open keeps it. It needs that name (a file that is opened without one is called so for ever, proc(5)); if crtool is
killed, a :class:`~crtool.kernel.sweeper.Sweeper` takes it away.

A program or a library is never replaced under its name, on which others rely: the processes get a copy without a name.

What stands at a path is looked at once, and held: whatever is opened afterwards is that, and not what somebody has put
there between the look and the opening (:mod:`crtool.kernel.resolve`).
"""

from __future__ import annotations

import os
import re
import secrets
import stat
from collections.abc import Callable
from contextlib import suppress
from typing import Literal

from crtool.abi import mman
from crtool.engine import swapped
from crtool.engine.digests import digest
from crtool.engine.snapshot import Snapshot
from crtool.errors import EnvironmentDiffers
from crtool.kernel.resolve import Diverted, resolve
from crtool.kernel.sweeper import Sweeper
from crtool.procfs import mountinfo
from crtool.procfs.read import read
from crtool.resources.files import inodes, regular
from crtool.resources.files.inodes import ContentRecord, DeletedRecord, InodeRecord, MountedRecord, PathRecord
from crtool.resources.files.openfile import remedy_for

__all__ = ["ChangedFiles", "FileJudge"]

ChangedFiles = Literal["refuse", "ignore", "truncate", "restore"]

_AS_IT_WAS = "put the file back as it was when the image was made"
_OF_A_PROCESS = re.compile(rb"/proc/\d+(/|$)")

Fill = Callable[[int, ContentRecord], None]
"""Copies content from the image to a descriptor."""
Same = Callable[[int, ContentRecord], bool]
"""Whether a descriptor has just that content."""


class FileJudge:
    """Judges the files of one restart, each in turn, and does what has to be done about them."""

    def __init__(
        self,
        snapshot: Snapshot,
        changed: ChangedFiles,
        warn: Callable[[str], None],
        sweeper: Sweeper,
        *,
        apart: bool = False,
    ) -> None:
        """*apart*: the processes will live in a PID namespace of their own."""
        self._sweeper = sweeper
        self._changed = changed
        self._warn = warn
        self._apart = apart
        self._readers = _used_for_reading(snapshot)
        self._programs = _executed(snapshot)
        self._longer: list[tuple[PathRecord, int]] = []  # to be cut, and what stands there
        self._found: dict[int, int] = {}  # index → descriptor (O_PATH) of what stands there
        self._folders: list[int] = []  # descriptors (O_PATH) of those of what is put back
        self._beside: dict[bytes, tuple[int, bytes]] = {}  # path of a file → folder and name of what takes its place
        self._made: dict[tuple[int, int], tuple[int, bytes]] = {}  # device and inode of one that was made → the same

    def judge(self, index: int, record: PathRecord, fill: Fill, same: Same) -> int:
        """Judges inode *index* of the image; EnvironmentDiffers if it stands in the way.

        Returns a descriptor of the copy that is to be used in its place, or −1.
        """
        if self._apart and _OF_A_PROCESS.match(record.path):
            raise EnvironmentDiffers(
                f"{_shown(record)} belongs to a process that is not there yet, and the number means another one here",
                "close it before the checkpoint",
            )
        if self._changed == "restore" and record.kept is not None:
            return self._put_back(index, record, fill, same)
        now = os.fstat(self._hold(index, record))
        fatal, differs = swapped.changes(record, now)
        if fatal:
            raise EnvironmentDiffers(fatal, self._remedy(record))
        known = False
        if not differs:
            known = self._has_its_digest(index, record, now)
        elif index not in self._readers or self._changed == "ignore":
            self._warn(differs)
        elif self._changed == "truncate" and now.st_size > record.size:
            here = self.path(index, record)
            if index in self._programs or not os.access(here, os.W_OK, effective_ids=True):
                raise EnvironmentDiffers(f"{differs}, and may not be cut", self._remedy(record))
            self._longer.append((record, self._found[index]))
        else:
            raise EnvironmentDiffers(differs, f"{self._remedy(record)}, or choose --files ignore")
        for other in swapped.differences(record, now, content_is_known=known):
            self._warn(other)
        return -1

    def _hold(self, index: int, record: PathRecord) -> int:
        """Looks up the path, once: a descriptor (O_PATH) of what stands there."""
        if index in self._found:
            return self._found[index]
        try:
            self._found[index] = self._resolved(record.path)
        except OSError as error:
            remedy = self._remedy(record) if isinstance(error, FileNotFoundError) else remedy_for(error)
            if isinstance(error, FileNotFoundError) and stat.S_ISREG(record.mode) and index not in self._readers:
                remedy += ", or make an empty one: nobody reads it"
            raise EnvironmentDiffers(f"{_shown(record)}: {error.strerror}", remedy) from None
        return self._found[index]

    def _resolved(self, path: bytes) -> int:
        try:
            return resolve(path)
        except Diverted as diverted:
            differs = _diverted(path, diverted)
            if self._changed != "ignore":
                raise EnvironmentDiffers(differs, "remove the link, or choose --files ignore") from None
            self._warn(differs)
            return os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)

    def _has_its_digest(self, index: int, record: PathRecord, now: os.stat_result) -> bool:
        """Of programs and libraries of the same size it is the content that counts; False of all other files."""
        if not stat.S_ISREG(record.mode) or index not in self._programs or not record.digest:
            return False
        if inodes.version_of(now) == inodes.recorded_version(record) or self._digest(index) == record.digest:
            return True
        differs = f"{_shown(record)} has other content than the program or library that was executed"
        if self._changed != "ignore":
            raise EnvironmentDiffers(differs, f"{self._remedy(record)}, or choose --files ignore")
        self._warn(differs)
        return True  # said already

    def _digest(self, index: int) -> bytes:
        """Of what stands there; empty if it may only be executed."""
        try:
            fd = inodes.reopen(self._found[index], os.O_RDONLY)
        except OSError:
            return b""
        try:
            return digest(fd)
        finally:
            os.close(fd)

    def judge_mounted(self, index: int, record: MountedRecord, room: int) -> None:
        """The same of a file in a mount namespace of the tree, in which process *room* lives; it is not put back."""
        name = _shown(record)
        try:
            now = os.fstat(self._hold_mounted(index, record, room))
        except OSError as error:
            raise EnvironmentDiffers(f"{name}: {error.strerror}", _AS_IT_WAS) from None
        if stat.S_IFMT(now.st_mode) != stat.S_IFMT(record.mode):
            raise EnvironmentDiffers(f"{name} is now a file of another type", _AS_IT_WAS)
        if stat.S_ISREG(record.mode) and now.st_size != record.size:
            differs = f"{name} had {record.size} bytes and has {now.st_size} now"
            if index in self._readers and self._changed != "ignore":
                raise EnvironmentDiffers(differs, f"{_AS_IT_WAS}, or choose --files ignore")
            self._warn(differs)

    def _hold_mounted(self, index: int, record: MountedRecord, room: int) -> int:
        if index in self._found:
            return self._found[index]
        root = os.open(b"/proc/%d/root" % room, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            self._found[index] = resolve(record.path, root)
        except Diverted as diverted:
            raise EnvironmentDiffers(_diverted(record.path, diverted), "remove the link") from None
        finally:
            os.close(root)
        return self._found[index]

    def path_of_mounted(self, index: int, record: MountedRecord, room: int, flags: int) -> bytes:
        """As :meth:`path` of a file that :meth:`judge_mounted` has judged."""
        if flags & os.O_PATH and flags & os.O_NOFOLLOW:
            return b"/proc/%d/root%s" % (room, record.path)
        return b"/proc/self/fd/%d" % self._found[index]

    def _remedy(self, record: PathRecord) -> str:
        return _AS_IT_WAS if record.kept is None else f"{_AS_IT_WAS}, or choose --files restore"

    def path(self, index: int, record: PathRecord, flags: int = 0) -> bytes:
        """The path by which the file is to be opened with *flags*: it leads to what was judged.

        By its name where a link would be opened itself; :meth:`require_same` has to see what that has opened.
        """
        if record.path in self._beside:
            return b"/proc/self/fd/%d/%s" % self._beside[record.path]
        if index not in self._found or (flags & os.O_PATH and flags & os.O_NOFOLLOW):
            return record.path
        return b"/proc/self/fd/%d" % self._found[index]

    def require_same(self, index: int, record: InodeRecord, fd: int) -> None:
        """EnvironmentDiffers if *fd*, opened by the file's name, is not what was judged."""
        if index not in self._found or not isinstance(record, PathRecord | MountedRecord):
            return
        if isinstance(record, PathRecord) and record.path in self._beside:
            return
        held, opened = os.fstat(self._found[index]), os.fstat(fd)
        if (held.st_dev, held.st_ino) != (opened.st_dev, opened.st_ino):
            raise EnvironmentDiffers(f"{_shown(record)} has just been replaced", "try again")

    @property
    def to_be_cut(self) -> tuple[bytes, ...]:
        """Paths of the files that :meth:`settle` will cut."""
        return tuple(record.path for record, _ in self._longer)

    def settle(self) -> None:
        """When nothing else can fail any more, since it cannot be undone: puts files back, and cuts others."""
        path, opened = b"", list[tuple[int, int]]()
        try:
            for record, fd in self._longer:  # what may be refused, before anything is changed
                path = record.path
                opened.append((inodes.reopen(fd, os.O_WRONLY), record.size))
            for path, (folder, beside) in list(self._beside.items()):
                os.rename(beside, os.path.basename(path), src_dir_fd=folder, dst_dir_fd=folder)
                del self._beside[path]
            for (record, _), (fd, size) in zip(self._longer, opened, strict=True):
                path = record.path
                os.ftruncate(fd, size)
        except OSError as error:
            shown = path.decode(errors="replace")
            raise EnvironmentDiffers(f"{shown} cannot be put back: {error.strerror}", "see what it is now") from None
        finally:
            for fd, _ in opened:
                os.close(fd)

    def abandon(self) -> None:
        """After a failure, and when all is done: nothing is left beside the files."""
        while self._beside:
            folder, name = self._beside.popitem()[1]
            with suppress(OSError):
                os.unlink(name, dir_fd=folder)
        for fd in (*self._found.values(), *self._folders):
            os.close(fd)
        self._found.clear()
        self._folders.clear()

    def _put_back(self, index: int, record: PathRecord, fill: Fill, same: Same) -> int:
        assert record.kept is not None
        content = record.kept.content
        if not self.would_put_back(index, record, same):
            return -1
        if self.is_copied(index, record):
            return _nameless(record, fill)
        identity = (record.device, record.inode)
        beside = b".crtool-%s" % secrets.token_hex(8).encode()
        self._sweeper.announce("file", os.path.join(os.path.dirname(record.path), beside))
        try:
            self._folders.append(folder := self._resolved(os.path.dirname(record.path)))
            if identity in self._made:  # the same file under two names
                first, name = self._made[identity]
                os.link(name, beside, src_dir_fd=first, dst_dir_fd=folder)
                self._beside[record.path] = (folder, beside)
            else:
                flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
                fd = os.open(beside, flags, 0o600, dir_fd=folder)
                self._beside[record.path] = self._made[identity] = (folder, beside)
                try:
                    os.ftruncate(fd, content.size)
                    fill(fd, content)
                    os.fchown(fd, record.kept.uid, record.kept.gid)
                    os.fchmod(fd, stat.S_IMODE(record.mode))
                    os.utime(fd, ns=(record.mtime_ns, record.mtime_ns))
                finally:
                    os.close(fd)
        except OSError as error:
            raise EnvironmentDiffers(
                f"{_shown(record)} cannot be put back: {error.strerror}", "make its folder, and let crtool write there"
            ) from None
        self._warn(f"{_shown(record)} is put back as it was when the image was made")
        return -1

    def is_copied(self, index: int, record: PathRecord) -> bool:
        """Whether a file that is another one now is left alone, with a warning, since it is a program or library."""
        if index in self._programs:
            self._warn(f"{_shown(record)} is another one now: the processes have a copy of the one that they had")
        return index in self._programs

    def would_put_back(self, index: int, record: PathRecord, same: Same) -> bool:
        """Whether a file that the image has is another one now; EnvironmentDiffers if it could not be put back."""
        if self._is_as_it_was(index, record, same):
            for other in swapped.differences(record, os.fstat(self._found[index]), content_is_known=True):
                self._warn(other)
            return False
        if record.path in _mount_points():
            raise EnvironmentDiffers(f"{_shown(record)} is mounted here and cannot be put back", self._remedy(record))
        return True

    def _is_as_it_was(self, index: int, record: PathRecord, same: Same) -> bool:
        assert record.kept is not None
        try:
            self._found[index] = self._resolved(record.path)
        except OSError:
            return False
        now = os.fstat(self._found[index])
        if stat.S_IFMT(now.st_mode) != stat.S_IFMT(record.mode):
            raise EnvironmentDiffers(f"{_shown(record)} is now a file of another type", "move it out of the way")
        if now.st_size != record.size:
            return False
        if inodes.version_of(now) == inodes.recorded_version(record):
            return True
        try:
            fd = inodes.reopen(self._found[index], os.O_RDONLY)
        except PermissionError:
            return False
        try:
            return same(fd, record.kept.content)
        finally:
            os.close(fd)


def _nameless(record: PathRecord, fill: Fill) -> int:
    assert record.kept is not None
    kept = record.kept
    gone = DeletedRecord(
        path=record.path + b".crtool",
        mode=record.mode,
        uid=kept.uid,
        gid=kept.gid,
        atime_ns=record.mtime_ns,
        mtime_ns=record.mtime_ns,
        content=kept.content,
    )
    return inodes.make(gone, fill)


def _used_for_reading(snapshot: Snapshot) -> set[int]:
    """Indices of files that the program can read: those must not have changed behind its back."""
    found = set()
    for description in snapshot.files.descriptions:
        if not isinstance(description, regular.RegularRecord) or description.flags & os.O_PATH:
            continue
        if description.flags & os.O_ACCMODE != os.O_WRONLY:
            found.add(description.inode)
    for memory in snapshot.memories:
        found.update(mapping.inode for mapping in memory.mappings)
    return found


def _executed(snapshot: Snapshot) -> set[int]:
    """Indices of programs and libraries."""
    found = {memory.exe for memory in snapshot.memories}
    for memory in snapshot.memories:
        found.update(mapping.inode for mapping in memory.mappings if mapping.protection & mman.PROT_EXEC)
    return found


def _mount_points() -> set[bytes]:
    """Where something is mounted: nothing can take the place of that."""
    return {mount.mount_point for mount in mountinfo.parse(read(os.getpid(), "mountinfo"))}


def _diverted(path: bytes, diverted: Diverted) -> str:
    shown, link = path.decode(errors="replace"), diverted.link.decode(errors="replace")
    return f"{shown} is reached through {link} now, a symbolic link of user {diverted.owner}"


def _shown(record: PathRecord | MountedRecord) -> str:
    return record.path.decode(errors="replace")
