"""The story of a checkpoint, top to bottom."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from typing import Literal

from crtool.arch import cpu
from crtool.engine.collect import Collector
from crtool.engine.freeze import Frozen
from crtool.engine.preflight import survey
from crtool.engine.results import CheckpointResult, Progress
from crtool.engine.snapshot import Snapshot
from crtool.engine.stages import Clock, Stage
from crtool.errors import ObstacleError
from crtool.image import codec
from crtool.image.writer import ImageWriter
from crtool.kernel.wait import deadline_in
from crtool.resources.files.inodes import ContentRecord, reopen
from crtool.resources.memory import pages
from crtool.tree.walk import Walk, name_of

__all__ = ["checkpoint"]

Leave = Literal["running", "stopped", "killed"]


def checkpoint(
    pid: int,
    output: str | os.PathLike[str] | int | None = None,
    *,
    leave: Leave = "running",
    force: bool = False,
    timeout: float | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> CheckpointResult:
    """Writes process *pid* and all its descendants, as they are now, to one file.

    *output*: a path, a descriptor to stream to, or None for a name made of the process and the time. An existing file
    is refused without *force*. *leave* says what becomes of the tree once the image is safe. *timeout*: seconds
    after which the tree is let go rather than held any longer.

    Raises TargetError, ObstacleError (with all obstacles), EnvironmentDiffers (no room, no folder), TimeoutExpired;
    after any of them the tree is as it was.
    """
    clock = Clock()
    deadline = deadline_in(timeout)
    with clock.stage(Stage.PREFLIGHT):
        report = survey(pid)
        if report.obstacles:
            raise ObstacleError(report.obstacles)
        path = output if output is not None else _default_name(pid)
        image = ImageWriter.to_descriptor(path) if isinstance(path, int) else ImageWriter.create(path, force=force)
    with image:
        with clock.stage(Stage.PREFLIGHT):
            codec.prepare(Snapshot)
            walk = Walk()
            walk(pid)
        with Frozen(pid, walk, deadline) as frozen, Collector(frozen, report) as collector:
            clock.seconds[Stage.FREEZE.value] = frozen.seconds
            with clock.stage(Stage.COLLECT):
                snapshot = collector.collect()
            with clock.stage(Stage.MEMORY):
                _write(image, snapshot, collector, progress)
            if leave != "running":
                with clock.stage(Stage.COMMIT):
                    size = image.finish()
                if leave == "killed":
                    _kill(frozen)
                else:
                    frozen.stopped = frozenset(frozen.processes)
        clock.seconds[Stage.LET_GO.value] = frozen.letting_go_seconds
        if leave == "running":
            with clock.stage(Stage.COMMIT):
                size = image.finish()
    saved = sum(pages.total(memory.extents) for memory in snapshot.memories) // cpu.PAGE_SIZE
    return CheckpointResult(
        image=None if isinstance(path, int) else os.fspath(path),
        size=size,
        pid=pid,
        processes=len(snapshot.processes),
        threads=sum(len(process.threads) for process in snapshot.processes),
        pages_written=saved,
        pages_skipped=collector.pages_skipped,
        frozen_seconds=frozen.seconds,
        wall_seconds=clock.wall,
        left=leave,
        warnings=(*report.warnings, *collector.inodes.warnings),
        stages=clock.seconds,
    )


def _default_name(pid: int) -> str:
    name = "".join(letter if letter.isalnum() or letter in "._+-" else "_" for letter in name_of(pid))
    return f"{name}-{pid}-{time.strftime('%Y%m%dT%H%M%S')}.crt"


def _write(
    image: ImageWriter,
    snapshot: Snapshot,
    collector: Collector,
    progress: Callable[[Progress], None] | None,
) -> None:
    """Writes the records, then the data in the order in which the collector has reserved room for it."""
    total = collector.layout.length
    image.begin(cpu=cpu.NAME, page_size=cpu.PAGE_SIZE, records=codec.pack(snapshot), data_length=total)
    done = 0

    def submit(nbytes: int) -> None:
        nonlocal done
        collector.frozen.hurry()
        image.submit(nbytes)
        done += nbytes
        if progress is not None:
            progress(Progress("saving", done, total))

    sink = _Sink(image.buffer, submit)
    for fd, content in collector.inodes.sources:
        _copy_content(fd, content, sink)
        image.pad()
    for process, memory in collector.page_sources:
        assert process.held is not None
        pages.copy(process.door, process.held.memory, memory.extents, sink)


class _Sink:
    """Where data goes: the image, with somebody watching."""

    def __init__(self, buffer: Callable[[], memoryview], submit: Callable[[int], None]) -> None:
        self.buffer = buffer
        self.submit = submit


def _copy_content(fd: int, content: ContentRecord, sink: _Sink) -> None:
    """Copies the parts of a file that are not holes; each begins at a page of the image."""
    source = reopen(fd, os.O_RDONLY)
    try:
        for offset, length in content.extents:
            left = -(-length // cpu.PAGE_SIZE) * cpu.PAGE_SIZE
            while left:
                view = sink.buffer()[:left]
                got = os.preadv(source, [view], offset)
                if got < len(view):  # behind the end of the file
                    view[got:] = bytes(len(view) - got)
                sink.submit(len(view))
                offset, left = offset + len(view), left - len(view)
    finally:
        os.close(source)


def _kill(frozen: Frozen) -> None:
    """Ends the whole tree, by SIGKILL while it is frozen, so that nobody sees the others die."""
    for pid, process in frozen.processes.items():
        if process.held is not None:
            os.kill(pid, signal.SIGKILL)
