"""The caller's terminal at a restart, in the place of the one that the program had."""

from __future__ import annotations

import os

from crtool.engine.foreground import Foreground
from crtool.engine.prepare import Prepared
from crtool.engine.relay import Relay
from crtool.engine.snapshot import Snapshot
from crtool.errors import EnvironmentDiffers
from crtool.puppet.birth import Newborn
from crtool.resources.files.terminals import find_callers

__all__ = ["attend_terminal", "judge_terminal"]


def judge_terminal(snapshot: Snapshot, *, detach: bool) -> None:
    """A session that had a terminal of its own gets one that crtool passes on, for as long as it waits."""
    record = snapshot.files.terminal
    if detach and record is not None and record.session:
        raise EnvironmentDiffers(
            f"the image wants a terminal in the place of {record.name.decode(errors='replace')}, as long as it runs",
            "restart it without --detach",
        )


def attend_terminal(snapshot: Snapshot, prepared: Prepared, puppets: dict[int, Newborn]) -> Foreground | Relay | None:
    """Gives the caller's terminal to the program, if the program has it."""
    record = snapshot.files.terminal
    if record is None:
        return None
    fd = find_callers(record)
    job: Foreground | Relay
    try:
        if prepared.relay_master >= 0:
            job = Relay(fd, prepared.relay_master)
            prepared.relay_master = -1
        else:
            members = (process.pids[0] for process in snapshot.processes if process.pgid == record.foreground)
            job = Foreground.restored(fd, record, os.getpgid(puppets[next(members, snapshot.root)].pid))
    except BaseException:
        os.close(fd)
        raise
    try:
        if isinstance(job, Relay):
            job.start()
        elif job.wanted:
            job.lend()
    except BaseException:
        job.close()
        raise
    return job
