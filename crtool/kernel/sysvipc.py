"""System V IPC (sysvipc(7)): segments, semaphores and message queues of the IPC namespace that crtool is in."""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Literal

from crtool.abi import ipc
from crtool.abi.clone import CLONE_NEWIPC
from crtool.kernel.syscall import memory_address, syscall
from crtool.record import dataclass

__all__ = [
    "Kind",
    "Permissions",
    "Taken",
    "anew",
    "attached",
    "change_values",
    "create",
    "entered",
    "last_users",
    "lock",
    "peek",
    "queue_limits",
    "receive",
    "remove",
    "removed_after_failure",
    "segment_size",
    "semaphores",
    "send",
    "set_limit",
    "set_values",
    "stat",
    "values",
]

Kind = Literal["shm", "sem", "msg"]

_DATA = {"shm": ipc.SHMID, "sem": ipc.SEMID, "msg": ipc.MSQID}
_CONTROL = {"shm": "shmctl", "sem": "semctl", "msg": "msgctl"}
_UNCHANGED = -1  # setresuid(2)
_OPERATIONS = 32  # on semaphores in one call; the limit is the third number in /proc/sys/kernel/sem, usually 500


class Taken(Exception):
    """Somebody else's object has the id, or the key."""

    def __init__(self, number: int, *, key: int | None) -> None:
        super().__init__(number)
        self.number = number  # id of the other one
        self.key = key  # the key, if that is what it has

    def cause(self, shown: str) -> str:
        """In words, for the object that is called *shown*."""
        if self.key is None:
            return f"{shown} cannot be made: the id is taken, or was a moment ago"
        return f"{shown}: its key {self.key:#x} is now that of id {self.number}"


@dataclass(frozen=True)
class Permissions:
    """What the kernel keeps of every object (struct ipc64_perm), and its id."""

    id: int
    key: int  # 0: private
    uid: int
    gid: int
    cuid: int  # of the creator
    cgid: int
    mode: int  # permissions


def entered(pid: int) -> AbstractContextManager[None]:
    """crtool, which is in the IPC namespace of *pid* for as long as the block lasts."""

    def enter() -> None:
        other = os.open(f"/proc/{pid}/ns/ipc", os.O_RDONLY | os.O_CLOEXEC)
        try:
            syscall("setns", other, CLONE_NEWIPC)
        finally:
            os.close(other)

    return _away(enter)


def anew() -> AbstractContextManager[None]:
    """crtool, which is in a new IPC namespace for as long as the block lasts."""
    return _away(lambda: syscall("unshare", CLONE_NEWIPC))


@contextmanager
def _away(leave: Callable[[], object]) -> Iterator[None]:
    """Comes home afterwards to the IPC namespace that *leave* leaves."""
    home = os.open("/proc/thread-self/ns/ipc", os.O_RDONLY | os.O_CLOEXEC)
    try:
        leave()
        try:
            yield
        finally:
            syscall("setns", home, CLONE_NEWIPC)
    finally:
        os.close(home)


def _stat(kind: Kind, number: int) -> tuple[Permissions, int, tuple[int, ...]]:
    layout = _DATA[kind]
    buffer = bytearray(layout.size)
    at = memory_address(memoryview(buffer))
    syscall(_CONTROL[kind], number, *((0, ipc.IPC_STAT) if kind == "sem" else (ipc.IPC_STAT,)), at)
    perm, *rest = layout.unpack(buffer)
    key, uid, gid, cuid, cgid, mode, _ = ipc.PERM.unpack(perm)
    return Permissions(number, key & 0xFFFFFFFF, uid, gid, cuid, cgid, mode & 0o777), mode, tuple(rest)


def stat(kind: Kind, number: int) -> tuple[Permissions, int]:
    """Owner and key of object *number*, and its mode with the flags of segments; OSError if there is none."""
    permissions, mode, _ = _stat(kind, number)
    return permissions, mode


def segment_size(number: int) -> tuple[int, int]:
    """Bytes of a segment, and how often it is attached."""
    rest = _stat("shm", number)[2]
    return rest[0], rest[6]


def semaphores(number: int) -> int:
    """How many semaphores are in the set."""
    return _stat("sem", number)[2][2]


def queue_limits(number: int) -> tuple[int, int, int]:
    """Of a message queue: the bytes in it, its messages, and the bytes that it may hold."""
    rest = _stat("msg", number)[2]
    return rest[3], rest[4], rest[5]


def remove(kind: Kind, number: int) -> None:
    """Removes an object; a segment goes when nobody has it attached any more."""
    syscall(_CONTROL[kind], number, *((0, ipc.IPC_RMID) if kind == "sem" else (ipc.IPC_RMID,)), 0)


def create(kind: Kind, wanted: Permissions, *arguments: int, flags: int = 0) -> None:
    """Makes an object with the id, key, creator and owner *wanted*; *arguments* of its get call are between key and
    flags. Raises Taken, or OSError.
    """
    with open(f"/proc/sys/kernel/{kind}_next_id", "w", encoding="ascii") as file:
        file.write(str(wanted.id))
    flags |= ipc.IPC_CREAT | ipc.IPC_EXCL | wanted.mode
    try:
        number = _as(wanted.cuid, wanted.cgid, lambda: syscall(f"{kind}get", wanted.key, *arguments, flags))
    except OSError as error:
        _forget_next_id(kind, len(arguments))
        if error.errno == errno.EEXIST:
            raise Taken(syscall(f"{kind}get", wanted.key, *(0 for _ in arguments), 0), key=wanted.key) from None
        raise
    with removed_after_failure(kind, number):
        if number != wanted.id:
            raise Taken(wanted.id, key=None)
        if (wanted.uid, wanted.gid) != (wanted.cuid, wanted.cgid):
            _set(kind, wanted)


def _forget_next_id(kind: Kind, arguments: int) -> None:
    """Uses up the number that has been asked for, which the next object of anybody would get: the kernel takes back
    none. Where there is no room for an object, there is none for others either.
    """
    with suppress(OSError):
        remove(kind, syscall(f"{kind}get", ipc.IPC_PRIVATE, *(1 for _ in range(arguments)), 0o600))


@contextmanager
def removed_after_failure(kind: Kind, number: int) -> Iterator[None]:
    """Removes a new object if the block fails."""
    try:
        yield
    except BaseException:
        with suppress(OSError):
            remove(kind, number)
        raise


def _as(user: int, group: int, call: Callable[[], int]) -> int:
    """Makes one call as another user: the creator of an object cannot be changed."""
    mine = (os.geteuid(), os.getegid())
    if mine == (user, group):
        return call()
    # By the system calls themselves, which are of this thread alone. Capabilities come back with user 0.
    syscall("setresgid", _UNCHANGED, group, _UNCHANGED)
    try:
        syscall("setresuid", _UNCHANGED, user, _UNCHANGED)
        try:
            return call()
        finally:
            syscall("setresuid", _UNCHANGED, mine[0], _UNCHANGED)
    finally:
        syscall("setresgid", _UNCHANGED, mine[1], _UNCHANGED)


def _set(kind: Kind, wanted: Permissions, limit: int = 0) -> None:
    perm = ipc.PERM.pack(0, wanted.uid, wanted.gid, 0, 0, wanted.mode, 0)
    rest = (0, 0, 0, 0, 0, limit, 0, 0) if kind == "msg" else (0, 0, 0, 0, 0, 0, 0) if kind == "shm" else (0, 0, 0)
    buffer = bytearray(_DATA[kind].pack(perm, *rest))
    at = memory_address(memoryview(buffer))
    syscall(_CONTROL[kind], wanted.id, *((0, ipc.IPC_SET) if kind == "sem" else (ipc.IPC_SET,)), at)


# -- segments --------------------------------------------------------------------------------------------


@contextmanager
def attached(number: int, size: int, *, writable: bool) -> Iterator[tuple[int, memoryview]]:
    """A segment attached to crtool: its address, and a view of it."""
    address = syscall("shmat", number, 0, 0 if writable else ipc.SHM_RDONLY)
    try:
        yield address, memoryview((ctypes.c_char * size).from_address(address)).cast("B")
    finally:
        syscall("shmdt", address)


def lock(number: int) -> None:
    """Keeps a segment in memory (SHM_LOCK)."""
    syscall("shmctl", number, ipc.SHM_LOCK, 0)


# -- semaphores ------------------------------------------------------------------------------------------


def values(number: int, count: int) -> tuple[int, ...]:
    """The values of all *count* semaphores of a set."""
    room = (ctypes.c_ushort * count)()
    syscall("semctl", number, 0, ipc.GETALL, ctypes.addressof(room))
    return tuple(room)


def last_users(number: int) -> set[int]:
    """The PIDs of who changed a semaphore of the set last."""
    return {syscall("semctl", number, index, ipc.GETPID) for index in range(semaphores(number))}


def change_values(number: int, wanted: tuple[int, ...]) -> None:
    """Sets them by operations: nobody's adjustments are forgotten. OSError if somebody else changes them just now."""
    before = values(number, len(wanted))
    changes = [(index, wanted[index] - level) for index, level in enumerate(before) if wanted[index] != level]
    for start in range(0, len(changes), _OPERATIONS):
        part = changes[start : start + _OPERATIONS]
        operations = bytearray().join(ipc.SEMBUF.pack(index, change, ipc.IPC_NOWAIT) for index, change in part)
        syscall("semop", number, memory_address(memoryview(operations)), len(part))


def set_values(number: int, wanted: tuple[int, ...]) -> None:
    """Sets them; all adjustments of the set are forgotten."""
    room = (ctypes.c_ushort * len(wanted))(*wanted)
    syscall("semctl", number, 0, ipc.SETALL, ctypes.addressof(room))


# -- message queues --------------------------------------------------------------------------------------


def set_limit(wanted: Permissions, limit: int) -> None:
    """How many bytes a queue may hold; OSError if that is more than kernel.msgmnb and crtool may not exceed it."""
    _set("msg", wanted, limit)


def peek(number: int, index: int, room: int) -> tuple[int, bytes] | None:
    """Type and text of the message that has *index* others before it, which stays there; None if there is none."""
    return _receive(number, room, index, ipc.MSG_COPY | ipc.IPC_NOWAIT)


def receive(number: int, room: int) -> tuple[int, bytes] | None:
    """Takes the first message out."""
    return _receive(number, room, 0, ipc.IPC_NOWAIT)


def _receive(number: int, room: int, which: int, flags: int) -> tuple[int, bytes] | None:
    buffer = bytearray(8 + room)
    with suppress(BlockingIOError):
        try:
            got = syscall("msgrcv", number, memory_address(memoryview(buffer)), room, which, flags)
        except OSError as error:
            if error.errno == errno.ENOMSG:
                return None
            raise
        return int.from_bytes(buffer[:8], "little", signed=True), bytes(buffer[8 : 8 + got])
    return None


def send(number: int, kind: int, text: bytes) -> None:
    """Puts a message at the end; BlockingIOError if the queue is full."""
    buffer = bytearray(kind.to_bytes(8, "little", signed=True) + text)
    syscall("msgsnd", number, memory_address(memoryview(buffer)), len(text), ipc.IPC_NOWAIT)
