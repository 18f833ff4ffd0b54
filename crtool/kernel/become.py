"""Becoming another user, for good: crtool goes on with his rights only (credentials(7)).

Of root's capabilities one is kept, in the ambient set so that it outlives an execve(2): CAP_CHECKPOINT_RESTORE, by
which PIDs can be chosen. It opens no file.
"""

from __future__ import annotations

import ctypes
import os
import pwd
from collections.abc import Callable

from crtool.abi import capability as cap
from crtool.abi import prctl as pr
from crtool.errors import TargetError, UsageError
from crtool.kernel.syscall import syscall

__all__ = ["become"]

_PR_CAP_AMBIENT_RAISE = 2
_NO_ID = 2**32 - 1  # setresuid(2): leave it as it is
_KEPT = cap.bit(cap.CAP_CHECKPOINT_RESTORE)


def become(name: str, hidden: Callable[[], None] = lambda: None) -> None:
    """Takes up the ids and groups of user *name*, which may be a number; nothing is changed if they are those that
    the caller has.

    *hidden* is called when crtool has his rights, while he can neither trace it nor look at what it still has open.

    UsageError if there is nobody of that name, TargetError if the caller may not.
    """
    user, group, groups = _ids_of(name)
    if os.getresuid() == (user, user, user):
        hidden()
        return
    kept = _permitted() & _KEPT
    try:
        syscall("prctl", pr.PR_SET_KEEPCAPS, 1)
        os.setgroups(groups)
        os.setresgid(group, group, group)
        os.setresuid(user, user, user)
    except PermissionError:
        raise TargetError(f"crtool may not become user {name}", "run it as root, or as that user") from None
    _set_capabilities(kept)
    for number in cap.numbers(kept):
        syscall("prctl", pr.PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, number, 0, 0)
    syscall("prctl", pr.PR_SET_KEEPCAPS, 0)
    # Who changes his ids is undumpable, and what is in /proc of him is root's.
    hidden()
    syscall("prctl", pr.PR_SET_DUMPABLE, 1)


def _ids_of(name: str) -> tuple[int, int, list[int]]:
    """User, group, and supplementary groups."""
    is_number = name.isascii() and name.isdigit()
    try:
        found = pwd.getpwuid(int(name)) if is_number else pwd.getpwnam(name)
    except (KeyError, OverflowError):
        if not is_number or int(name) >= _NO_ID:
            raise UsageError(f"there is no user {name}", "getent passwd lists them") from None
        return int(name), int(name), []  # as in a container, where nobody is listed
    return found.pw_uid, found.pw_gid, os.getgrouplist(found.pw_name, found.pw_gid)


def _permitted() -> int:
    header = ctypes.create_string_buffer(cap.CAP_HEADER)
    data = ctypes.create_string_buffer(cap.CAP_DATA.size)
    syscall("capget", ctypes.addressof(header), ctypes.addressof(data))
    words = cap.CAP_DATA.unpack(data.raw)
    return int(words[1] | words[4] << 32)


def _set_capabilities(wanted: int) -> None:
    low, high = wanted & 0xFFFF_FFFF, wanted >> 32
    header = ctypes.create_string_buffer(cap.CAP_HEADER)
    data = ctypes.create_string_buffer(cap.CAP_DATA.pack(low, low, low, high, high, high))
    syscall("capset", ctypes.addressof(header), ctypes.addressof(data))
