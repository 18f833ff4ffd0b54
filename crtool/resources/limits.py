"""Resource limits of a process: RLIMIT_CPU … RLIMIT_RTTIME, soft and hard (getrlimit(2)).

The kernel keeps them for the process, all its threads together.

We read /proc/PID/limits: prlimit(2) on a process of another user needs CAP_SYS_RESOURCE, which root in a container
may not have.

We rebuild them by prlimit64(2), made by the process itself. Order needed: after everything that they could forbid,
which is births (RLIMIT_NPROC), descriptors (NOFILE), mappings (AS, DATA, STACK, MEMLOCK), queued signals and timers
(SIGPENDING) and files written to (FSIZE): the last of what belongs to the process. Before credentials: only
CAP_SYS_RESOURCE may raise a hard limit.

Refused is a hard limit above crtool's own without that capability. Time used up against RLIMIT_CPU starts at zero
again.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from functools import lru_cache

from crtool.abi import capability as cap
from crtool.errors import EnvironmentDiffers
from crtool.procfs import limits as limits_file
from crtool.procfs.limits import RLIM_INFINITY
from crtool.procfs.read import read
from crtool.puppet.batch import Batch
from crtool.record import dataclass

__all__ = ["LimitRecord", "LimitsRecord", "above", "dump", "missing", "restore"]


@dataclass(frozen=True)
class LimitRecord:
    """One resource. Bytes, seconds, microseconds or things, by resource; 2⁶⁴−1 for unlimited."""

    number: int  # as prlimit(2) takes it
    name: str  # "RLIMIT_NOFILE"
    soft: int
    hard: int


@dataclass(frozen=True)
class LimitsRecord:
    """One process."""

    limits: tuple[LimitRecord, ...]  # by ascending numbers: /proc/PID/limits


def dump(pid: int) -> LimitsRecord:
    """The limits of any process."""
    return _record(read(pid, "limits"))


@lru_cache  # most processes of a tree have the same
def _record(text: bytes) -> LimitsRecord:
    found = limits_file.parse(text)
    return LimitsRecord(
        tuple(LimitRecord(number, one.name, one.soft, one.hard) for number, one in sorted(found.items()))
    )


def above(record: LimitsRecord, own: LimitsRecord) -> Iterator[str]:
    """The limits that would be higher than those of a process with *own*, in words."""
    for here, wanted in _pairs(record, own):
        for kind, old, new in (("soft", here.soft, wanted.soft), ("hard", here.hard, wanted.hard)):
            if new > old:
                yield f"{wanted.name} {kind} {_shown(new)}, that of crtool is {_shown(old)}"


def missing(record: LimitsRecord, born: LimitsRecord, capabilities: int) -> list[str]:
    """The hard limits that a process with *born* and the effective *capabilities* cannot raise to those of *record*."""
    if capabilities & cap.bit(cap.CAP_SYS_RESOURCE):
        return []
    return [
        f"CAP_SYS_RESOURCE, to raise {old.name} from {_shown(old.hard)} to {_shown(new.hard)}"
        for old, new in _pairs(record, born)
        if new.hard > old.hard
    ]


def restore(batch: Batch, record: LimitsRecord, born: LimitsRecord, capabilities: int) -> None:
    """Adds a call for each limit in which *record* differs from *born*; the other two arguments as in :func:`missing`.

    EnvironmentDiffers, and nothing added, if something is missing.
    """
    if lacking := missing(record, born, capabilities):
        raise EnvironmentDiffers(
            "the image's resource limits are above what is allowed here: " + "; ".join(lacking),
            "raise the hard limits of the shell that starts crtool",
        )
    for old, new in _pairs(record, born):
        if (old.soft, old.hard) != (new.soft, new.hard):
            batch.call("prlimit64", 0, new.number, struct.pack("<QQ", new.soft, new.hard), 0, label=new.name)


def _pairs(record: LimitsRecord, born: LimitsRecord) -> list[tuple[LimitRecord, LimitRecord]]:
    """Each limit of *record* after the same one of *born*."""
    have = {limit.number: limit for limit in born.limits}
    return [(have[limit.number], limit) for limit in record.limits if limit.number in have]


def _shown(value: int) -> str:
    return "unlimited" if value == RLIM_INFINITY else str(value)
