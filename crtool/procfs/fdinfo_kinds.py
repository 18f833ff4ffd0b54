"""What each kind of open file adds to its /proc/PID/fdinfo/FD.

Spec: proc_pid_fdinfo(5); Documentation/filesystems/proc.rst, section 3.8; the kernel's fs/eventfd.c, fs/eventpoll.c,
fs/signalfd.c, fs/timerfd.c, fs/notify/fdinfo.c, fs/pidfs.c, fs/locks.c, drivers/tty/pty.c, net/socket.c.

Each function takes an :class:`~crtool.procfs.fdinfo.Fdinfo` of that kind and raises ProcfsError with the line that it
misses or does not understand. Devices come as st_dev of stat(2) has them; the kernel writes its own form.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TypeVar

from crtool.procfs.error import ProcfsError
from crtool.procfs.fdinfo import Fdinfo
from crtool.record import dataclass

__all__ = [
    "EpollTarget",
    "Eventfd",
    "Fanotify",
    "FanotifyMark",
    "InotifyWatch",
    "Lock",
    "Pidfd",
    "Timerfd",
    "epoll",
    "eventfd",
    "fanotify",
    "inotify",
    "locks",
    "pidfd",
    "scm_fds",
    "signalfd",
    "timerfd",
    "tty_index",
]

_T = TypeVar("_T")
_BILLION = 10**9


def _understood(key: str, value: bytes, read: Callable[[bytes], _T]) -> _T:
    try:
        return read(value)
    except (ValueError, KeyError, OverflowError):
        raise ProcfsError("fdinfo", key.encode() + b": " + value) from None


def _needed(info: Fdinfo, key: str, read: Callable[[bytes], _T]) -> _T:
    value = info.get(key)
    if value is None:
        raise ProcfsError("fdinfo", key.encode())
    return _understood(key, value, read)


def _hex(text: bytes) -> int:
    return int(text, 16)


def _octal(text: bytes) -> int:
    return int(text, 8)


def _device(text: bytes) -> int:
    """From the kernel's dev_t (MKDEV: 12 bits major, 20 bits minor) to that of stat(2)."""
    device = int(text, 16)
    return os.makedev(device >> 20, device & 0xFFFFF)


def _words(text: bytes) -> dict[bytes, bytes]:
    """``a:1 b: 2  c:3`` by key."""
    words = text.replace(b":", b" ").split()
    return dict(zip(words[::2], words[1::2], strict=True))


@dataclass(frozen=True)
class Eventfd:
    """eventfd(2)."""

    count: int
    id: int | None  # the same for all descriptors of one eventfd, since 5.2
    semaphore: bool | None  # EFD_SEMAPHORE, since 6.5


def eventfd(info: Fdinfo) -> Eventfd:
    """The counter."""
    return Eventfd(
        count=_needed(info, "eventfd-count", _hex),
        id=None if info.get("eventfd-id") is None else _needed(info, "eventfd-id", int),
        semaphore=None if info.get("eventfd-semaphore") is None else bool(_needed(info, "eventfd-semaphore", int)),
    )


@dataclass(frozen=True)
class EpollTarget:
    """One entry of an epoll instance."""

    fd: int  # number it was added by; may by now be another file or none
    events: int  # EPOLL* bits
    data: int  # 64 bits of the user
    pos: int | None  # position of the file, and its inode and device: since 4.13
    inode: int | None
    device: int | None  # st_dev


def epoll(info: Fdinfo) -> tuple[EpollTarget, ...]:
    """The entries, in the order of the kernel's tree (by address: none that means anything)."""
    return tuple(_understood("tfd", value, _epoll_target) for value in info.all("tfd"))


def _epoll_target(value: bytes) -> EpollTarget:
    words = _words(b"tfd:" + value)
    return EpollTarget(
        fd=int(words[b"tfd"]),
        events=int(words[b"events"], 16),
        data=int(words[b"data"], 16),
        pos=int(words[b"pos"]) if b"pos" in words else None,
        inode=int(words[b"ino"], 16) if b"ino" in words else None,
        device=_device(words[b"sdev"]) if b"sdev" in words else None,
    )


def signalfd(info: Fdinfo) -> int:
    """The signals that can be read from it: bit n−1 is signal n."""
    return _needed(info, "sigmask", _hex)


@dataclass(frozen=True)
class Timerfd:
    """timerfd_create(2)."""

    clockid: int  # CLOCK_*
    ticks: int  # expirations that have not been read
    settime_flags: int  # TFD_TIMER_* of the last timerfd_settime
    value: int  # nanoseconds until the next expiration, 0 if disarmed
    interval: int  # nanoseconds, 0 for once


def timerfd(info: Fdinfo) -> Timerfd:
    """The timer."""
    return Timerfd(
        clockid=_needed(info, "clockid", int),
        ticks=_needed(info, "ticks", int),
        settime_flags=_needed(info, "settime flags", _octal),
        value=_needed(info, "it_value", _nanoseconds),
        interval=_needed(info, "it_interval", _nanoseconds),
    )


def _nanoseconds(value: bytes) -> int:
    seconds, nanoseconds = value.strip(b"()").split(b",")
    return int(seconds) * _BILLION + int(nanoseconds)


@dataclass(frozen=True)
class InotifyWatch:
    """One watch of an inotify instance."""

    wd: int  # watch descriptor
    inode: int  # what is watched
    device: int  # st_dev of its filesystem
    mask: int  # IN_* bits
    handle_type: int | None  # and
    handle: bytes | None  # as for open_by_handle_at(2); None if the filesystem cannot give handles


def inotify(info: Fdinfo) -> tuple[InotifyWatch, ...]:
    """The watches."""
    return tuple(_understood("inotify", value, _inotify_watch) for value in info.all("inotify"))


def _inotify_watch(value: bytes) -> InotifyWatch:
    words = _words(value)
    handle = words.get(b"f_handle")
    return InotifyWatch(
        wd=int(words[b"wd"], 16),
        inode=int(words[b"ino"], 16),
        device=_device(words[b"sdev"]),
        mask=int(words[b"mask"], 16),
        handle_type=None if handle is None else int(words[b"fhandle-type"], 16),
        handle=None if handle is None else bytes.fromhex(handle.decode("ascii")),
    )


@dataclass(frozen=True)
class FanotifyMark:
    """One mark of a fanotify group: of an inode, a mount or a filesystem, whichever has a number."""

    flags: int  # FAN_MARK_* that were given
    mask: int  # FAN_* events
    ignored: int  # FAN_* events
    inode: int | None  # with the device and, as of an inotify watch, the handle
    mount: int | None  # as in mountinfo
    device: int | None  # st_dev of the filesystem
    handle_type: int | None
    handle: bytes | None


@dataclass(frozen=True)
class Fanotify:
    """A fanotify group."""

    flags: int  # FAN_* of fanotify_init(2)
    event_flags: int  # O_* of the descriptors that it gives
    marks: tuple[FanotifyMark, ...]


def fanotify(info: Fdinfo) -> Fanotify:
    """The group and its marks."""
    first, *others = info.all("fanotify") or (b"",)
    flags, event_flags = _understood("fanotify", first, _fanotify_flags)
    return Fanotify(flags, event_flags, tuple(_understood("fanotify", value, _fanotify_mark) for value in others))


def _fanotify_flags(value: bytes) -> tuple[int, int]:
    words = _words(value)
    return int(words[b"flags"], 16), int(words[b"event-flags"], 16)


def _fanotify_mark(value: bytes) -> FanotifyMark:
    words = _words(value)
    handle = words.get(b"f_handle")
    mark = FanotifyMark(
        flags=int(words[b"mflags"], 16),
        mask=int(words[b"mask"], 16),
        ignored=int(words[b"ignored_mask"], 16),
        inode=int(words[b"ino"], 16) if b"ino" in words else None,
        mount=int(words[b"mnt_id"], 16) if b"mnt_id" in words else None,
        device=_device(words[b"sdev"]) if b"sdev" in words else None,
        handle_type=None if handle is None else int(words[b"fhandle-type"], 16),
        handle=None if handle is None else bytes.fromhex(handle.decode("ascii")),
    )
    if mark.mount is None and mark.device is None:
        raise ValueError  # of a mount namespace (FAN_MARK_MNTNS, since 6.14), or of something newer
    return mark


@dataclass(frozen=True)
class Pidfd:
    """pidfd_open(2)."""

    pid: int  # −1 once the process is reaped, 0 if it is outside of the PID namespace of this /proc
    ns_pid: tuple[int, ...]  # outermost namespace first


def pidfd(info: Fdinfo) -> Pidfd:
    """The process that it refers to."""
    namespaces = info.get("NSpid")
    return Pidfd(
        pid=_needed(info, "Pid", int),
        ns_pid=() if namespaces is None else _understood("NSpid", namespaces, _numbers),
    )


def _numbers(value: bytes) -> tuple[int, ...]:
    return tuple(map(int, value.split()))


@dataclass(frozen=True)
class Lock:
    """One lock that is held through the open file (description or process, as its kind says)."""

    kind: str  # "POSIX" (fcntl), "FLOCK", "OFDLCK", "LEASE", "DELEG"
    state: str  # "ADVISORY"; of a lease "ACTIVE", "BREAKING", "BREAKER"
    access: str  # "READ", "WRITE"; of a lease that is being broken also "UNLCK"
    pid: int  # −1 for OFDLCK, 0 if the holder is outside of the PID namespace of this /proc
    device: int  # st_dev of the filesystem
    inode: int
    start: int  # first byte
    end: int | None  # last byte, None for the end of the file wherever that is


def locks(info: Fdinfo) -> tuple[Lock, ...]:
    """The locks; a POSIX lock is shown at every descriptor of the process for that file."""
    return tuple(_understood("lock", value, _lock) for value in info.all("lock"))


def _lock(value: bytes) -> Lock:
    _, kind, state, access, pid, where, start, end = value.split()
    major, minor, inode = where.split(b":")
    return Lock(
        kind=kind.decode("ascii"),
        state=state.decode("ascii"),
        access=access.decode("ascii"),
        pid=int(pid),
        device=os.makedev(int(major, 16), int(minor, 16)),
        inode=int(inode),
        start=int(start),
        end=None if end == b"EOF" else int(end),
    )


def tty_index(info: Fdinfo) -> int:
    """Of the master side of a pseudo-terminal: the N of its /dev/pts/N."""
    return _needed(info, "tty-index", int)


def scm_fds(info: Fdinfo) -> int:
    """Of a Unix socket: how many descriptors in flight wait in its queue (since 5.7)."""
    return _needed(info, "scm_fds", int)
