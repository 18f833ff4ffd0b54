"""What is inside an image, for people and scripts. Only the records are decoded; of the data, what is shown is read."""

from __future__ import annotations

import os
import time
from bisect import bisect_right
from collections.abc import Iterator
from itertools import islice

from crtool.abi import mman
from crtool.engine import show_state
from crtool.engine.contents import saved, saved_runs
from crtool.engine.references import read_snapshot
from crtool.engine.results import (
    DescriptorSummary,
    ImageSummary,
    MappingSummary,
    ProcessSummary,
)
from crtool.engine.snapshot import MemoryRecord, ProcessRecord, Snapshot
from crtool.image.keys import Keys
from crtool.image.reader import ImageReader
from crtool.resources.files.inodes import (
    DeletedRecord,
    InodeRecord,
    MemfdRecord,
    MountedRecord,
    PathRecord,
    RingMemoryRecord,
)
from crtool.resources.files.pipes import PipeEndRecord
from crtool.resources.files.procfs import ProcfsRecord
from crtool.resources.files.pty import TerminalEndRecord
from crtool.resources.files.regular import RegularRecord
from crtool.resources.files.sockets.tcp import TcpRecord
from crtool.resources.files.sockets.tcp import show as show_address
from crtool.resources.files.sockets.unix import UnixRecord, shown_name
from crtool.resources.files.tty_device import TtyDeviceRecord
from crtool.resources.memory.bounds import BoundsRecord
from crtool.resources.memory.mappings import MappingRecord

__all__ = ["show", "summary_of"]

# Memory comes after the records. All of it would have to be awaited, or fetched.
_UNREAD = ("command lines and environments are in the memory, which is not read from a pipe or URL; names are shown",)


def show(image: str | os.PathLike[str] | int, keys: Keys | None = None) -> ImageSummary:
    """Summarises *image* (a path, or a descriptor to read from).

    Command lines and environments are in the saved memory; of an image that comes through a pipe, or from a URL, they
    stay empty, and a warning says so.

    *keys* (:func:`crtool.unlock`) decrypt it. Raises NotFound, TargetError if they do not, or ImageError. The data is
    not verified: that is what verify is for.
    """
    reader = ImageReader.open(image, keys=keys)
    with reader:
        return summary_of(reader)


def summary_of(reader: ImageReader) -> ImageSummary:
    """Summarises an image that is open."""
    snapshot = read_snapshot(reader)
    return ImageSummary(
        format=reader.info.version,
        cpu=reader.info.cpu,
        kernel=snapshot.host.kernel,
        created=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(snapshot.host.created)),
        size=reader.size,
        root=snapshot.root,
        processes=tuple(_process(record, snapshot, reader) for record in snapshot.processes),
        data_bytes=reader.length,
        parents=tuple(os.fsdecode(origin.path) for origin in reader.origins),
        warnings=_UNREAD if reader.is_stream else (),
        encrypted=reader.is_encrypted,
        signed_by=reader.signer,
    )


def _process(record: ProcessRecord, snapshot: Snapshot, reader: ImageReader) -> ProcessSummary:
    memory = snapshot.memories[record.memory] if record.memory >= 0 else None
    inodes = snapshot.files.inodes
    return ProcessSummary(
        pid=record.pids[0],
        ppid=record.ppid,
        pgid=record.pgid,
        sid=record.sid,
        state="Z (zombie)" if record.zombie else "T (stopped)" if record.stop_signal else "S (saved)",
        comm=record.comm.decode(errors="replace"),
        exe="" if memory is None else _name(inodes[memory.exe]),
        cmdline=() if memory is None else _strings(memory, reader, memory.bounds.arg_start, memory.bounds.arg_end),
        threads=len(record.threads),
        mappings=() if memory is None else tuple(_mappings(memory, inodes)),
        memory_bytes=0 if memory is None else sum(run.length for run in saved_runs(memory)),
        descriptors=tuple(_descriptors(record, snapshot)),
        environment=() if memory is None else _strings(memory, reader, memory.bounds.env_start, memory.bounds.env_end),
        sockets=tuple(show_state.sockets(record, snapshot)),
        signals=tuple(show_state.signals(record)),
        timers=tuple(show_state.timers(record, snapshot)),
        pids=record.pids,
    )


def _strings(memory: MemoryRecord, reader: ImageReader, start: int, end: int) -> tuple[str, ...]:
    """The NUL-terminated strings from address *start* to *end* of the saved memory; none if they are not all there."""
    raw = b"" if reader.is_stream else saved(memory, reader, start, end)
    return tuple(part.decode(errors="replace") for part in raw.removesuffix(b"\0").split(b"\0")) if raw else ()


def _mappings(memory: MemoryRecord, inodes: tuple[InodeRecord, ...]) -> Iterator[MappingSummary]:
    runs = saved_runs(memory)
    starts = [run.start for run in runs]
    for mapping in memory.mappings:
        nbytes = 0
        first = max(bisect_right(starts, mapping.start) - 1, 0)
        for run in islice(runs, first, None):
            if run.start >= mapping.end:
                break
            nbytes += max(0, min(mapping.end, run.start + run.length) - max(mapping.start, run.start))
        name = _name(inodes[mapping.inode]) if mapping.inode >= 0 else _purpose(mapping, memory.bounds)
        yield MappingSummary(mapping.start, mapping.end, _permissions(mapping), name, nbytes)
    for ring in memory.rings:
        yield MappingSummary(ring.start, ring.end, "rw-s", "[aio]", 0)


def _purpose(mapping: MappingRecord, bounds: BoundsRecord) -> str:
    """What /proc/PID/maps would call a mapping that has no file."""
    if mapping.start <= bounds.start_stack < mapping.end:
        return "[stack]"
    if mapping.start < bounds.brk and bounds.start_brk < mapping.end:
        return "[heap]"
    return mapping.name.decode(errors="replace")


def _permissions(mapping: MappingRecord) -> str:
    letters = (("r", mman.PROT_READ), ("w", mman.PROT_WRITE), ("x", mman.PROT_EXEC))
    return "".join(letter if mapping.protection & bit else "-" for letter, bit in letters) + "ps"[mapping.shared]


def _name(record: InodeRecord) -> str:
    if isinstance(record, PathRecord | MountedRecord):
        return record.path.decode(errors="replace")
    if isinstance(record, DeletedRecord):
        return record.path.decode(errors="replace") + " (deleted)"
    if isinstance(record, MemfdRecord):
        return f"memfd:{record.name.decode(errors='replace')}"
    return "ring" if isinstance(record, RingMemoryRecord) else "shared memory"


def _of_process(record: ProcfsRecord) -> str:
    task = f"/task/{record.tid}" if record.tid else ""
    return f"/proc/{record.pid or 'PID of one that has ended'}{task}{record.name.decode(errors='replace')}"


def _descriptors(record: ProcessRecord, snapshot: Snapshot) -> Iterator[DescriptorSummary]:
    if not record.threads:
        return
    for descriptor in snapshot.files.tables[record.threads[0].files].descriptors:
        description = snapshot.files.descriptions[descriptor.description]
        kind = type(description).__name__.removesuffix("Record").lower()
        detail = ""
        if isinstance(description, RegularRecord):
            kind, detail = "file", f"{_name(snapshot.files.inodes[description.inode])} at {description.position}"
        elif isinstance(description, PipeEndRecord):
            end = {os.O_RDONLY: "reading", os.O_WRONLY: "writing"}.get(description.flags & os.O_ACCMODE, "both")
            kind, detail = "pipe", f"{end} end of pipe {description.pipe}"
        elif isinstance(description, ProcfsRecord):
            kind, detail = "file", _of_process(description)
        elif isinstance(description, TtyDeviceRecord):
            kind, detail = "terminal", description.path.decode(errors="replace")
        elif isinstance(description, TerminalEndRecord):
            kind, detail = "terminal", f"{description.role} {os.minor(description.device)}"
        elif isinstance(description, UnixRecord):
            detail = shown_name(description.name)
        elif isinstance(description, TcpRecord):
            ends = (show_address(end) for end in (description.local, description.remote) if end)
            detail = f"{' → '.join(ends)} {description.state.name.lower()}"
        yield DescriptorSummary(descriptor.fd, kind, detail)
