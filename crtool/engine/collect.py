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
from crtool.engine.open_files import OpenFiles, inode_behind
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
        self._processes: list[Callable[[], ProcessRecord]] = []  # who makes the records, in their order
        self._contexts: dict[int, tuple[Context, ...]] = {}  # of asynchronous input and output, by PID
        self._brothers: tuple[tuple[int | None, bytes] | None, dict[int, int]] = (None, {})  # as of _inodes_of()
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
        stats = [process.stat for process in self.frozen.processes.values()]
        outside = {number for stat in stats for number in (stat.session, stat.pgrp)} - self.frozen.processes.keys()
        self._outside = tuple(sorted(number for number in outside if os.path.exists(f"/proc/{number}")))
        self._host = host_of(self.frozen)
        self._namespaces = self._made.records(self._numbers.namespace, self.files.views)

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
            processes=tuple(record() for record in self._processes),
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

    def _process(self, process: FrozenProcess) -> Callable[[], ProcessRecord]:
        """Asks a process for all that it has. What is returned makes the record, for which there may be time later."""
        self.frozen.limit.check()
        stat, held = process.stat, process.held
        namespace, handlers, stop_signal = self._numbers.namespace(process.pid), -1, process.stop_signal
        threads: list[Callable[[], ThreadRecord]] = []
        memory, state_of = -1, None
        if held is not None:
            maps = maps_file.parse(text := read(process.door, "maps"))
            self._made.add(process.pid, process.door)
            maps = held.prepare(maps)
            # One batch asks for all that any thread can tell, and for what is the own of the one that makes it.
            batch = Batch()
            memory_of = self._memory(process, text, maps, batch)
            ask = registry.dump_process(held, process.status, batch)
            asks = {held.caller.tid: registry.dump_thread(held, held.caller, batch)}
            self._run_in_peace(held, batch)
            memory, state_of = memory_of(), ask()
            for thread in held.threads.values():
                if thread.tid not in asks:
                    batch = Batch()
                    asks[thread.tid] = registry.dump_thread(held, thread, batch)
                    held.on(thread.tid).run(batch)
            threads = [self._thread(process, thread, asks[thread.tid]()) for thread in held.threads.values()]
            self.ipc.add(process, held)
            own = [space for space in self.spaces[-1:] if space.process is process]
            for space in own:
                self._copies.take(space)
            held.retire()
            for space in own:
                self._copies.keep(space)
            handlers = self._handler_ids.find(held.door)[0]

        def record() -> ProcessRecord:
            return ProcessRecord(
                pids=process.status.ns_pid,
                namespace=namespace,
                ppid=stat.ppid,
                pgid=stat.pgrp,
                sid=stat.session,
                exit_signal=stat.exit_signal,
                zombie=held is None,
                exit_status=stat.exit_code,
                comm=stat.comm,
                stop_signal=stop_signal,
                dead_leader=process.dead_leader,
                memory=memory,
                handlers=handlers,
                stop_reported=stat.exit_code == 0,  # field 52 also holds a stop that is still to be waited for
                threads=tuple(thread() for thread in threads),
                state=None if state_of is None else state_of(),
            )

        return record

    def _run_in_peace(self, held: HeldProcess, batch: Batch) -> None:
        """Runs *batch* until no signal has arrived meanwhile: a timer that expires then would be seen twice, or
        never.
        """
        has_timers = any(call.name == "timer_gettime" for call in batch)
        for _ in range(_READS):
            before = held.queued_signals() if has_timers else ()
            held.run(batch)
            if not has_timers or before == held.queued_signals():
                return

    def _thread(
        self, process: FrozenProcess, thread: HeldThread, state_of: Callable[[], ThreadState]
    ) -> Callable[[], ThreadRecord]:
        """Looks at what a thread has open; *state_of* makes the record of all else that it has."""
        assert process.held is not None
        tid = thread.tid
        status = self._statuses[tid] = process.held.statuses[tid]
        namespace = self._numbers.for_children(process.pid, tid)
        files = self.files.table(process.pid, tid)
        view = self.files.view(process.pid, tid, status)

        def record() -> ThreadRecord:
            state = state_of()
            if (obstacle := registry.obstacle(process.pid, tid, state)) is not None:
                raise ObstacleError([obstacle])
            return ThreadRecord(
                tids=status.ns_pid,
                children_namespace=namespace,
                files=files,
                fs=view,
                registers=thread.portable.pack(),
                fpu=thread.fpu,
                mask=thread.mask,
                state=state,
            )

        return record

    # -- memory ------------------------------------------------------------------------------------------

    def _memory(
        self, process: FrozenProcess, text: bytes, maps: Sequence[Mapping], batch: Batch
    ) -> Callable[[], int]:
        """Adds the questions about the address space to *batch*; the answer is its index. *maps* are those of *text*,
        in which most of what is looked for can be seen to be missing.
        """
        held = process.held
        assert held is not None
        index, new = self._memory_ids.find(process.door)
        if not new:
            return lambda: index
        if self._tracker is not None:
            maps = self._tracker.look(process, maps)
        rings = [mapping for mapping in maps if aio.is_ring(mapping)] if aio.NAME in text else []
        records = aio.dump(process.pid, held.memory, rings, self._contexts.get(process.pid, ()))
        maps = [mapping for mapping in maps if not aio.is_ring(mapping)] if rings else maps
        found = mappings.early_obstacles(process.pid, text)
        if ipc_survey.SEGMENT in text and not self.ipc.is_wanted(process.pid):
            found += ipc_survey.attached(process.pid, maps)
        if found:
            raise ObstacleError(found)
        inodes = self._inodes_of(process, text, maps)
        words = None if self._tracker is None else self._tracker.words
        space = AddressSpace(process, maps, inodes, self.report.policy.exclude, words)
        # That of a main thread which has ended has no addresses.
        stat = stat_file.parse(read(process.door, "stat")) if process.dead_leader else process.stat
        bounds_of = bounds.dump(batch, stat, read(process.door, "auxv"))
        code = b""
        for mapping in reversed(maps):
            if mapping.name == b"[vdso]":
                code = os.pread(held.memory, mapping.end - mapping.start, mapping.start)
                break
        exe = inode_behind(f"/proc/{process.door}/exe", self.inodes)
        locks = future_locks(space, held)

        def finish() -> int:
            space.fixed = lambda: Fixed(bounds_of(), exe, vdso.dump(maps, code), locks, records)
            self.spaces.append(space)
            return index

        return finish

    def _inodes_of(self, process: FrozenProcess, text: bytes, maps: Sequence[Mapping]) -> dict[int, int]:
        """By the start of a mapping, the index of what it maps.

        Files that have a name are the same to brothers with the same mappings, since nobody moves while they stand
        still: so they are asked for once.
        """
        mounts = self._made.mounts_of(process.pid)
        brothers = (mounts, text)
        if self._brothers[0] != brothers:
            self._brothers = (brothers, {})
        inode_of, known = self._inode_of(process.pid, process.door, mounts), self._brothers[1]
        inodes = {}
        for mapping in maps:
            if mappings.is_of_file(mapping):
                if (inode := known.get(mapping.start)) is None:
                    inode = inode_of(mapping)
                    if mapping.name.startswith(b"/") and not mapping.deleted:
                        known[mapping.start] = inode
                inodes[mapping.start] = inode
        return inodes

    def _inode_of(self, pid: int, door: int, mounts: int | None) -> Callable[[Mapping], int]:
        known: dict[tuple[int, int, int, bytes, bool], int] = {}

        def inode_of(mapping: Mapping) -> int:
            key = (mapping.major, mapping.minor, mapping.inode, mapping.name, mapping.deleted)
            if key not in known and (held := self.report.mapped.find(mapping, mounts)) >= 0:
                known[key] = self.inodes.index(held, mapping.name)
            if key not in known:
                with self._mapped.opened(door, mapping) as (fd, link):
                    if ipc_survey.is_segment(mapping):
                        known[key] = self.ipc.segment(pid, mapping, fd, link, self.inodes)
                    else:
                        known[key] = self.inodes.index(fd, link)
            return known[key]

        return inode_of
