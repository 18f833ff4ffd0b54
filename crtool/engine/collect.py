"""Collecting: from a frozen tree to the records of its image.

Reads what crtool can ask itself, runs one batch per process and one per thread for the rest, and gives every
shared thing its place in a table. When it is done all tasks are at home again; their memory is still to be copied.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from crtool.abi import mman
from crtool.arch import cpu
from crtool.engine.freeze import Frozen, FrozenProcess
from crtool.engine.preflight import Report
from crtool.engine.snapshot import (
    FilesRecord,
    HostRecord,
    MemoryRecord,
    ProcessRecord,
    Snapshot,
    ThreadRecord,
)
from crtool.errors import ObstacleError
from crtool.image.layout import DataLayout
from crtool.kernel import process as kernel_process
from crtool.kernel.process import Identities
from crtool.procfs import fdinfo as fdinfo_file
from crtool.procfs import smaps as smaps_file
from crtool.procfs import stat as stat_file
from crtool.procfs import status as status_file
from crtool.procfs.maps import Mapping
from crtool.procfs.read import read
from crtool.puppet.batch import Batch
from crtool.puppet.hold import HeldProcess
from crtool.puppet.puppet import Puppet
from crtool.puppet.thread import HeldThread
from crtool.resources import registry
from crtool.resources.files import kinds, owners, pipes
from crtool.resources.files.collector import Inodes
from crtool.resources.files.fs import FsRecord
from crtool.resources.files.kinds import DescriptionRecord
from crtool.resources.files.openfile import OpenFile, borrow
from crtool.resources.files.table import DescriptorRecord, TableRecord
from crtool.resources.files.terminals import Terminals
from crtool.resources.memory import bounds, mappings, pages, vdso
from crtool.resources.registry import ThreadState

__all__ = ["Collector"]

_READS = 5  # of timers that expire faster than they can be read


class Collector:
    """Builds the Snapshot of a frozen tree. As a context manager it closes what it has borrowed."""

    def __init__(self, frozen: Frozen, report: Report) -> None:
        self.frozen = frozen
        self.report = report
        self.layout = DataLayout(cpu.PAGE_SIZE)
        self.inodes = Inodes(lambda length: self.layout.reserve(length).offset)
        self.page_sources: list[tuple[FrozenProcess, MemoryRecord]] = []
        self.pages_skipped = 0
        self._memories: list[MemoryRecord] = []
        self._memory_ids = Identities(kernel_process.KCMP_VM)
        self._handler_ids = Identities(kernel_process.KCMP_SIGHAND)
        self._tables: list[TableRecord] = []
        self._table_ids = Identities(kernel_process.KCMP_FILES)
        self._views: list[FsRecord] = []
        self._view_ids = Identities(kernel_process.KCMP_FS)
        self._descriptions: list[DescriptionRecord] = []
        self._owners: list[owners.OwnerRecord] = []
        self._description_ids = Identities(kernel_process.KCMP_FILE)
        self._pipes: dict[tuple[int, int], int] = {}
        self._pipe_files: list[tuple[OpenFile, int]] = []  # with a descriptor of our own each
        self._pipe_flags: list[list[int]] = []
        self._terminals = Terminals(self._puppet_of)
        self._shared = kinds.Shared(
            lambda file: self.inodes.index(file.local, file.link), self._pipe, self._terminals.end
        )

    def __enter__(self) -> Collector:
        return self

    def __exit__(self, *exc: object) -> None:
        self.inodes.close()
        for file, _ in self._pipe_files:
            os.close(file.local)
        self._pipe_files.clear()
        self._terminals.ends.close()

    def collect(self) -> Snapshot:
        """The records of everything in the tree."""
        found = self.frozen.processes
        records = [self._process(process) for process in found.values()]
        rings = tuple(self._ring(number) for number in range(len(self._pipe_files)))
        # Contents of inodes come first in the data area, then the pages of one address space after the other.
        memories = tuple(self._with_pages())
        numbers = {record.pids[0] for record in records}
        outside = {number for record in records for number in (record.sid, record.pgid)} - numbers
        return Snapshot(
            host=self._host(),
            root=self.frozen.root,
            outside=tuple(sorted(number for number in outside if os.path.exists(f"/proc/{number}"))),
            processes=tuple(records),
            memories=memories,
            files=FilesRecord(
                inodes=tuple(self.inodes.records),
                pipes=rings,
                ptys=tuple(self._terminals.pairs),
                terminal=self._terminals.callers(process.stat for process in found.values()),
                descriptions=tuple(self._descriptions),
                owners=tuple(self._owners),
                tables=tuple(self._tables),
                views=tuple(self._views),
            ),
        )

    def _host(self) -> HostRecord:
        held = next(process.held for process in self.frozen.processes.values() if process.held is not None)
        fpu = next(iter(held.threads.values())).fpu
        return HostRecord(os.uname().release, time.time(), cpu.xfeatures(fpu), len(fpu))

    # -- processes and threads --------------------------------------------------------------------

    def _process(self, process: FrozenProcess) -> ProcessRecord:
        self.frozen.hurry()
        stat, held = process.stat, process.held
        threads: tuple[ThreadRecord, ...] = ()
        memory, state = -1, None
        if held is not None:
            smaps = smaps_file.parse(read(process.door, "smaps"))
            held.prepare([entry.mapping for entry in smaps])
            # One batch asks for all that any thread can tell, and for what is the own of the one that makes it.
            batch = Batch()
            memory_of = self._memory(process, smaps, batch)
            state_of = registry.dump_process(held, process.status, batch)
            answers = {held.caller.tid: self._ask_thread(process, held.caller, batch)}
            self._run_in_peace(held, batch)
            memory, state = memory_of(), state_of()
            for thread in held.threads.values():
                if thread.tid not in answers:
                    batch = Batch()
                    answers[thread.tid] = self._ask_thread(process, thread, batch)
                    held.on(thread.tid).run(batch)
            threads = tuple(self._thread(process, thread, answers[thread.tid]) for thread in held.threads.values())
            held.retire()
        return ProcessRecord(
            pids=process.status.ns_pid,
            ppid=stat.ppid,
            pgid=stat.pgrp,
            sid=stat.session,
            exit_signal=stat.exit_signal,
            zombie=held is None,
            exit_status=stat.exit_code,
            comm=stat.comm,
            stop_signal=0 if held is None else min(thread.stop_signal for thread in held.threads.values()),
            dead_leader=process.dead_leader,
            memory=memory,
            handlers=-1 if held is None else self._handler_ids.find(held.door)[0],
            stop_reported=stat.exit_code == 0,  # field 52 also holds a stop that is still to be waited for
            threads=threads,
            state=state,
        )

    def _run_in_peace(self, held: HeldProcess, batch: Batch) -> None:
        """Runs *batch* until no signal has arrived meanwhile: a timer that expires then would be seen twice, or
        never.
        """
        has_timers = bool(read(held.door, "timers"))
        for _ in range(_READS):
            before = held.queued_signals() if has_timers else ()
            held.run(batch)
            if not has_timers or before == held.queued_signals():
                return

    def _ask_thread(self, process: FrozenProcess, thread: HeldThread, batch: Batch) -> Callable[[], ThreadState]:
        assert process.held is not None
        status = status_file.parse(read(process.pid, "status", thread.tid))
        return registry.dump_thread(process.held, thread, status, batch)

    def _thread(self, process: FrozenProcess, thread: HeldThread, ask: Callable[[], ThreadState]) -> ThreadRecord:
        tid = thread.tid
        table, new = self._table_ids.find(tid)
        if new:
            self._tables.append(TableRecord(()))  # its place
            self._tables[table] = self._table(process.pid, tid)
        view, new = self._view_ids.find(tid)
        if new:
            self._views.append(self._view(process, tid))
        state = ask()
        if (obstacle := registry.obstacle(process.pid, tid, state)) is not None:
            raise ObstacleError([obstacle])
        return ThreadRecord(
            tid=tid,
            files=table,
            fs=view,
            registers=thread.portable.pack(),
            fpu=thread.fpu,
            mask=thread.mask,
            state=state,
        )

    # -- memory ------------------------------------------------------------------------------------------

    def _memory(
        self, process: FrozenProcess, smaps: tuple[smaps_file.Smap, ...], batch: Batch
    ) -> Callable[[], int]:
        """Adds the questions about the address space to *batch*; the answer is its index."""
        held = process.held
        assert held is not None
        index, new = self._memory_ids.find(process.door)
        if not new:
            return lambda: index
        maps = [entry.mapping for entry in smaps]
        flags = [entry.flags for entry in smaps]
        if found := mappings.obstacles(process.pid, maps, flags):
            raise ObstacleError(found)
        inode_of = self._inode_of(process.door)
        records = mappings.dump(
            maps,
            flags,
            [entry.page_size for entry in smaps],
            [entry.protection_key for entry in smaps],
            [entry.rss + entry.swap for entry in smaps],
            inode_of,
        )
        finish_bounds = bounds.dump(batch, stat_file.parse(read(process.door, "stat")), read(process.door, "auxv"))
        code = b""
        for mapping in maps:
            if mapping.name == b"[vdso]":
                code = os.pread(held.memory, mapping.end - mapping.start, mapping.start)
        with self._opened(f"/proc/{process.door}/exe") as (fd, link):
            exe = self.inodes.index(fd, link)
        locks = self._future_locks(process, maps, flags)

        def finish() -> int:
            record = MemoryRecord(
                mappings=records,
                guards=(),
                extents=(),
                data=0,
                bounds=finish_bounds(),
                exe=exe,
                vdso=vdso.dump(maps, code),
                lock_future=locks,
            )
            self._memories.append(record)
            self.page_sources.append((process, record))
            return index

        return finish

    def _future_locks(
        self, process: FrozenProcess, maps: Sequence[Mapping], flags: Sequence[frozenset[str]]
    ) -> int:
        held, status = process.held, status_file.parse(read(process.door, "status"))
        assert held is not None
        if status.memory is None or not mappings.future_locks(status.memory.locked, flags, maps, held.scratch):
            return 0
        # What is locked as a whole is also populated as a whole.
        present = pages.present(process.door, held.scratch.data, held.scratch.end)
        return mman.MCL_FUTURE | (0 if present == held.scratch.capacity else mman.MCL_ONFAULT)

    def _with_pages(self) -> Iterator[MemoryRecord]:
        """The address spaces with the pages that are to be saved, and their places in the data area."""
        for number, (process, record) in enumerate(self.page_sources):
            extents, guards, skipped = pages.saved(process.door, record.mappings)
            self.pages_skipped += skipped // cpu.PAGE_SIZE
            full = MemoryRecord(
                mappings=record.mappings,
                guards=guards,
                extents=extents,
                data=self.layout.reserve(pages.total(extents)).offset,
                bounds=record.bounds,
                exe=record.exe,
                vdso=record.vdso,
                lock_future=record.lock_future,
            )
            self.page_sources[number] = (process, full)
            yield full

    def _inode_of(self, pid: int) -> Callable[[Mapping], int]:
        known: dict[tuple[int, int, int, bytes, bool], int] = {}

        def inode_of(mapping: Mapping) -> int:
            key = (mapping.major, mapping.minor, mapping.inode, mapping.name, mapping.deleted)
            if key not in known:
                with self._opened(f"/proc/{pid}/map_files/{mapping.start:x}-{mapping.end:x}") as (fd, link):
                    known[key] = self.inodes.index(fd, link)
            return known[key]

        return inode_of

    @contextmanager
    def _opened(self, path: str, flags: int = os.O_PATH) -> Iterator[tuple[int, bytes]]:
        """What a link of /proc leads to, opened, and the text of the link."""
        link = os.fsencode(os.readlink(path))
        fd = os.open(path, flags | os.O_CLOEXEC)
        try:
            yield fd, link
        finally:
            os.close(fd)

    # -- files -------------------------------------------------------------------------------------------

    def _view(self, process: FrozenProcess, tid: int) -> FsRecord:
        base = f"/proc/{process.pid}/task/{tid}"
        with self._opened(f"{base}/root") as (fd, link):
            root = self.inodes.index(fd, link)
        with self._opened(f"{base}/cwd") as (fd, link):
            cwd = self.inodes.index(fd, link)
        umask = status_file.parse(read(process.pid, "status", tid)).umask
        return FsRecord(root, cwd, umask or 0)

    def _table(self, pid: int, tid: int) -> TableRecord:
        pidfd = kernel_process.pidfd_open(tid)
        try:
            return TableRecord(tuple(self._descriptors(pid, tid, pidfd)))
        finally:
            os.close(pidfd)

    def _descriptors(self, pid: int, tid: int, pidfd: int) -> Iterator[DescriptorRecord]:
        base = f"/proc/{pid}/task/{tid}"
        for fd in sorted(int(name) for name in os.listdir(f"{base}/fd")):
            link = os.fsencode(os.readlink(f"{base}/fd/{fd}"))
            info = fdinfo_file.parse(read(pid, f"fdinfo/{fd}", tid))
            place = (link, info.flags & ~os.O_CLOEXEC, info.pos)
            description, new = self._description_ids.find(tid, fd, place)
            if new:
                with borrow(pidfd, pid, fd, link, info) as file:
                    self._descriptions.append(self._description(file))
                    if (owner := owners.dump(file)) is not None:
                        self._owners.append(owner)
            yield DescriptorRecord(fd, description, bool(info.flags & os.O_CLOEXEC))

    def _description(self, file: OpenFile) -> DescriptionRecord:
        if (obstacle := kinds.obstacle(file)) is not None:
            raise ObstacleError([obstacle])
        return kinds.dump(file, self._shared)

    def _puppet_of(self, pid: int) -> Puppet:
        held = self.frozen.processes[pid].held
        assert held is not None
        return held

    def _pipe(self, file: OpenFile) -> int:
        key = (file.stat.st_dev, file.stat.st_ino)
        if key not in self._pipes:
            self._pipes[key] = len(self._pipe_files)
            inode = -1 if file.link.startswith(b"pipe:[") else self.inodes.index(file.local, file.link)
            mine = OpenFile(file.pid, file.fd, os.dup(file.local), file.link, file.info, file.stat)
            self._pipe_files.append((mine, inode))
            self._pipe_flags.append([])
        self._pipe_flags[self._pipes[key]].append(file.flags)
        return self._pipes[key]

    def _ring(self, number: int) -> pipes.PipeRecord:
        file, inode = self._pipe_files[number]
        packets = any(flags & os.O_DIRECT for flags in self._pipe_flags[number])
        return pipes.content(file, inode, packets=packets)
