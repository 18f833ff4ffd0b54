"""System V message queues (msgget(2)).

The kernel keeps a queue until it is removed: its id and key, owner and creator, how many bytes it may hold, and the
messages with their types, in their order.

We ask by IPC_STAT, and look at the messages without taking them out (MSG_COPY, msgrcv(2)).

We rebuild it by msgget(2), with the id chosen by /proc/sys/kernel/msg_next_id, and send the messages. In one that is
still there, they take the place of those that are in it.

Lost: the times, and the PIDs of who sent and received last. Refused: a message of more bytes than kernel.msgmax is now,
which the kernel does not let be copied; at a restart, where the limits do not let it hold as much.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import takewhile
from typing import TypeAlias

from crtool.errors import EnvironmentDiffers, Obstacle, ObstacleError
from crtool.kernel import sysvipc
from crtool.kernel.sysvipc import Permissions, Taken
from crtool.record import dataclass

__all__ = ["MessageRecord", "QueueRecord", "dump", "is_there", "restore", "update"]

_Message: TypeAlias = "tuple[int, bytes]"  # type and text


@dataclass(frozen=True)
class MessageRecord:
    """A message."""

    type: int
    text: bytes


@dataclass(frozen=True)
class QueueRecord:
    """A message queue."""

    permissions: Permissions
    limit: int  # bytes that it may hold
    messages: tuple[MessageRecord, ...]
    used: bool  # by the tree; if not, one that is still there is left alone


def dump(number: int, pid: int, *, used: bool) -> QueueRecord:
    """The record of queue *number* of the tree of process *pid*."""
    permissions, _ = sysvipc.stat("msg", number)
    held, count, limit = sysvipc.queue_limits(number)
    messages = []
    for index in range(count):
        try:
            message = sysvipc.peek(number, index, held)
        except OSError as error:
            if error.errno == errno.EINVAL and sysvipc.stat("msg", number):  # else it has been removed
                cause = f"the System V message queue with id {number} holds a message larger than kernel.msgmax is now"
                raise ObstacleError([Obstacle(pid, "", cause, f"sysctl kernel.msgmax={held}")]) from None
            raise
        if message is None:
            break
        messages.append(MessageRecord(*message))
    return QueueRecord(permissions, limit, tuple(messages), used)


def is_there(record: QueueRecord) -> bool:
    """Whether the queue need not be made; EnvironmentDiffers if it is another one."""
    wanted = record.permissions
    try:
        there, _ = sysvipc.stat("msg", wanted.id)
    except OSError:
        return False
    if (there.key, there.cuid) != (wanted.key, wanted.cuid):
        raise EnvironmentDiffers(f"{_shown(wanted.id)} is another one now, of user {there.cuid}", _ELSEWHERE)
    return True


def restore(record: QueueRecord) -> bool:
    """Makes the queue, with its messages; False if it is there already."""
    if is_there(record):
        return False
    wanted, shown = record.permissions, _shown(record.permissions.id)
    try:
        sysvipc.create("msg", wanted)
    except Taken as taken:
        raise EnvironmentDiffers(taken.cause(shown), _ELSEWHERE) from None
    except OSError as error:
        cause = f"{shown} cannot be made: {error.strerror}"
        raise EnvironmentDiffers(cause, "see /proc/sys/kernel/msgmni") from None
    with sysvipc.removed_after_failure("msg", wanted.id), _holding(wanted.id, room := _room(record)):
        if room > sysvipc.queue_limits(wanted.id)[2]:
            sysvipc.set_limit(wanted, room)
        _send(wanted.id, _messages(record), [])
        sysvipc.set_limit(wanted, record.limit)
    return True


def update(record: QueueRecord) -> Callable[[], None]:
    """Gives a queue that is there its owner, limit and messages; the returned function takes that back."""
    wanted = record.permissions
    there, _ = sysvipc.stat("msg", wanted.id)
    held, count, limit = sysvipc.queue_limits(wanted.id)
    room = max(limit, held, count, _room(record))
    before: list[_Message] = []
    sent: list[_Message] = []
    with ExitStack() as back:
        with _holding(wanted.id, room):
            changes = room > limit or (there, limit) != (wanted, record.limit)
            if changes:
                sysvipc.set_limit(there, room)  # whoever may do this may put everything back
                back.callback(sysvipc.set_limit, there, limit)
            back.callback(_put_back, wanted.id, before, sent)
            if changes:
                back.callback(sysvipc.set_limit, there, room)
            _drain(wanted.id, before)
            _send(wanted.id, _messages(record), sent)
            if changes:
                sysvipc.set_limit(wanted, record.limit)
        return back.pop_all().close


_ELSEWHERE = "remove it (ipcrm -q), or restart with --pidns: then the processes have objects of their own"


def _shown(number: int) -> str:
    return f"the System V message queue with id {number}"


def _messages(record: QueueRecord) -> list[_Message]:
    return [(message.type, message.text) for message in record.messages]


def _room(record: QueueRecord) -> int:
    """What the limit has to be for its messages: there may be as many as bytes, even of empty ones."""
    return max(record.limit, sum(len(message.text) for message in record.messages), len(record.messages))


@contextmanager
def _holding(number: int, room: int) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        cause = f"{_shown(number)} cannot hold {room} bytes: {error.strerror}"
        raise EnvironmentDiffers(cause, f"sysctl kernel.msgmnb={room}") from None


def _drain(number: int, found: list[_Message]) -> None:
    """Takes all messages out, each into *found*."""
    while True:
        held, _, _ = sysvipc.queue_limits(number)
        message = sysvipc.receive(number, held)
        if message is None:
            return
        found.append(message)


def _send(number: int, messages: Iterable[_Message], sent: list[_Message]) -> None:
    for message in messages:
        sysvipc.send(number, *message)
        sent.append(message)


def _put_back(number: int, before: list[_Message], sent: list[_Message]) -> None:
    """Puts the messages *before* in the place of those that were *sent*; what else is in the queue stays, behind."""
    rest: list[_Message] = []
    _drain(number, rest)
    ours = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(rest, sent, strict=False)))
    _send(number, [*before, *rest[ours:]], [])
