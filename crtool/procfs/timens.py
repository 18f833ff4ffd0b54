"""/proc/PID/timens_offsets: how far the clocks of a time namespace stand from those of the boot.

Spec: time_namespaces(7), "/proc/pid/timens_offsets". The file tells about the namespace into which children of the
process are born; that is its own, unless it has called unshare(2).
"""

from __future__ import annotations

from crtool.procfs.error import ProcfsError
from crtool.procfs.read import read
from crtool.record import dataclass

__all__ = ["NONE", "Offsets", "of", "parse"]

_NANOSECONDS = 1_000_000_000


@dataclass(frozen=True)
class Offsets:
    """In ns, to be added to the clocks of the boot."""

    monotonic: int
    boottime: int

    def since(self, other: Offsets) -> Offsets:
        """How far the clocks are ahead of those of a namespace with the offsets *other*."""
        return Offsets(self.monotonic - other.monotonic, self.boottime - other.boottime)


NONE = Offsets(0, 0)


def parse(data: bytes) -> Offsets:
    """Lines of clock, seconds, nanoseconds; the clock is a name, or before 5.7 a number."""
    found = {}
    for line in data.splitlines():
        words = line.split()
        try:
            name, seconds, nanoseconds = words[0], int(words[1]), int(words[2])
        except (IndexError, ValueError):
            raise ProcfsError("timens_offsets", line) from None
        found[name] = seconds * _NANOSECONDS + nanoseconds
    try:
        return Offsets(found[b"monotonic"], found[b"boottime"])
    except KeyError:
        raise ProcfsError("timens_offsets", data) from None


def of(pid: int) -> Offsets | None:
    """The offsets of a process; None on a kernel without time namespaces."""
    text = read(pid, "timens_offsets", missing=b"")
    return parse(text) if text else None
