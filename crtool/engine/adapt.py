"""The image as the caller wants it back: records changed before anything is made of them."""

from __future__ import annotations

import os
from collections.abc import Callable

from crtool.engine.snapshot import FilesRecord, ProcessRecord, Snapshot
from crtool.procfs import status as status_file
from crtool.procfs.read import read
from crtool.record import replace
from crtool.resources.credentials import CredentialsRecord
from crtool.resources.files.inodes import DeletedRecord, InodeRecord, PathRecord
from crtool.resources.files.kinds import DescriptionRecord
from crtool.resources.files.sockets.tcp import TcpRecord, closed, show
from crtool.resources.files.sockets.unix import UnixRecord

__all__ = ["as_caller", "without_connections"]


def without_connections(snapshot: Snapshot, warn: Callable[[str], None]) -> Snapshot:
    """The same, but that the other end has reset each connection with the outside, of which *warn* is told."""

    def reset(record: TcpRecord) -> TcpRecord:
        warn(f"the connection of {show(record.local)} with {show(record.remote)} was not restarted (--tcp close)")
        return closed(record)

    descriptions = tuple(
        reset(record) if isinstance(record, TcpRecord) and record.outside else record
        for record in snapshot.files.descriptions
    )
    return replace(snapshot, files=replace(snapshot.files, descriptions=descriptions))


def as_caller(snapshot: Snapshot, warn: Callable[[str], None]) -> Snapshot:
    """The same, but that everybody has the caller's ids and groups, and no capability that root alone has."""
    mine = _credentials()
    user, group = mine.uids[1], mine.gids[1]
    others = {
        number
        for process in snapshot.processes
        for thread in process.threads
        for number in thread.state.settings.credentials.uids
    }
    for number in sorted(others - {user}):
        warn(f"what ran as user {number} runs as user {user}")
    return replace(
        snapshot,
        processes=tuple(_process_of(record, mine) for record in snapshot.processes),
        files=_files_of(snapshot.files, user, group),
    )


def _credentials() -> CredentialsRecord:
    status = status_file.later(read(os.getpid(), "status"))
    uid, gid, sets = status.uid, status.gid, status.capabilities
    held = sets.permitted if uid.effective == 0 else 0
    return CredentialsRecord(
        uids=(uid.real, uid.effective, uid.saved, uid.filesystem),
        gids=(gid.real, gid.effective, gid.saved, gid.filesystem),
        groups=status.groups,
        inheritable=0,
        permitted=held,
        effective=held,
        bounding=sets.bounding,
        ambient=0,
        securebits=0,
    )


def _process_of(record: ProcessRecord, mine: CredentialsRecord) -> ProcessRecord:
    threads = []
    for thread in record.threads:
        settings = replace(thread.state.settings, credentials=mine)
        threads.append(replace(thread, state=replace(thread.state, settings=settings)))
    return replace(record, threads=tuple(threads))


def _files_of(files: FilesRecord, user: int, group: int) -> FilesRecord:
    return replace(
        files,
        inodes=tuple(_inode_of(record, user, group) for record in files.inodes),
        descriptions=tuple(_description_of(record, user, group) for record in files.descriptions),
    )


def _inode_of(record: InodeRecord, user: int, group: int) -> InodeRecord:
    """What is made anew belongs to who makes it: only root can give it to others."""
    if isinstance(record, DeletedRecord):
        return replace(record, uid=user, gid=group)
    if isinstance(record, PathRecord) and record.kept is not None:
        return replace(record, kept=replace(record.kept, uid=user, gid=group))
    return record


def _description_of(record: DescriptionRecord, user: int, group: int) -> DescriptionRecord:
    """Only root can make a socket in the name of somebody else."""
    if isinstance(record, UnixRecord):
        return replace(
            record,
            made_by=replace(record.made_by, uid=user, gid=group, groups=None),
            holder=replace(record.holder, uid=user, gid=group, groups=None),
        )
    return record
