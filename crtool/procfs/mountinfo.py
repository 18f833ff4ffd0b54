"""/proc/PID/mountinfo: the mounts that a process sees.

Spec: proc_pid_mountinfo(5); show_mountinfo() in the kernel's fs/proc_namespace.c. A line reads

    36 35 98:0 /mnt1 /mnt2 rw,noatime shared:1 master:2 - ext3 /dev/root rw,errors=continue

Mounts that cannot be reached from the root of the process are not listed.
"""

from __future__ import annotations

import re

from crtool.procfs.error import ProcfsError
from crtool.record import dataclass

__all__ = ["Mount", "parse"]

_ESCAPED = re.compile(rb"\\([0-7]{3})")
_SEPARATOR = b"-"
_FIRST_TAG = 6  # index of the first optional field


@dataclass(frozen=True)
class Mount:
    """One mount."""

    id: int  # the mnt_id of fdinfo
    parent: int  # id of the mount it lies on; of the root of the tree, one that is not listed, or its own
    major: int  # st_dev of files on it
    minor: int
    root: bytes  # what of the filesystem is mounted here; ends in "//deleted" if that was removed
    mount_point: bytes  # relative to the root of the process
    options: tuple[str, ...]  # of this mount: "rw", "nosuid", "relatime"…
    shared: int | None  # peer group it belongs to
    master: int | None  # peer group that it receives from
    propagate_from: int | None  # nearest peer group under the root of the process, if not the master
    unbindable: bool
    fs_type: str  # "ext4", "fuse.sshfs"…
    source: bytes  # device or whatever the filesystem was told; may be empty
    super_options: bytes  # of the filesystem, with commas between them; paths among them escaped as it likes

    @property
    def read_only(self) -> bool:
        """Whether nothing can be written through this mount, be it the mount or the filesystem that forbids it."""
        return "ro" in self.options or b"ro" in self.super_options.split(b",")


def parse(data: bytes) -> tuple[Mount, ...]:
    """The mounts in the kernel's order, parents first; ProcfsError with the line that has another form."""
    return tuple(_line(line) for line in data.split(b"\n") if line)


def _unescape(text: bytes) -> bytes:
    r"""Undoes the kernel's mangle(): space, tab, newline, backslash and # as \ooo."""
    if b"\\" not in text:
        return text
    return _ESCAPED.sub(lambda match: bytes([int(match[1], 8) & 0xFF]), text)


def _line(line: bytes) -> Mount:
    # A single space separates fields: the source may be empty.
    words = line.split(b" ")
    try:
        end = words.index(_SEPARATOR, _FIRST_TAG)
        identity, parent, device, root, mount_point, options = words[:_FIRST_TAG]
        fs_type, source, *rest = words[end + 1 :]
        major, minor = device.split(b":")
        tags = dict.fromkeys(words[_FIRST_TAG:end])
        groups = {key: int(number) for key, colon, number in (tag.partition(b":") for tag in tags) if colon}
        return Mount(
            id=int(identity),
            parent=int(parent),
            major=int(major),
            minor=int(minor),
            root=_unescape(root),
            mount_point=_unescape(mount_point),
            options=tuple(options.decode("ascii").split(",")),
            shared=groups.get(b"shared"),
            master=groups.get(b"master"),
            propagate_from=groups.get(b"propagate_from"),
            unbindable=b"unbindable" in tags,
            fs_type=_unescape(fs_type).decode("utf-8", "surrogateescape"),
            source=_unescape(source),
            super_options=b" ".join(rest),
        )
    except ValueError:
        raise ProcfsError("mountinfo", line) from None
