"""/proc/PID/fdinfo/FD: position and flags of a descriptor, and what its kind of file tells about itself.

Spec: proc_pid_fdinfo(5); seq_show() in the kernel's fs/proc/fd.c and the ``show_fdinfo`` of each kind. What the kinds
add is read in :mod:`.fdinfo_kinds`.
"""

from __future__ import annotations

import os
import re

from crtool.procfs.error import ProcfsError
from crtool.record import dataclass

__all__ = ["Fdinfo", "parse"]

_PLAIN = re.compile(rb"pos:\t(\d+)\nflags:\t([0-7]+)\nmnt_id:\t(\d+)\nino:\t(\d+)\n")
# Kinds that write no colon behind their key: "inotify wd:1 ino:3f7e8 …".
_BARE_KEYS = (b"inotify", b"fanotify")


@dataclass(frozen=True)
class Fdinfo:
    """One descriptor."""

    pos: int  # bytes
    flags: int  # O_* of open(2), with O_CLOEXEC if the descriptor (not the description) has it
    mnt_id: int  # mount of the file, as in mountinfo
    ino: int | None  # inode number, since 5.14
    extra: tuple[tuple[str, bytes], ...]  # other lines: key and value, in order; a key may come more than once

    @property
    def close_on_exec(self) -> bool:
        """Whether the descriptor has FD_CLOEXEC."""
        return bool(self.flags & os.O_CLOEXEC)

    def get(self, key: str) -> bytes | None:
        """The value of the first line with *key*."""
        return next((value for known, value in self.extra if known == key), None)

    def all(self, key: str) -> tuple[bytes, ...]:
        """The values of all lines with *key*."""
        return tuple(value for known, value in self.extra if known == key)


def parse(data: bytes) -> Fdinfo:
    """The whole file; ProcfsError with the line that has another form, or with all if a line is missing."""
    if plain := _PLAIN.fullmatch(data):  # nearly all of them, and a program may have thousands
        pos, flags, mount, inode = plain.groups()
        return Fdinfo(int(pos), int(flags, 8), int(mount), int(inode), ())
    common: dict[bytes, int] = {}
    extra = []
    for line in data.split(b"\n"):
        if not line:
            continue
        key, colon, value = line.partition(b":")
        word, _, rest = line.partition(b" ")
        if word in _BARE_KEYS:
            extra.append((word.decode("ascii"), rest))
        elif key in (b"pos", b"flags", b"mnt_id", b"ino") and key not in common:
            try:
                common[key] = int(value, 8 if key == b"flags" else 10)
            except ValueError:
                raise ProcfsError("fdinfo", line) from None
        else:
            # Not every kind keeps to "key: value" (drivers, io_uring): such a line is kept whole, as a key.
            extra.append((key.decode("latin-1"), value.strip(b"\t ") if colon else b""))
    try:
        return Fdinfo(common[b"pos"], common[b"flags"], common[b"mnt_id"], common.get(b"ino"), tuple(extra))
    except KeyError:
        raise ProcfsError("fdinfo", data) from None
