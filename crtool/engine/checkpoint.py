"""The story of a checkpoint, top to bottom."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from typing import TYPE_CHECKING, Literal

from crtool.arch import cpu
from crtool.engine.beforehand import be_ready, census_for
from crtool.engine.collect import Collector
from crtool.engine.content_copy import content_length, copy_content
from crtool.engine.digests import Digests
from crtool.engine.forest import forest_of, judge
from crtool.engine.freeze import Frozen
from crtool.engine.kept import pour
from crtool.engine.live import Live, LiveMode, Refused, Unprepared, Waiting
from crtool.engine.output import beside, default_name, open_parent, writer_to
from crtool.engine.preflight import Report, survey
from crtool.engine.references import mounted_obstacles
from crtool.engine.results import CheckpointResult, Progress
from crtool.engine.shortage import Shortage
from crtool.engine.sink import ImageSink
from crtool.engine.snapshot import Snapshot
from crtool.engine.space import NotCarried
from crtool.engine.stages import Clock, Stage
from crtool.errors import InternalError, ObstacleError, TargetDied, TargetError
from crtool.image import codec
from crtool.image.compression import choose
from crtool.image.writer import ImageWriter
from crtool.kernel.interruption import nothing
from crtool.kernel.wait import deadline_in
from crtool.puppet.waiting import look
from crtool.resources.files.sockets.tcp_connections import Connections
from crtool.resources.memory import pages
from crtool.resources.policy import Exclude, Files, Policy, Stdio, Tcp, Unix
from crtool.tree.walk import Walk

if TYPE_CHECKING:
    from crtool.engine.parent import Parent
    from crtool.engine.tracker import Tracker
    from crtool.image.keys import Lock

__all__ = ["checkpoint"]

Leave = Literal["running", "stopped", "killed"]

_ATTEMPTS = 3
_WHEN_KILLED = (TargetError, InternalError, OSError)  # what may go wrong with a process that ends while it is asked


def checkpoint(
    pid: int,
    output: str | os.PathLike[str] | int | ImageWriter | None = None,
    *,
    leave: Leave = "running",
    force: bool = False,
    timeout: float | None = None,
    live: LiveMode = "auto",
    compress: str = "none",
    lock: Lock | None = None,
    stdio: Stdio = "refuse",
    tcp: Tcp = "keep",
    unix: Unix = "refuse",
    files: Files = "names",
    sysvipc: bool = False,
    exclude: Exclude = "none",
    parent: str | os.PathLike[str] | Parent | None = None,
    progress: Callable[[Progress], None] | None = None,
    held: Callable[[Mapping[int, bool]], None] | None = None,
    tracker: Tracker | None = None,
    done: Callable[[], None] = nothing,
) -> CheckpointResult:
    """Writes process *pid* and all its descendants, as they are now, to one file.

    *output*: a path, a URL (s3://bucket/key and what else fsspec knows), a descriptor to stream to, a writer that
    has not begun, or None for a name made of the process and the time. An existing file is refused without *force*.
    *leave* says what becomes of the tree once the image is safe: on the disk, or taken by the reader of a pipe.
    *timeout*: seconds after which the tree is let go rather than held any longer. *live*, for a tree that goes on
    running: "off" copies its memory while it stands still; "fork" forks every process once and copies that; "auto" does
    so with all that have more memory than is copied in the same time. *compress*: "none", "lz4", "zstd", "zstd:N" or
    "auto", of which each frame is stored as it is if it would not get smaller. *lock* (:func:`crtool.lock`) has it
    encrypted, signed, or both. *stdio* says what becomes of standard streams that are pipes or stream sockets (AF_UNIX)
    to somebody outside the tree: they are refused, or the restart has its own in their place. *tcp*: whether TCP
    connections with somebody outside the tree are saved ("keep"), or come back as reset by the other end ("close").
    *unix*: whether unix sockets whose other end is outside are refused, come back closed, or are connected anew to the
    same listening path ("refuse", "close", "reconnect"). *files*: whether the image has only the names of the files
    that are open or mapped ("names"), or also what is in them, for a restart with files="restore" ("content").
    *sysvipc*: the System V IPC objects of the machine that the tree has to do with are saved. *exclude*: "dontdump"
    leaves out what is in private memory that the program keeps out of core dumps (MADV_DONTDUMP): it comes back as if
    it had never been touched. *parent*: an image, of the same processes at best; what it has already is not written
    again, so the new one is of use only together with it. *held*: for a tree that does not go on, gets the PIDs of all
    in it, each with whether job control has stopped it, before the image is made last. *tracker*: of somebody who makes
    one image of the tree after the other, each the parent of the next, knows what has been written in between. *done*
    is called when the image is safe, before a signal can come between: from then on nothing should interrupt.

    Raises TargetError, ObstacleError (with all obstacles), EnvironmentDiffers (no room, no folder), TimeoutExpired;
    after any of them the tree is as it was.
    """
    clock = Clock()
    deadline, compressor = deadline_in(timeout), choose(compress)
    with clock.stage(Stage.PREFLIGHT):
        report = survey(pid, policy := Policy(stdio, tcp, unix, files, exclude, sysvipc), walk := Walk())
        if report.obstacles:
            raise ObstacleError(report.obstacles)
        digests = Digests(report.pids)
        path = output if output is not None else default_name(pid)
        if isinstance(parent, str | os.PathLike):
            parent = open_parent(parent, lock, progress)
    with (
        parent or nullcontext(),
        report.mapped,
        writer_to(path, force=force, compressor=compressor, lock=lock) as image,
    ):
        with clock.stage(Stage.PREFLIGHT):
            be_ready(report.pids)
            report.mapped.look(report.pids, report.base.namespaces.mnt)
            report.census = census_for(report.files)
            walk(pid)  # who has come since
            report.digests = digests.found()  # nothing is read for them while somebody stands still
        if parent is not None and not isinstance(path, ImageWriter):
            parent.require_apart(path)
            parent.require_as_secret(lock)
        story = _Story(pid, walk, deadline, report, policy, image, clock, progress, parent, tracker, done)
        if leave != "running" or live == "off" or not story.go_on(beside(path, lock), live):
            story.wait(leave, held)
        if tracker is not None:
            tracker.saved(image.root, image.status)
    written = story.written // cpu.PAGE_SIZE
    skipped = story.skipped // cpu.PAGE_SIZE
    shared = sum(run.length for memory in story.snapshot.memories for run in memory.shared) // cpu.PAGE_SIZE
    same = 0 if parent is None else parent.same // cpu.PAGE_SIZE
    return CheckpointResult(
        image=None if isinstance(path, int | ImageWriter) else os.fspath(path),
        size=story.size,
        pid=pid,
        processes=len(story.snapshot.processes),
        threads=sum(len(process.threads) for process in story.snapshot.processes),
        pages_written=written,
        pages_skipped=skipped,
        frozen_seconds=story.frozen_seconds,
        wall_seconds=clock.wall,
        left=leave,
        warnings=tuple(report.warnings),
        stages=clock.seconds,
        pages_zero=story.zero // cpu.PAGE_SIZE,
        pages_scanned=written + skipped + shared + same,
        pages_shared=shared,
        forked=story.forked,
        pages_same=same,
        bytes_per_second=story.size / (clock.seconds[Stage.MEMORY.value] or 1.0),
    )


class _Story:
    """From the freeze to the finished image, in one of two ways: the tree goes on meanwhile, or it waits."""

    def __init__(
        self,
        pid: int,
        walk: Walk,
        deadline: float | None,
        report: Report,
        policy: Policy,
        image: ImageWriter,
        clock: Clock,
        progress: Callable[[Progress], None] | None,
        parent: Parent | None,
        tracker: Tracker | None,
        done: Callable[[], None],
    ) -> None:
        self.pid, self.image, self.clock = pid, image, clock
        self.report, self.policy = report, policy
        self.snapshot: Snapshot
        self.size = self.written = self.skipped = self.zero = self.forked = 0
        self.frozen_seconds = 0.0
        self._walk, self._deadline = walk, deadline
        self._progress, self._parent = progress, parent
        self._frozen: Frozen | None = None  # the last attempt
        self._attempts = 0  # that have failed because somebody was killed
        self._begun = False
        self._tracker, self._done = tracker, done

    def go_on(self, path: str | os.PathLike[str] | None, mode: LiveMode) -> bool:
        """Lets the tree go as soon as its memory is copied or forked; False, and all is as before, if it cannot be."""
        surprised, knows = False, self._tracker is not None and not self._tracker.wary
        unchanged = self._parent.unchanged if self._parent is not None and knows else None
        with Live(path, mode, self.report.memory, unchanged) as copies:
            while True:
                try:
                    with self.clock.stage(Stage.PREFLIGHT):
                        copies.look(self.report, surprised=surprised)
                    self._go_on(copies)
                    break
                except _WHEN_KILLED as error:
                    if isinstance(error, TargetDied):
                        copies.mourn(error.pid)
                    if not self._lost_somebody():
                        raise
                    copies.start_again()
                except NotCarried as surprise:
                    copies.start_again(surprise.pid)
                except Unprepared:
                    surprised = True
                    if self._tracker is not None:
                        self._tracker.be_surprised()
                    copies.start_again()
                except Refused as refused:
                    self.report.warnings.append(f"{refused}: everything stands still until it is copied")
                    return False
            with self.clock.stage(Stage.BURY):
                copies.bury()
            self.report.warnings.extend(copies.warnings)
        self._commit()
        return True

    def _go_on(self, copies: Live) -> None:
        self._start()
        frozen = self._frozen = Frozen(self.pid, self._walk, self._deadline, self.report.vdsos, self.report.waits)
        with Collector(frozen, self.report, copies, self._connections(), self._tracker) as collector:
            with frozen:
                self._collect(frozen, collector)
                collector.inodes.clone()
                for source, content in collector.inodes.sources:
                    if not source.cloned:
                        copy_content(source.fd, content, copies.contents)
            self._let_go(frozen)
            shortage = Shortage(self.pid, self._walk, copies.twins, self.report.memory)
            with self.clock.stage(Stage.MEMORY), shortage:
                shortage.look()
                sink = self._begin(collector, shortage.look, soon_read=self._tracker is not None)
                position = 0
                for source, content in collector.inodes.sources:
                    if source.cloned:
                        copy_content(source.fd, content, sink)
                    else:
                        pour(copies.contents, position, length := content_length(content), sink)
                        position += length
                for space in collector.spaces:
                    space.copy(sink)
            if shortage.seconds:
                self.frozen_seconds += shortage.seconds
                self.report.warnings.append(
                    "memory got short: everything stood still for another "
                    f"{shortage.seconds:.1f} s, until the image was written"
                )

    def wait(self, leave: Leave, held: Callable[[Mapping[int, bool]], None] | None) -> None:
        """Copies everything while the tree stands still."""
        while True:
            try:
                return self._wait(leave, held)
            except _WHEN_KILLED:
                if not self._lost_somebody():
                    raise

    def _wait(self, leave: Leave, held: Callable[[Mapping[int, bool]], None] | None) -> None:
        self._start()
        frozen = self._frozen = Frozen(self.pid, self._walk, self._deadline, self.report.vdsos, self.report.waits)
        connections = self._connections(killing=leave == "killed")
        with Collector(frozen, self.report, Waiting(), connections, self._tracker) as collector:
            with frozen:
                self._collect(frozen, collector)
                with self.clock.stage(Stage.MEMORY):
                    sink = self._begin(collector, frozen.limit.check)
                    for source, content in collector.inodes.sources:
                        copy_content(source.fd, content, sink)
                        self.image.pad()
                    for space in collector.spaces:
                        space.copy(sink)
                if leave != "running":
                    if held is not None:
                        held({pid: process.stop_signal != 0 for pid, process in frozen.processes.items()})
                    self._commit(frozen.limit.end, frozen.limit.check)
                    if leave == "killed":
                        _kill(frozen)
                        self.report.warnings.extend(connections.silence())
                    else:
                        frozen.stopped = frozenset(frozen.processes)
            self._let_go(frozen)
        if leave == "running":
            self._commit()

    def _lost_somebody(self) -> bool:
        """Whether an attempt has failed since somebody of the tree, but not its root, was killed while it stood still.

        The next one finds a zombie instead.
        """
        frozen, self._frozen = self._frozen, None
        self._attempts += 1
        if frozen is None or not frozen.killed or self.pid in frozen.killed or self._begun:
            return False
        self.frozen_seconds += frozen.seconds
        return self._attempts < _ATTEMPTS

    def _start(self) -> None:
        if self._parent is not None:
            self._parent.begin(self.report.base.depth, self._tracker)
        self.report.waits = look(self.report.pids)  # the last before anybody is stopped

    def _connections(self, *, killing: bool = False) -> Connections:
        return Connections(keep=self.policy.tcp == "keep", killing=killing)

    def _collect(self, frozen: Frozen, collector: Collector) -> None:
        self.clock.seconds[Stage.FREEZE.value] = frozen.seconds
        with self.clock.stage(Stage.COLLECT):
            collector.collect()

    def _let_go(self, frozen: Frozen) -> None:
        self.clock.seconds[Stage.LET_GO.value] = frozen.letting_go_seconds
        self.frozen_seconds += frozen.seconds

    def _begin(self, collector: Collector, hurry: Callable[[], None], *, soon_read: bool = False) -> ImageSink:
        """Writes the records; returns where the data goes, in the order in which the collector has reserved room.

        *soon_read*: the image is going to be a parent.
        """
        if self._parent is not None:
            self._parent.heed(hurry)
        self.snapshot = collector.snapshot(self._parent)
        _judge_forest(self.snapshot)
        files = collector.files
        self.report.warnings.extend((*collector.inodes.warnings, *files.losses, *collector.connections.warnings))
        self.report.warnings.extend(files.unix.warnings)
        self.written = sum(pages.total(space.changed) for space in collector.spaces)
        self.zero = sum(space.zero for space in collector.spaces)
        self.skipped = sum(space.skipped for space in collector.spaces) + self.zero
        self.forked = sum(space.is_forked for space in collector.spaces)
        total = collector.layout.stored
        records = codec.pack(self.snapshot)
        self._begun = True
        self.image.begin(
            cpu=cpu.NAME,
            page_size=cpu.PAGE_SIZE,
            records=records,
            data_length=total,
            data_map=collector.layout.map,
        )
        done = 0

        def watch(nbytes: int) -> None:
            nonlocal done
            hurry()
            done += nbytes
            if self._progress is not None:
                self._progress(Progress("saving", done, total))

        return ImageSink(self.image, watch, soon_read=soon_read)

    def _commit(self, whole: Callable[[], None] = nothing, heed: Callable[[], None] | None = None) -> None:
        """*whole* is called when all is written, and, with *heed*, taken by the reader of a pipe; then it is kept."""
        with self.clock.stage(Stage.COMMIT):
            self.size = self.image.finish(whole, heed, self._done)


def _kill(frozen: Frozen) -> None:
    """Ends the whole tree, by SIGKILL while it is frozen, so that nobody sees the others die."""
    for pid, process in frozen.processes.items():
        if process.held is not None:
            os.kill(pid, signal.SIGKILL)


def _judge_forest(snapshot: Snapshot) -> None:
    """Refuses a tree that could not be born again, if it has become such a one since the preflight, or rebuilt."""
    if (obstacle := judge(forest_of(snapshot))) is not None:
        raise ObstacleError([obstacle])
    if obstacles := mounted_obstacles(snapshot):
        raise ObstacleError(obstacles)
