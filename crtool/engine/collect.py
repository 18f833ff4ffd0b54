"""Collecting: from a frozen tree to the records of its image.

Reads what crtool can ask itself, runs one batch per process and one per thread for the rest, and gives every
shared thing its place in a table. When it is done all tasks are at home again; their memory is still to be copied.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

from crtool.arch import cpu
from crtool.engine import once
from crtool.engine.freeze import Frozen
from crtool.engine.frozen_process import FrozenProcess
from crtool.engine.host import host_of
from crtool.engine.ipc_collect import IpcCollector
from crtool.engine.made import MadeNamespaces
from crtool.engine.mapped import MappedFiles
from crtool.engine.numbers import FrozenNumbers
from crtool.engine.open_files import OpenFiles, opened
from crtool.engine.preflight import Report
from crtool.engine.renumber import numbers_in_base, renumbered
from crtool.engine.snapshot import ProcessRecord, Snapshot, ThreadRecord
from crtool.engine.space import AddressSpace, Fixed, future_locks
from crtool.errors import ObstacleError
from crtool.image.layout import DataLayout
from crtool.kernel import aio as contexts
from crtool.kernel import process as kernel_process
from crtool.kernel.aio import Context
from crtool.kernel.process import Identities
from crtool.procfs import maps as maps_file
from crtool.procfs import stat as stat_file
from crtool.procfs import status as status_file
from crtool.procfs.maps import Mapping
from crtool.procfs.read import read
from crtool.procfs.status import Status
from crtool.puppet.batch import Batch
from crtool.puppet.hold import HeldProcess
from crtool.puppet.thread import HeldThread
from crtool.resources import registry
from crtool.resources.files.collector import Inodes
from crtool.resources.files.sockets.tcp_connections import Connections
from crtool.resources.ipc import survey as ipc_survey
from crtool.resources.memory import aio, bounds, mappings, vdso
from crtool.resources.registry import ThreadState

if TYPE_CHECKING:
    from crtool.engine.parent import Parent
    from crtool.engine.tracker import Tracker

__all__ = ["Collector"]

_READS = 5  # of timers that expire faster than they can be read


class Copies(Protocol):
    """Takes care of memory before its process goes on: while it is away from home, and when it is back."""

    def take(self, space: AddressSpace) -> None: ...
    def keep(self, space: AddressSpace) -> None: ...


class Collector:
    """Builds the Snapshot of a frozen tree. As a context manager it closes what it has borrowed."""

    def __init__(
        self,
        frozen: Frozen,
        report: Report,
        copies: Copies,
        connections: Connections,
        tracker: Tracker | None = None,
    ) -> None:
        """*copies*: what is done with the memory of a process while that stands still; *tracker*: looks at it, for what
        has changed.
        """
        self.frozen = frozen
        self._tracker = tracker
        self._copies = copies
        self.report = report
        self.layout = DataLayout(cpu.PAGE_SIZE)
        contents, digests = report.policy.files == "content", report.digests
        self.inodes = Inodes(lambda length: self.layout.reserve(length).offset, contents=contents, digests=digests)
        self.connections = connections
        self.spaces: list[AddressSpace] = []
        self._statuses: dict[int, Status] = {}  # of threads
        self._contexts: dict[int, tuple[Context, ...]] = {}  # of asynchronous input and output, by PID
        self._mapped = MappedFiles(lambda: [p.door for p in frozen.processes.values() if p.held is not None])
        self._memory_ids = Identities(kernel_process.KCMP_VM)
        self._handler_ids = Identities(kernel_process.KCMP_SIGHAND)
        self._numbers = FrozenNumbers(frozen.processes, report.base.depth)
        self._made = MadeNamespaces(report.base, self.inodes.rooms)
        base, wanted = report.base, report.policy.sysvipc
        self.ipc = IpcCollector(frozen, base=base.namespaces.ipc, own=base.own_ipc, wanted=wanted)
        self.files = OpenFiles(frozen, report, self.inodes, connections, self.ipc.member_of)

    def __enter__(self) -> Collector:
        return self

    def __exit__(self, *exc: object) -> None:
        self.inodes.close()
        self.connections.close()
        self.files.close()
        self._mapped.close()

    def collect(self) -> None:
        """Asks for all that only the frozen tree can tell; if it is to go on soon, its memory is copied or forked."""
        self._numbers.look()
        self.ipc.look()
        self._await_quiet()
        if self._tracker is not None:
            self._tracker.begin()
        self._processes = [self._process(process) for process in self.frozen.processes.values()]
        self.files.settle()
        watched = self.files.watched()
        for space in self.spaces:
            space.claim(watched.get(space.pid, ()))
        self._ipc, self._ipc_below = self.ipc.records(self.inodes)
        numbers = {record.pids[0] for record in self._processes}
        outside = {number for record in self._processes for number in (record.sid, record.pgid)} - numbers
        self._outside = tuple(sorted(number for number in outside if os.path.exists(f"/proc/{number}")))
        self._host = host_of(self.frozen)
        self._namespaces = self._made.records(self._processes)

    def snapshot(self, parent: Parent | None = None) -> Snapshot:
        """The records of everything in the tree, which may go on already if all its memory has been taken care of."""
        # Contents of inodes come first in the data area, then the pages of one address space after the other.
        memories = once.records(self.spaces, self.layout, parent)
        snapshot = Snapshot(
            host=self._host,
            root=self.frozen.root,
            outside=self._outside,
            absent=self._numbers.absent(),
            namespaces=self._namespaces,
            processes=tuple(self._processes),
            memories=memories,
            files=self.files.record(),
            ipc=self._ipc,
            ipc_below=self._ipc_below,
        )
        depth = self.report.base.depth
        if depth:
            statuses = [*(process.status for process in self.frozen.processes.values()), *self._statuses.values()]
            return renumbered(snapshot, numbers_in_base(statuses, depth), depth)
        return snapshot

    def _await_quiet(self) -> None:
        """Waits for asynchronous input and output, before anything is read: it changes memory, and tells eventfds."""
        if not contexts.any_there():
            return
        for process in self.frozen.processes.values():
            if process.held is not None and aio.NAME in read(process.door, "maps"):
                quiet = aio.await_quiet(process.pid, process.door, self.frozen.limit.check)
                self._contexts[process.pid] = quiet

    # -- processes and threads --------------------------------------------------------------------

    def _process(self, process: FrozenProcess) -> ProcessRecord:
        self.frozen.limit.check()
        stat, held = process.stat, process.held
        threads: tuple[ThreadRecord, ...] = ()
        memory, state = -1, None
        if held is not None:
            maps = maps_file.parse(read(process.door, "maps"))
            self._made.add(process.pid, process.door)
            maps = held.prepare(maps)
            # One batch asks for all that any thread can tell, and for what is the own of the one that makes it.
            batch = Batch()
            memory_of = self._memory(process, maps, batch)
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
            self.ipc.add(process, held)
            own = [space for space in self.spaces[-1:] if space.process is process]
            for space in own:
                self._copies.take(space)
            held.retire()
            for space in own:
                self._copies.keep(space)
        return ProcessRecord(
            pids=process.status.ns_pid,
            namespace=self._numbers.namespace(process.pid),
            ppid=stat.ppid,
            pgid=stat.pgrp,
            sid=stat.session,
            exit_signal=stat.exit_signal,
            zombie=held is None,
            exit_status=stat.exit_code,
            comm=stat.comm,
            stop_signal=process.stop_signal,
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
        status = process.status  # of the main thread; parsing it takes a while
        if thread.tid != process.pid:
            status = status_file.parse(read(process.pid, "status", thread.tid))
        self._statuses[thread.tid] = status
        return registry.dump_thread(process.held, thread, status, batch)

    def _thread(self, process: FrozenProcess, thread: HeldThread, ask: Callable[[], ThreadState]) -> ThreadRecord:
        tid = thread.tid
        state = ask()
        if (obstacle := registry.obstacle(process.pid, tid, state)) is not None:
            raise ObstacleError([obstacle])
        return ThreadRecord(
            tids=self._statuses[tid].ns_pid,
            children_namespace=self._numbers.for_children(process.pid, tid),
            files=self.files.table(process.pid, tid),
            fs=self.files.view(process.pid, tid, self._statuses[tid]),
            registers=thread.portable.pack(),
            fpu=thread.fpu,
            mask=thread.mask,
            state=state,
        )

    # -- memory ------------------------------------------------------------------------------------------

    def _memory(self, process: FrozenProcess, maps: Sequence[Mapping], batch: Batch) -> Callable[[], int]:
        """Adds the questions about the address space to *batch*; the answer is its index."""
        held = process.held
        assert held is not None
        index, new = self._memory_ids.find(process.door)
        if not new:
            return lambda: index
        if self._tracker is not None:
            maps = self._tracker.look(process, maps)
        inode_of = self._inode_of(process.pid, process.door)
        rings = [mapping for mapping in maps if aio.is_ring(mapping)]
        records = aio.dump(process.pid, held.memory, rings, self._contexts.get(process.pid, ()))
        maps = [mapping for mapping in maps if not aio.is_ring(mapping)] if rings else maps
        found = mappings.obstacles(process.pid, maps, [frozenset()] * len(maps))
        if not self.ipc.is_wanted(process.pid):
            found += ipc_survey.attached(process.pid, maps)
        if found:
            raise ObstacleError(found)
        named = [mapping for mapping in maps if mappings.is_of_file(mapping)]
        inodes = {mapping.start: inode_of(mapping) for mapping in named}
        words = None if self._tracker is None else self._tracker.words
        space = AddressSpace(process, maps, inodes, self.report.policy.exclude, words)
        # That of a main thread which has ended has no addresses.
        stat = stat_file.parse(read(process.door, "stat")) if process.dead_leader else process.stat
        finish_bounds = bounds.dump(batch, stat, read(process.door, "auxv"))
        code = b""
        for mapping in maps:
            if mapping.name == b"[vdso]":
                code = os.pread(held.memory, mapping.end - mapping.start, mapping.start)
        with opened(f"/proc/{process.door}/exe") as (fd, link):
            exe = self.inodes.index(fd, link)
        locks = future_locks(space, held)

        def finish() -> int:
            space.fixed = Fixed(finish_bounds(), exe, vdso.dump(maps, code), locks, records)
            self.spaces.append(space)
            return index

        return finish

    def _inode_of(self, pid: int, door: int) -> Callable[[Mapping], int]:
        known: dict[tuple[int, int, int, bytes, bool], int] = {}

        def inode_of(mapping: Mapping) -> int:
            key = (mapping.major, mapping.minor, mapping.inode, mapping.name, mapping.deleted)
            if key not in known:
                with self._mapped.opened(door, mapping) as (fd, link):
                    if ipc_survey.is_segment(mapping):
                        known[key] = self.ipc.segment(pid, mapping, fd, link, self.inodes)
                    else:
                        known[key] = self.inodes.index(fd, link)
            return known[key]

        return inode_of
