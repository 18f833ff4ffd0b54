"""How likely the kernel is to end a process when memory runs out: oom_score_adj.

The kernel keeps one number for a process, and the same for all processes that share its memory. The older oom_adj is
another view of it.

We read /proc/PID/oom_score_adj.

We rebuild it by writing that file, from outside, at any time; nothing of it needs the process itself.

Refused is a value below what the kernel allows crtool: without CAP_SYS_RESOURCE none may be lower than the lowest
that a holder of that capability has set for an ancestor, or 0. That lower bound itself is not kept.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from crtool.errors import EnvironmentDiffers
from crtool.procfs import scalars
from crtool.procfs.read import open_file, read
from crtool.record import dataclass

__all__ = ["OomRecord", "above", "dump", "restore_from_outside"]


@dataclass(frozen=True)
class OomRecord:
    """One process."""

    score_adj: int  # −1000 (never) … 1000: /proc/PID/oom_score_adj


def dump(pid: int) -> OomRecord:
    """The value of any process."""
    return OomRecord(scalars.oom_score_adj(read(pid, "oom_score_adj")))


def above(record: OomRecord, own: OomRecord) -> Iterator[str]:
    """Whether the kernel would spare a process longer than one with *own*, in words."""
    if record.score_adj < own.score_adj:
        yield f"oom_score_adj {record.score_adj}, that of crtool is {own.score_adj}"


def restore_from_outside(pid: int, record: OomRecord, born: OomRecord) -> None:
    """Writes the value, unless the process has been born with it; EnvironmentDiffers if it is too low for crtool."""
    if record == born:
        return
    fd = open_file(pid, "oom_score_adj", os.O_WRONLY)
    try:
        os.write(fd, str(record.score_adj).encode())
    except PermissionError:
        raise EnvironmentDiffers(
            f"PID {pid} had oom_score_adj {record.score_adj}, which takes CAP_SYS_RESOURCE here ({born.score_adj} now)",
            "run crtool with this capability",
        ) from None
    finally:
        os.close(fd)
