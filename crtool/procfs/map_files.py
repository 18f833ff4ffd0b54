"""/proc/PID/map_files: for every mapping of a file, a link to the very file that is mapped.

Spec: proc_pid_map_files(5); proc_map_files_get_link() in the kernel's fs/proc/base.c. Through the link even a deleted
file, a memfd or shared anonymous memory can be opened and compared. Listing the folder takes the right to ptrace the
process; reading or following a link takes CAP_SYS_ADMIN or, since 5.9, CAP_CHECKPOINT_RESTORE, in the first user
namespace.
"""

from __future__ import annotations

import os

from crtool.procfs.read import open_file, path, read_link, stat_of

__all__ = ["link", "name", "open_mapped", "path_of", "stat"]


def name(start: int, end: int) -> str:
    """The name of the link, relative to /proc/PID, for the mapping *start*…*end*."""
    return f"map_files/{start:x}-{end:x}"


def path_of(pid: int, start: int, end: int) -> str:
    """The absolute path of the link, for messages and for calls that take no descriptor."""
    return f"/proc/{path(pid, name(start, end))}"


def link(pid: int, start: int, end: int) -> bytes:
    """The path of the mapped file, without the escapes of /proc/PID/maps; `` (deleted)`` may stand behind it."""
    return read_link(pid, name(start, end))


def stat(pid: int, start: int, end: int) -> os.stat_result:
    """stat(2) of the mapped file."""
    return stat_of(pid, name(start, end))


def open_mapped(pid: int, start: int, end: int, flags: int) -> int:
    """A new descriptor of the mapped file, close-on-exec."""
    return open_file(pid, name(start, end), flags)
