"""POSIX message queues (mq_overview(7)).

The kernel keeps a queue until it is unlinked and closed: its name, how many messages of which size it holds, the
messages with their priorities, and who is to be told of the next one (mq_notify(3)).

We ask a borrowed descriptor by mq_getattr(3), and read whom it tells from the queue as a file.

A queue that has a name stays where it is, with its messages, as a file does, and is opened again; if it is gone by then
it is made anew, empty. One that was unlinked is made anew, with its messages, which are read in the kernel's memory
(:mod:`crtool.kernel.mqueue_messages`). Those of an IPC namespace that comes along are in resources/ipc/posix.py.

Refused: messages in a queue that was unlinked, where they cannot be read; a notification of a process.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Container
from itertools import starmap

from crtool.errors import EnvironmentDiffers, Obstacle
from crtool.kernel import mqueue, mqueue_messages
from crtool.record import dataclass
from crtool.resources.files.openfile import OpenFile

__all__ = ["MqueueRecord", "dump", "judge", "obstacle", "recognise", "restore"]

_LINK = re.compile(rb"/([^/]+)", re.DOTALL)
_DELETED = b" (deleted)"
_TOLD = re.compile(rb"NOTIFY_PID:(\d+)")


@dataclass(frozen=True)
class MessageRecord:
    """A message."""

    priority: int
    text: bytes


@dataclass(frozen=True)
class MqueueRecord:
    """An open message queue."""

    name: bytes  # without the slash
    unlinked: bool
    inode: int  # st_ino: descriptors of one queue have the same
    flags: int  # O_* as fcntl(F_GETFL) gives them
    mode: int  # permissions
    uid: int
    gid: int
    most: int  # messages that it can hold
    largest: int  # bytes of a message
    messages: int  # in it then
    unread: tuple[MessageRecord, ...] = ()  # those in a queue that was unlinked
    member: int = 0  # first member of its IPC namespace, if the tree has made that; else 0


def recognise(file: OpenFile) -> bool:
    """Whether *file* is a message queue: by its path it looks like a file in the root folder."""
    if not stat.S_ISREG(file.stat.st_mode) or file.flags & os.O_PATH or not _LINK.fullmatch(file.link):
        return False
    try:
        mqueue.attributes(file.local)
    except OSError:
        return False
    return True


def _is_unlinked(file: OpenFile) -> bool:
    return file.stat.st_nlink == 0


def obstacle(file: OpenFile, where: str) -> Obstacle | None:
    """Why *file* cannot be saved, if so."""
    _, _, messages = mqueue.attributes(file.local)
    if messages and _is_unlinked(file) and (why := mqueue_messages.why_not()) is not None:
        cause = f"a message queue that was unlinked, with {messages} messages, which cannot be read: {why}"
        return Obstacle(file.pid, where, cause, "run crtool as root, or let the program receive them first")
    reader = os.open(f"/proc/self/fd/{file.local}", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        told = _TOLD.search(os.pread(reader, 256, 0))
    finally:
        os.close(reader)
    if told and int(told[1]):
        cause = f"a message queue that tells PID {int(told[1])} of the next message (mq_notify)"
        return Obstacle(file.pid, where, cause, "try again when a message has come")
    return None


def dump(file: OpenFile, member: int) -> MqueueRecord:
    """The record of *file*. *member*: first member of the IPC namespace that it is of, if the tree has made that."""
    most, largest, messages = mqueue.attributes(file.local)
    keeps = bool(messages) and _is_unlinked(file)
    return MqueueRecord(
        name=file.link[1:].removesuffix(_DELETED) if _is_unlinked(file) else file.link[1:],
        unlinked=_is_unlinked(file),
        inode=file.stat.st_ino,
        flags=file.flags,
        mode=stat.S_IMODE(file.stat.st_mode),
        uid=file.stat.st_uid,
        gid=file.stat.st_gid,
        most=most,
        largest=largest,
        messages=messages,
        unread=tuple(starmap(MessageRecord, mqueue_messages.messages(file.local))) if keeps else (),
        member=member,
    )


def judge(record: MqueueRecord, made: Container[bytes] | None) -> None:
    """EnvironmentDiffers if the queue is not to be had as it was. It is only looked at: opened, and closed again.

    *made*: names of the queues that there will be in an IPC namespace of its own; None if it is to be that of crtool.
    """
    if record.unlinked or record.member:
        return
    if made is not None:
        if record.name not in made:
            _require_empty(record)
    elif (fd := _there(record, _flags(record))) >= 0:
        os.close(fd)


def restore(record: MqueueRecord, made: int) -> int:
    """Opens the queue. *made*: a descriptor of the same queue that was restored already, −1 for none."""
    flags = _flags(record)
    if made >= 0:
        return os.open(f"/proc/self/fd/{made}", flags)
    if not record.unlinked and (fd := _there(record, flags)) >= 0:
        return fd
    try:
        return _new(record, flags)
    except OSError as error:
        raise _cannot_be_opened(record, error) from None


def _flags(record: MqueueRecord) -> int:
    return (record.flags & (os.O_ACCMODE | os.O_NONBLOCK)) | os.O_CLOEXEC


def _there(record: MqueueRecord, flags: int) -> int:
    """The queue that has the name, opened; −1 if none has it, and an empty one may take its place."""
    try:
        fd = mqueue.open_queue(record.name, flags)
    except FileNotFoundError:
        _require_empty(record)
        return -1
    except OSError as error:
        raise _cannot_be_opened(record, error) from None
    most, largest, _ = mqueue.attributes(fd)
    if (most, largest) != (record.most, record.largest):
        os.close(fd)
        cause = f"the message queue {_shown(record)} holds {most} messages of {largest} bytes now"
        raise EnvironmentDiffers(cause, f"make it anew, for {record.most} messages of {record.largest} bytes")
    return fd


def _require_empty(record: MqueueRecord) -> None:
    """Only an empty queue can be made anew."""
    if record.messages:
        held = "a message" if record.messages == 1 else f"{record.messages} messages"
        raise EnvironmentDiffers(
            f"the message queue {_shown(record)}, which held {held}, is gone",
            "start the program by unshare --ipc, and its queues come along with their messages",
        ) from None


def _cannot_be_opened(record: MqueueRecord, error: OSError) -> EnvironmentDiffers:
    cause = f"the message queue {_shown(record)} cannot be opened: {error.strerror}"
    return EnvironmentDiffers(cause, "put it back, or raise the limits in /proc/sys/fs/mqueue")


def _shown(record: MqueueRecord) -> str:
    return "/" + record.name.decode(errors="replace")


def _new(record: MqueueRecord, flags: int) -> int:
    name = b".crtool-%d" % os.getpid() if record.unlinked else record.name
    fd = mqueue.open_queue(name, flags | os.O_CREAT | os.O_EXCL, 0o600, record.most, record.largest)
    if record.unread:
        writer = mqueue.open_queue(name, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        for message in record.unread:
            mqueue.send(writer, message.priority, message.text)
        os.close(writer)
    if record.unlinked:
        mqueue.unlink(name)
    os.fchown(fd, record.uid, record.gid)
    os.fchmod(fd, record.mode)
    return fd
