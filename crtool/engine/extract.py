"""One thing out of an image: a file that came along, what was unread in a pipe or socket, or a stretch of memory."""

from __future__ import annotations

import mmap
import os
import re
from collections.abc import Callable, Iterator, Sequence

from crtool.arch import cpu
from crtool.engine.contents import Run, cut, loads, with_zeros
from crtool.engine.news import of_stage
from crtool.engine.references import read_snapshot
from crtool.engine.results import ExtractResult, Progress
from crtool.engine.show import summary_of
from crtool.engine.snapshot import MemoryRecord, ProcessRecord, Snapshot
from crtool.errors import UsageError
from crtool.image.keys import Keys
from crtool.image.place import NewFile, Pipe
from crtool.image.reader import ImageReader
from crtool.image.whole import open_whole
from crtool.kernel.interruption import nothing
from crtool.resources.files.inodes import ContentRecord, InodeRecord, MountedRecord, PathRecord
from crtool.resources.files.pipes import PipeEndRecord
from crtool.resources.files.regular import RegularRecord
from crtool.resources.files.sockets.unix import UnixRecord

__all__ = ["extract"]

_BUFFER = 1 << 20
_RANGE = re.compile(r"(?:0x)?([0-9a-fA-F]{1,16})([-+])(?:0x)?([0-9a-fA-F]{1,16})")
_LIST = "see crtool show --fds and --maps"


def extract(
    image: str | os.PathLike[str],
    output: str | os.PathLike[str] | int,
    *,
    file: str | None = None,
    fd: int | None = None,
    memory: str | None = None,
    pid: int | None = None,
    force: bool = False,
    progress: Callable[[Progress], None] | None = None,
    keys: Keys | None = None,
    done: Callable[[], None] = nothing,
) -> ExtractResult:
    """Writes one thing that *image* (a path or URL) contains to *output*, a path or a descriptor.

    One of: *file*, the name of a file that came along (deleted, or with checkpoint --files content); *fd*, what a
    descriptor of process *pid* leads to: such a file, or what nobody has read yet; *memory* of process *pid*:
    START-END or START+LENGTH, in hexadecimal digits, or the name of a mapping. By default *pid* is the first process.

    The image is verified first. An existing file is refused without *force*. *done* is called when
    the file has its name.

    Raises NotFound, ImageError, UsageError, EnvironmentDiffers (no room, no folder).
    """
    if sum(what is not None for what in (file, fd, memory)) != 1:
        raise UsageError("what is to be extracted?", "give one of --file, --fd and --memory")
    with open_whole(image, of_stage(progress, "fetching"), keys) as reader:
        if reader.is_stream:
            raise UsageError(f"{image}: nothing can be extracted from a pipe", "save the image to a file first")
        snapshot = read_snapshot(reader)
        if file is not None:
            parts: Sequence[Run | bytes] = _content(_named(snapshot, file), file)
        elif fd is not None:
            parts = _behind(snapshot, _chosen(snapshot, pid), fd)
        else:
            process = _chosen(snapshot, pid)
            start, end = _range(reader, process, str(memory))
            parts = _memory(snapshot, snapshot.memories[process.memory], start, end)
        place = Pipe(output) if isinstance(output, int) else NewFile(output, force=force)
        try:
            reader.verify(of_stage(progress, "verifying"))
            size = _write(place, reader, parts, progress)
            place.commit(done)
        except BaseException:
            place.discard()
            raise
    return ExtractResult(None if isinstance(output, int) else os.fspath(output), size)


def _chosen(snapshot: Snapshot, pid: int | None) -> ProcessRecord:
    wanted = snapshot.root if pid is None else pid
    for process in snapshot.processes:
        if process.pids[0] == wanted:
            if process.memory < 0:
                raise UsageError(f"PID {wanted} is a zombie, and has nothing", "choose another process with --pid")
            return process
    known = ", ".join(str(process.pids[0]) for process in snapshot.processes)
    raise UsageError(f"there is no process {wanted} in the image", f"it has {known}")


# -- files, pipes, sockets ---------------------------------------------------------------------------------


def _named(snapshot: Snapshot, name: str) -> InodeRecord:
    """The file that is called *name*, with its content if more than one is."""
    found = [record for record in snapshot.files.inodes if _name(record) == os.fsencode(name)]
    if not found:
        raise UsageError(f"{name}: no process of the image has a file of that name", _LIST)
    return next((record for record in found if _content_of(record) is not None), found[0])


def _name(record: InodeRecord) -> bytes:
    return getattr(record, "path", b"") or b"memfd:" + getattr(record, "name", b"")


def _content_of(record: InodeRecord) -> ContentRecord | None:
    if isinstance(record, MountedRecord):
        return None
    if isinstance(record, PathRecord):
        return None if record.kept is None else record.kept.content
    return record.content


def _content(record: InodeRecord, shown: str) -> list[Run | bytes]:
    content = _content_of(record)
    if content is None:
        raise UsageError(
            f"{shown}: the image has the name of the file, and not what is in it",
            "read the file itself; crtool checkpoint --files content makes images that have both",
        )
    runs, data = [], content.data
    for offset, length in content.extents:
        runs.append(Run(offset, min(length, content.size - offset), data))
        data += length + -length % cpu.PAGE_SIZE
    return list(with_zeros(runs, 0, content.size))


def _behind(snapshot: Snapshot, process: ProcessRecord, fd: int) -> Sequence[Run | bytes]:
    """What descriptor *fd* of *process* leads to."""
    pid = process.pids[0]
    if not process.threads:
        raise UsageError(f"PID {pid} has no descriptors", _LIST)
    table = snapshot.files.tables[process.threads[0].files].descriptors
    record = next((snapshot.files.descriptions[found.description] for found in table if found.fd == fd), None)
    match record:
        case None:
            raise UsageError(f"PID {pid} has no descriptor {fd}", _LIST)
        case RegularRecord():
            return _content(snapshot.files.inodes[record.inode], f"PID {pid} fd {fd}")
        case PipeEndRecord():
            return snapshot.files.pipes[record.pipe].unread
        case UnixRecord():
            return [message.data for message in record.messages]
    unread = getattr(record, "unread", None)
    if isinstance(unread, bytes):
        return [unread]
    kind = type(record).__name__.removesuffix("Record").lower()
    raise UsageError(f"PID {pid} fd {fd} is of kind {kind}: there is nothing to be read behind it", _LIST)


# -- memory ------------------------------------------------------------------------------------------------


def _range(reader: ImageReader, process: ProcessRecord, wanted: str) -> tuple[int, int]:
    if match := _RANGE.fullmatch(wanted):
        start, last = int(match[1], 16), int(match[3], 16)
        end = last if match[2] == "-" else start + last
        if start >= end:
            raise UsageError(f"{wanted} is no range: it ends before it begins", "give START-END or START+LENGTH")
        return start, end
    pid = process.pids[0]
    mappings = next(found.mappings for found in summary_of(reader).processes if found.pid == pid)
    named = [mapping for mapping in mappings if wanted and mapping.name == wanted]
    if not named:
        raise UsageError(f"PID {pid} has no memory that is called {wanted}", _LIST)
    if len(named) > 1:
        ranges = ", ".join(f"{mapping.start:x}-{mapping.end:x}" for mapping in named)
        raise UsageError(f"{len(named)} mappings of PID {pid} are called {wanted}", f"give one of {ranges}")
    return named[0].start, named[0].end


def _memory(snapshot: Snapshot, memory: MemoryRecord, start: int, end: int) -> list[Run | bytes]:
    """All bytes from *start* to *end*; UsageError if the image does not have them."""
    parts: list[Run | bytes] = []
    at = start
    for load in sorted(loads(memory, snapshot.files.inodes), key=lambda load: load.start):
        first, last = max(load.start, at), min(load.start + load.length, end)
        if first >= last:
            continue
        if first > at:
            break
        if load.content:
            parts.append(load.content[first - load.start : last - load.start])
        elif load.runs:
            parts += cut(load.runs, first, last)
        else:
            raise UsageError(
                f"{first:x}-{last:x} is not in the image: it is in a mapped file, or was only reserved",
                "see crtool show --maps for which, and choose a range without it",
            )
        at = last
    if at < end:
        raise UsageError(f"there is no memory at {at:x}", "see crtool show --maps for what there is")
    return parts


# -- writing -----------------------------------------------------------------------------------------------


def _write(
    place: NewFile | Pipe,
    reader: ImageReader,
    parts: Sequence[Run | bytes],
    progress: Callable[[Progress], None] | None,
) -> int:
    total = sum(part.length if isinstance(part, Run) else len(part) for part in parts)
    view = memoryview(mmap.mmap(-1, _BUFFER))
    done = 0
    for part in parts:
        if isinstance(part, bytes):
            place.write(part)
            done += len(part)
            continue
        if part.data is None and isinstance(place, NewFile):
            place.hole(part.length)
            done += part.length
            continue
        for piece in _pieces(reader, part, view):
            place.write(piece)
            done += len(piece)
            if progress is not None:
                progress(Progress("writing", done, total))
    return total


def _pieces(reader: ImageReader, run: Run, view: memoryview) -> Iterator[memoryview]:
    if run.data is None:
        view[:] = bytes(len(view))
        for at in range(0, run.length, len(view)):
            yield view[: min(len(view), run.length - at)]
        return
    for done in range(0, run.length, len(view)):
        part = view[: run.length - done]
        reader.read_at(run.data + done, part)
        yield part
