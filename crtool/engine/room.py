"""How much memory is left before the kernel has to kill somebody.

A fork costs no memory at first, but a page of each that is written while the twin lives: at worst all of them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from crtool.procfs import cgroup as cgroup_file
from crtool.procfs.read import read

__all__ = ["is_limited", "room_left"]

_KIB = 1024
_CGROUPS = Path("/sys/fs/cgroup")
_MEMINFO = Path("/proc/meminfo")
_NO_LIMIT = 1 << 62  # what v1 says where nothing was set is nearly 2⁶³
# Limit, use, and the names of the lines of memory.stat that tells what can be taken back, in v2 and v1.
_V2 = ("memory.max", "memory.current", (b"inactive_file", b"active_file"))
_V1 = ("memory.limit_in_bytes", "memory.usage_in_bytes", (b"total_inactive_file", b"total_active_file"))


def room_left(pid: int, meminfo: Path = _MEMINFO, cgroups: Path = _CGROUPS) -> int:
    """Bytes that process *pid* may still take: of the machine, and of each control group that it is in."""
    left = [_free(meminfo.read_bytes()), *_of_groups(pid, cgroups)]
    return max(min(left), 0)


def is_limited(pid: int, cgroups: Path = _CGROUPS) -> bool:
    """Whether a control group of process *pid* has a limit on its memory."""
    return any(left < _NO_LIMIT for left in _of_groups(pid, cgroups))


def _of_groups(pid: int, cgroups: Path) -> Iterator[int]:
    for group in cgroup_file.parse(read(pid, "cgroup", missing=b"")):
        path = os.fsdecode(group.path).lstrip("/")
        if group.is_unified:
            for root in (cgroups, cgroups / "unified"):
                yield from _left_in_groups(root / path, root, *_V2)
        elif "memory" in group.controllers:
            root = cgroups / "memory"
            yield from _left_in_groups(root / path, root, *_V1)


def _free(meminfo: bytes) -> int:
    """MemAvailable and free swap."""
    found = dict(line.split(b":", 1) for line in meminfo.splitlines() if b":" in line)
    return sum(int(found[key].split()[0]) * _KIB for key in (b"MemAvailable", b"SwapFree") if key in found)


def _left_in_groups(
    folder: Path, root: Path, limit: str, use: str, reclaimable: tuple[bytes, ...]
) -> Iterator[int]:
    """What is left in the group of *folder* and in those above it; nothing of one that has no limit."""
    while True:
        with suppress(OSError, ValueError):  # "max", or no such file in the topmost group
            most = int((folder / limit).read_bytes())
            used = int((folder / use).read_bytes())
            stat = dict(line.split() for line in (folder / "memory.stat").read_bytes().splitlines())
            yield most - used + sum(int(stat.get(key, 0)) for key in reclaimable)
        if folder == root:
            return
        folder = folder.parent
