"""The messages in a POSIX message queue, read where the kernel has them: it shows them to who takes them out, only.

Sources: struct mqueue_inode_info and msg_insert() in ipc/mqueue.c, struct msg_msg in include/linux/msg.h, alloc_msg()
in ipc/msgutil.c. From our own descriptor of a queue the way leads to its inode, which is a part of what the kernel
keeps of it; a tree of priorities has a list of messages for each; a long message goes on in further pages. That all of
it is what it is taken for is tried on a queue of our own first.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterator
from functools import cache

from crtool.kernel import btf, mqueue, sysvipc
from crtool.kernel.btf import Types
from crtool.kernel.peek import STRUCTURES, Peek

__all__ = ["messages", "why_not"]

_STRUCTURES = (
    *STRUCTURES, "task_struct", "files_struct", "fdtable", "file", "mqueue_inode_info", "posix_msg_tree_node",
    "rb_node", "msg_msg", "msg_msgseg",
)  # fmt: skip
_MOST = 1 << 16  # HARD_MSGMAX: messages of a queue
_LARGEST = 1 << 24  # HARD_MSGSIZEMAX: bytes of a message
_FLAGS = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NONBLOCK | os.O_CLOEXEC
_MESSAGES = ((7, b"first"), (7, bytes(range(256)) * 20), (30, b""), (2, b"last"))


@cache
def _types() -> Types:
    return btf.read(_STRUCTURES)


@cache
def why_not() -> str | None:
    """Why messages cannot be read here, None if they can."""
    return btf.why_not(_trial)


def _trial() -> str | None:
    with sysvipc.anew():
        fd = mqueue.open_queue(b"crtool", _FLAGS, 0o600, 8, 5120)
    try:
        for priority, text in _MESSAGES:
            mqueue.send(fd, priority, text)
        right = messages(fd) == tuple(sorted(_MESSAGES, key=lambda message: -message[0]))
    finally:
        os.close(fd)
    return None if right else "this kernel keeps messages in another way than crtool knows"


def messages(fd: int) -> tuple[tuple[int, bytes], ...]:
    """Priority and text of each message in queue *fd* of ours, in the order in which they would be received; OSError if
    they change just now, or cannot be read.
    """
    with Peek(_types()) as peek:
        found = tuple(_Queue(peek, fd).messages())
    if len(found) != mqueue.attributes(fd)[2]:
        raise OSError(0, "messages come and go")
    return found


class _Queue:
    def __init__(self, peek: Peek, fd: int) -> None:
        self._peek = peek
        self._at = _types().offset
        table = self._follow(self._follow(peek.current, "task_struct", "files"), "files_struct", "fdt")
        file = peek.word(self._follow(table, "fdtable", "fd") + 8 * fd)
        self._info = self._follow(file, "file", "f_inode") - self._at("mqueue_inode_info", "vfs_inode")

    def _follow(self, address: int, structure: str, member: str) -> int:
        return self._peek.word(address + self._at(structure, member))

    def messages(self) -> Iterator[tuple[int, bytes]]:
        """From the highest priority on."""
        left = _MOST
        node = self._peek.word(self._info + self._at("mqueue_inode_info", "msg_tree"))
        above: list[int] = []
        while node or above:
            while node:
                above.append(node)
                node = self._follow(node, "rb_node", "rb_right")
            node = above.pop()
            leaf = node - self._at("posix_msg_tree_node", "rb_node")
            priority = self._peek.half(leaf + self._at("posix_msg_tree_node", "priority"))
            first = leaf + self._at("posix_msg_tree_node", "msg_list")
            entry = self._peek.word(first)
            while entry != first:
                yield priority, self._text(entry - self._at("msg_msg", "m_list"))
                entry = self._peek.word(entry)
                if not (left := left - 1):
                    raise OSError(0, "messages come and go")
            node = self._follow(node, "rb_node", "rb_left")
            if len(above) > 64:
                raise OSError(0, "messages come and go")

    def _text(self, message: int) -> bytes:
        left = self._follow(message, "msg_msg", "m_ts")
        if left > _LARGEST:
            raise OSError(0, "messages come and go")
        head, text = _types().size("msg_msg"), b""
        part, following = message, self._at("msg_msg", "next")
        while left:
            count = min(left, mmap.PAGESIZE - head)
            text += self._bytes(part + head, count)
            left -= count
            part = self._peek.word(part + following)
            head, following = _types().size("msg_msgseg"), self._at("msg_msgseg", "next")
        return text

    def _bytes(self, address: int, count: int) -> bytes:
        found = b""
        while len(found) < count:
            found += self._peek.block(address + len(found))
        return found[:count]
