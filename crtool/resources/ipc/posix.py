"""POSIX message queues (mq_overview(7)) of an IPC namespace that comes along.

The kernel keeps a queue until it is unlinked and closed: its name and owner, how many messages of which size it holds,
the messages with their priorities, and who is to be told of the next one (mq_notify(3)).

We look at all that have a name through a mount of our own, which no mount namespace has. Those that are open are
:mod:`crtool.resources.files.mqueue`.

We rebuild a queue by mq_open(3), under its name, and send the messages.

Refused: messages where they cannot be read (:mod:`crtool.kernel.mqueue_messages`); a notification of a process.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Iterator
from itertools import starmap

from crtool.errors import EnvironmentDiffers
from crtool.kernel import mqueue, mqueue_messages, sysvipc
from crtool.record import dataclass

__all__ = [
    "REMEDY",
    "PosixMessageRecord",
    "PosixQueueRecord",
    "device",
    "dump",
    "hindrances",
    "hindrances_of",
    "restore",
]

REMEDY = "try again when the messages have been received"

_TOLD = re.compile(rb"NOTIFY_PID:(\d+)")


@dataclass(frozen=True)
class PosixMessageRecord:
    """A message."""

    priority: int
    text: bytes


@dataclass(frozen=True)
class PosixQueueRecord:
    """A message queue with a name."""

    name: bytes  # without the slash
    mode: int  # permissions
    uid: int
    gid: int
    most: int  # messages that it can hold
    largest: int  # bytes of a message
    messages: tuple[PosixMessageRecord, ...] = ()


def _queues() -> Iterator[tuple[bytes, int]]:
    """Name and descriptor, for as long as it is looked at, of all in the namespace that crtool is in."""
    try:
        folder = mqueue.mounted()
    except OSError as error:
        if error.errno == errno.ENODEV:  # a kernel without message queues
            return
        raise
    try:
        for name in sorted(map(os.fsencode, os.listdir(folder))):
            fd = os.open(name, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
            try:
                yield name, fd
            finally:
                os.close(fd)
    finally:
        os.close(folder)


def device() -> int:
    """The st_dev of all queues of the IPC namespace that crtool is in."""
    folder = mqueue.mounted()
    try:
        return os.fstat(folder).st_dev
    finally:
        os.close(folder)


def hindrances() -> list[str]:
    """What of the queues of the namespace that crtool is in cannot be saved."""
    found = ((name, _hindrance(fd)) for name, fd in _queues())
    return [f"has the POSIX message queue /{name.decode(errors='replace')} {why}" for name, why in found if why]


def _hindrance(fd: int) -> str:
    _, _, messages = mqueue.attributes(fd)
    if messages and (why := mqueue_messages.why_not()) is not None:
        return f"with {messages} messages, which cannot be read ({why})"
    told = _TOLD.search(os.pread(fd, 256, 0))
    return f"that tells PID {int(told[1])} of the next message (mq_notify)" if told and int(told[1]) else ""


def hindrances_of(door: int) -> list[str]:
    """The same of the namespace of thread *door*; OSError if crtool may not enter it."""
    with sysvipc.entered(door):
        return hindrances()


def dump() -> tuple[PosixQueueRecord, ...]:
    """All queues with a name of the namespace that crtool is in."""
    found = []
    for name, fd in _queues():
        info = os.fstat(fd)
        most, largest, count = mqueue.attributes(fd)
        messages = tuple(starmap(PosixMessageRecord, mqueue_messages.messages(fd))) if count else ()
        mode = stat.S_IMODE(info.st_mode)
        found.append(PosixQueueRecord(name, mode, info.st_uid, info.st_gid, most, largest, messages))
    return tuple(found)


def restore(record: PosixQueueRecord) -> None:
    """Makes the queue in the namespace that crtool is in."""
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        fd = mqueue.open_queue(record.name, flags, 0o600, record.most, record.largest)
        try:
            for message in record.messages:
                mqueue.send(fd, message.priority, message.text)
            os.fchown(fd, record.uid, record.gid)
            os.fchmod(fd, record.mode)
        finally:
            os.close(fd)
    except OSError as error:
        cause = f"the message queue /{record.name.decode(errors='replace')} cannot be made: {error.strerror}"
        raise EnvironmentDiffers(cause, "raise the limit of message queues (ulimit -q)") from None
