"""From the records, or from a look at the living tree, to what the planner is told."""

from __future__ import annotations

import os
from collections.abc import Mapping

from crtool.engine.numbers import FrozenNumbers
from crtool.engine.renumber import numbers_in_base
from crtool.engine.snapshot import ProcessRecord, Snapshot
from crtool.errors import ImageError, Obstacle, ObstacleError, TargetError
from crtool.kernel import process as kernel_process
from crtool.procfs import stat as stat_file
from crtool.procfs.read import read
from crtool.procfs.stat import Stat
from crtool.procfs.status import Status
from crtool.record import dataclass, replace
from crtool.tree.model import Absent, Forest, Member, Unplannable
from crtool.tree.plan import plan

__all__ = ["forest_of", "judge", "obstacle_of_living"]


def forest_of(snapshot: Snapshot) -> Forest:
    """The planner's table of the processes of *snapshot*."""
    by_pid = {record.pids[0]: record for record in snapshot.processes}
    members = tuple(_member(record, by_pid.get(record.ppid)) for record in snapshot.processes)
    absent = tuple(Absent(record.pids, record.namespace) for record in snapshot.absent)
    return Forest(snapshot.root, members, frozenset(snapshot.outside), absent)


def _member(record: ProcessRecord, parent: ProcessRecord | None) -> Member:
    mine = record.threads[0] if record.threads else None
    theirs = parent.threads[0] if parent is not None and parent.threads else None
    return Member(
        pids=record.pids,
        ppid=record.ppid,
        pgid=record.pgid,
        sid=record.sid,
        threads=tuple(thread.tid for thread in record.threads if thread.tid != record.pids[0]),
        zombie=record.zombie,
        subreaper=record.state is not None and record.state.subreaper,
        shares_files_with_parent=mine is not None and theirs is not None and mine.files == theirs.files,
        shares_fs_with_parent=mine is not None and theirs is not None and mine.fs == theirs.fs,
        shares_memory_with_parent=parent is not None and record.memory >= 0 and record.memory == parent.memory,
        shares_handlers_with_parent=parent is not None and record.handlers >= 0 and record.handlers == parent.handlers,
        exit_signal=record.exit_signal,
        namespace=record.namespace,
    )


def judge(forest: Forest) -> Obstacle | None:
    """Who of *forest* could not be born again: a restart would say so when it is too late."""
    try:
        plan(forest)
    except Unplannable as error:
        return Obstacle(error.pid, "", error.reason, "try again when it, or its parent, has ended")
    return None


@dataclass(frozen=True)
class _Seen:
    """A process of a tree that goes on."""

    stat: Stat
    status: Status


def obstacle_of_living(
    root: int, statuses: Mapping[int, Status], doors: Mapping[int, int], depth: int
) -> Obstacle | None:
    """The same of a tree that goes on; None also if it has changed while it was looked at.

    *statuses*: of all in it, by PID; *doors*: a living thread of each who lives; *depth*: as of FrozenNumbers.
    """
    if len(statuses) == 1:
        return None
    try:
        seen = {pid: _Seen(stat_file.parse(read(pid, "stat")), status) for pid, status in statuses.items()}
        found = judge(_living_forest(root, seen, doors, depth))
    except (TargetError, OSError, KeyError, ImageError, ObstacleError):
        return None  # the frozen tree will be looked at again; what else is wrong with namespaces is told elsewhere
    if found is None or not depth:
        return found
    here = {status.ns_pid[depth]: pid for pid, status in statuses.items() if len(status.ns_pid) > depth}
    return replace(found, pid=here.get(found.pid, found.pid))


def _living_forest(root: int, seen: Mapping[int, _Seen], doors: Mapping[int, int], depth: int) -> Forest:
    numbers = FrozenNumbers(seen, depth)
    numbers.look()
    known = numbers_in_base((one.status for one in seen.values()), depth)
    strangers = {n for one in seen.values() for n in (one.stat.session, one.stat.pgrp)} - seen.keys()
    outside = {known[number] for number in strangers if os.path.exists(f"/proc/{number}")} - {0}
    members = []
    for pid, one in seen.items():
        stat, mine, theirs = one.stat, doors.get(pid), doors.get(one.stat.ppid)
        memory = handlers = files = fs = False
        if mine is not None and theirs is not None and pid != root:
            memory, handlers, files, fs = (_same(mine, theirs, kind) for kind in _KINDS)
        members.append(
            Member(
                pids=one.status.ns_pid[depth:],
                ppid=known.get(stat.ppid, 0),
                pgid=known[stat.pgrp],
                sid=known[stat.session],
                zombie=mine is None,
                shares_files_with_parent=files,
                shares_fs_with_parent=fs,
                shares_memory_with_parent=memory,
                shares_handlers_with_parent=handlers,
                exit_signal=stat.exit_signal,
                namespace=known.get(numbers.namespace(pid), 0),
            )
        )
    absent = (Absent(found.pids[depth:], known.get(found.namespace, 0)) for found in numbers.absent())
    return Forest(known[root], tuple(members), frozenset(outside), tuple(absent))


_KINDS = (kernel_process.KCMP_VM, kernel_process.KCMP_SIGHAND, kernel_process.KCMP_FILES, kernel_process.KCMP_FS)


def _same(mine: int, theirs: int, kind: int) -> bool:
    return kernel_process.kcmp(mine, theirs, kind) == 0
