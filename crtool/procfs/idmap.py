"""/proc/PID/uid_map, gid_map and projid_map: how a user namespace translates ids.

Spec: user_namespaces(7), "User and group ID mappings"; the kernel's kernel/user_namespace.c. A line reads
``0 100000 65536``. The second number is an id in the user namespace of the process that has
*opened* the file; if that is the very namespace of the map, then it is one in the parent namespace. What cannot be
translated reads 4294967295.
"""

from __future__ import annotations

from collections.abc import Sequence

from crtool.procfs.error import ProcfsError
from crtool.record import dataclass

__all__ = ["IdRange", "parse", "to_inside", "to_outside"]


@dataclass(frozen=True)
class IdRange:
    """*count* ids that follow each other."""

    inside: int  # the first, in the namespace
    outside: int  # what it is called by the reader
    count: int


def parse(data: bytes) -> tuple[IdRange, ...]:
    """The ranges in the kernel's order, none if the map is not set; ProcfsError with the line that has another form."""
    return tuple(_line(line) for line in data.split(b"\n") if line)


def _line(line: bytes) -> IdRange:
    try:
        inside, outside, count = map(int, line.split())
    except ValueError:
        raise ProcfsError("uid_map", line) from None
    return IdRange(inside, outside, count)


def to_outside(ranges: Sequence[IdRange], identity: int) -> int | None:
    """What the reader calls the id that is *identity* in the namespace; None if nothing."""
    for known in ranges:
        if known.inside <= identity < known.inside + known.count:
            return known.outside + identity - known.inside
    return None


def to_inside(ranges: Sequence[IdRange], identity: int) -> int | None:
    """What the reader's *identity* is called in the namespace; None if nothing."""
    for known in ranges:
        if known.outside <= identity < known.outside + known.count:
            return known.inside + identity - known.outside
    return None
