"""What all on a machine share, and what of it a test of ours has made: objects of IPC, names, settings.

A process that runs tests has an IPC namespace and a folder for temporary files of its own: all in them is ours. In
folders of everybody, among control groups and network interfaces, it is the name that tells: crtool's own for what it
makes for a moment, and whatever has the mark of this process.
"""

from __future__ import annotations

import ctypes
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

from crtool.kernel import mqueue

__all__ = ["TEMPORARY", "enclosed", "mark", "names", "objects", "remove_named", "settings"]

TEMPORARY = re.compile(r"\.crtool-|\.(.+\.)?[0-9a-f]{16}$")
"""How crtool calls what it makes for a moment, beside an image or a socket."""
_OURS = r"(?:crt|specimen)[a-z-]*{}(?!\d)"
SHARED = ("/tmp", "/var/tmp", "/dev/shm", "/run", "/sys/fs/bpf", "/sys/class/net")
_OF_USER = ("$HOME/.cache", "$HOME/.config", "$HOME/.local/share", "$HOME/.local/state", "$XDG_RUNTIME_DIR")
_SYSTEM_V = ("shm", "sem", "msg")
_OF_IPC = (
    *(f"kernel/{kind}_next_id" for kind in _SYSTEM_V),  # what crtool writes to, to get an id
    *(f"kernel/{name}" for name in ("msgmax", "msgmnb", "msgmni", "sem", "shm_rmid_forced", "shmall", "shmmax")),
    *(f"fs/mqueue/{name}" for name in ("msg_default", "msg_max", "msgsize_default", "msgsize_max", "queues_max")),
)  # fmt: skip
_OF_ALL = (
    "kernel/core_pattern", "kernel/domainname", "kernel/hostname", "kernel/pid_max", "kernel/yama/ptrace_scope",
    "net/ipv4/ping_group_range", "vm/max_map_count", "vm/nr_hugepages", "vm/overcommit_memory",
    "vm/unprivileged_userfaultfd",
)  # fmt: skip
_marks = count()
_CLONE_NEWIPC = 0x08000000  # linux/sched.h


class _Own:
    """What this process has for itself."""

    temporary: str | None = None
    ipc = False
    groups: tuple[str, ...] = ()  # control groups that it is in, where new ones are made


@contextmanager
def enclosed() -> Iterator[None]:
    """Within the block this process, and who is born below it, has a TMPDIR of its own. Its IPC namespace it keeps.

    Without rights there is none, and objects of IPC could be anybody's.
    """
    folder = tempfile.mkdtemp(prefix="crtool-tests-")
    os.chmod(folder, 0o1777)  # for whoever a test becomes
    before = os.environ.get("TMPDIR")
    os.environ["TMPDIR"] = _Own.temporary = tempfile.tempdir = folder
    _Own.groups = tuple(_groups())
    _Own.ipc = ctypes.CDLL(None).unshare(_CLONE_NEWIPC) == 0
    try:
        yield
    finally:
        _Own.temporary = tempfile.tempdir = None
        if before is None:
            del os.environ["TMPDIR"]
        else:
            os.environ["TMPDIR"] = before
        shutil.rmtree(folder)


def mark() -> str:
    """A new one. It belongs into whatever a test makes in a folder of everybody, after "specimen-" or "crt"."""
    return f"{os.getpid()}-{next(_marks)}"


def remove_named(name: str) -> None:
    """Shared memory and a message queue that a specimen has left on purpose, since its image may be restarted again."""
    Path("/dev/shm", name).unlink(missing_ok=True)
    with suppress(OSError):
        mqueue.unlink(name.encode())


def names() -> Iterator[str]:
    """What is ours in folders of everybody; in our own for temporary files, everything."""
    if _Own.temporary is not None:
        yield from (f"{_Own.temporary}/{name}" for name in os.listdir(_Own.temporary))
    number = str(os.getpid())
    ours = re.compile(_OURS.format(number))
    for folder in (*SHARED, *_Own.groups):
        for name in _listed(folder):
            if (number in name and ours.search(name)) or (name[0] == "." and TEMPORARY.match(name)):
                yield f"{folder}/{name}"
    for folder in map(os.path.expandvars, _OF_USER):
        yield from (f"{folder}/{name}" for name in _listed(folder) if "crtool" in name or TEMPORARY.match(name))


def objects() -> Iterator[str]:
    """System V and POSIX objects, if they cannot be somebody else's."""
    if not _Own.ipc:
        return
    for kind in _SYSTEM_V:
        for line in Path(f"/proc/sysvipc/{kind}").read_text().splitlines()[1:]:
            key, number, *_ = line.split()
            yield f"{kind} {number}, key {key}"
    fd = mqueue.mounted()
    try:
        yield from (f"message queue /{name}" for name in os.listdir(fd))
    finally:
        os.close(fd)


def settings() -> Iterator[str]:
    """Values in /proc/sys that nobody may have changed for good."""
    for name in (*_OF_ALL, *(_OF_IPC if _Own.ipc else ())):
        yield f"{name} = {_read(f'/proc/sys/{name}')}"


def _groups() -> Iterator[str]:
    paths = {line.split(":", 2)[2] for line in Path("/proc/self/cgroup").read_text().splitlines()}
    for hierarchy in ("", "/unified", "/freezer"):
        folders = (f"/sys/fs/cgroup{hierarchy}{path}".rstrip("/") for path in sorted(paths))
        yield from filter(os.path.isdir, folders)


def _listed(folder: str) -> list[str]:
    with suppress(OSError):
        return os.listdir(folder)
    return []


def _read(path: str) -> str:
    """A value, which comes in one piece; nothing, if the kernel has no such thing."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return ""
    try:
        return os.read(fd, 4096).decode().strip()
    finally:
        os.close(fd)
