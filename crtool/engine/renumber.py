"""The numbers of an image: those of the PID namespace that the root of the tree lives in.

While a tree is looked at, everybody is known by the number that crtool's PID namespace has for him. Where the root
lives in another one, all numbers are changed at the end: in one place, so that nobody else has to think of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from crtool.engine.snapshot import (
    AbsentRecord,
    FilesRecord,
    IpcRecord,
    NamespaceRecord,
    ProcessRecord,
    Snapshot,
    ThreadRecord,
)
from crtool.procfs.status import Status
from crtool.record import replace
from crtool.resources.files import anonymous
from crtool.resources.files.inodes import MountedRecord
from crtool.resources.namespaces.mounts import MountsRecord

__all__ = ["numbers_in_base", "renumbered"]

_Number = Callable[[int], int]


def numbers_in_base(statuses: Iterable[Status], depth: int) -> dict[int, int]:
    """What crtool's numbers are called *depth* levels of PID namespaces deeper; *statuses*: of all tasks of a tree."""
    table: dict[int, int] = {}
    for status in statuses:
        for vector in (status.ns_pid, status.ns_tgid, status.ns_pgid, status.ns_sid):
            table[vector[0]] = vector[depth]
    return table


def renumbered(snapshot: Snapshot, table: dict[int, int], depth: int) -> Snapshot:
    """*snapshot* with all numbers as *table* has them; who is not in it lives outside, and has none: 0."""

    def other(number: int) -> int:
        return table.get(number, 0)

    return replace(
        snapshot,
        root=other(snapshot.root),
        outside=tuple(sorted({other(number) for number in snapshot.outside} - {0})),
        absent=tuple(AbsentRecord(a.pids[depth:], other(a.namespace)) for a in snapshot.absent),
        namespaces=tuple(_namespace(record, other) for record in snapshot.namespaces),
        processes=tuple(_process(record, other, depth) for record in snapshot.processes),
        files=_files(snapshot.files, other),
        ipc=None if snapshot.ipc is None else _ipc(snapshot.ipc, other),
        ipc_below=tuple(_ipc(record, other) for record in snapshot.ipc_below),
    )


def _namespace(record: NamespaceRecord, other: _Number) -> NamespaceRecord:
    if isinstance(record, MountsRecord):
        procs = tuple(replace(p, namespace=other(p.namespace), by=other(p.by)) for p in record.procs)
        record = replace(record, procs=procs)
    return replace(record, members=tuple(map(other, record.members)))


def _process(record: ProcessRecord, other: _Number, depth: int) -> ProcessRecord:
    state = record.state
    if state is not None:
        state = replace(state, timers=tuple(replace(timer, target=other(timer.target)) for timer in state.timers))
    return replace(
        record,
        pids=record.pids[depth:],
        namespace=other(record.namespace),
        ppid=other(record.ppid),
        pgid=other(record.pgid),
        sid=other(record.sid),
        threads=tuple(_thread(thread, other, depth) for thread in record.threads),
        state=state,
    )


def _thread(record: ThreadRecord, other: _Number, depth: int) -> ThreadRecord:
    children = record.children_namespace
    return replace(record, tids=record.tids[depth:], children_namespace=other(children) if children > 0 else children)


def _ipc(record: IpcRecord, other: _Number) -> IpcRecord:
    member = other(record.member) if record.member else 0
    adjustments = tuple(replace(each, pid=other(each.pid)) for each in record.adjustments)
    return replace(record, member=member, adjustments=adjustments)


def _files(files: FilesRecord, other: _Number) -> FilesRecord:
    terminal = files.terminal
    if terminal is not None:
        terminal = replace(terminal, session=other(terminal.session), foreground=other(terminal.foreground))
    return replace(
        files,
        inodes=tuple(
            replace(inode, member=other(inode.member)) if isinstance(inode, MountedRecord) else inode
            for inode in files.inodes
        ),
        ptys=tuple(replace(p, session=other(p.session), foreground=other(p.foreground)) for p in files.ptys),
        terminal=terminal,
        descriptions=tuple(anonymous.renumbered(record, other) for record in files.descriptions),
        owners=tuple(
            replace(owner, holder=other(owner.holder), pid=other(owner.pid)) for owner in files.owners
        ),
    )
