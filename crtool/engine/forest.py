"""From the records to what the planner is told."""

from __future__ import annotations

from crtool.engine.snapshot import ProcessRecord, Snapshot
from crtool.tree.model import Forest, Member

__all__ = ["forest_of"]


def forest_of(snapshot: Snapshot) -> Forest:
    """The planner's table of the processes of *snapshot*."""
    by_pid = {record.pids[0]: record for record in snapshot.processes}
    members = tuple(_member(record, by_pid.get(record.ppid)) for record in snapshot.processes)
    return Forest(snapshot.root, members, frozenset(snapshot.outside))


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
    )
