"""An ELF core file of a process of an image, for gdb and whoever else reads core files.

It is what the kernel would have written had the process died at the moment of the checkpoint: all threads with
registers and FPU, the signals that are blocked or wait, the auxiliary vector, the names of mapped files, and what was
in memory. As in the kernel's core files, pages that a file still has are not repeated; debuggers take them from there.
Untouched memory is a hole: the core file is as long as the address space, and takes no more room than the image.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Callable, Sequence
from functools import partial

from crtool.abi import elf, mman
from crtool.arch import cpu
from crtool.engine.contents import Load, Run, loads, saved
from crtool.engine.core_notes import notes
from crtool.engine.news import of_stage
from crtool.engine.references import read_snapshot
from crtool.engine.results import CoreResult, Progress
from crtool.engine.snapshot import ProcessRecord, Snapshot
from crtool.errors import UsageError
from crtool.image.keys import Keys
from crtool.image.place import NewFile
from crtool.image.reader import ImageReader
from crtool.image.whole import open_whole
from crtool.kernel.interruption import nothing
from crtool.resources.files.inodes import PathRecord

__all__ = ["core"]

_BUFFER = 1 << 20
_FLAGS = ((mman.PROT_READ, elf.PF_R), (mman.PROT_WRITE, elf.PF_W), (mman.PROT_EXEC, elf.PF_X))


def core(
    image: str | os.PathLike[str],
    output: str | os.PathLike[str] | None = None,
    *,
    pid: int | None = None,
    force: bool = False,
    progress: Callable[[Progress], None] | None = None,
    keys: Keys | None = None,
    done: Callable[[], None] = nothing,
) -> CoreResult:
    """Writes a core file of process *pid* of *image*, by default of the first one, to *output*, by default core.PID.

    The image is verified first. An existing file is refused without *force*. *done* is called when
    the file has its name.

    Raises NotFound, ImageError, UsageError, EnvironmentDiffers (no room, no folder).
    """
    with open_whole(image, of_stage(progress, "fetching"), keys) as reader:
        if reader.is_stream:
            raise UsageError(f"{image}: a core file cannot be made from a pipe", "save the image to a file first")
        snapshot = read_snapshot(reader)
        process = _chosen(snapshot, pid)
        path = f"core.{process.pids[0]}" if output is None else output
        place = NewFile(path, force=force)
        try:
            reader.verify(of_stage(progress, "verifying"))
            memory = snapshot.memories[process.memory]
            parts = sorted(loads(memory, snapshot.files.inodes), key=lambda load: load.start)
            size = _write(place, reader, parts, notes(snapshot, process, partial(saved, memory, reader)), progress)
            place.commit(done)
        except BaseException:
            place.discard()
            raise
        exe = snapshot.files.inodes[memory.exe]
        name = os.fsdecode(exe.path) if isinstance(exe, PathRecord) else ""
        return CoreResult(os.fspath(path), size, process.pids[0], len(process.threads), name)


def _chosen(snapshot: Snapshot, pid: int | None) -> ProcessRecord:
    wanted = snapshot.root if pid is None else pid
    pids = [process.pids[0] for process in snapshot.processes]
    if wanted not in pids:
        raise UsageError(f"there is no process {wanted} in the image", f"it has {', '.join(map(str, sorted(pids)))}")
    process = snapshot.processes[pids.index(wanted)]
    if process.memory < 0:
        raise UsageError(f"PID {wanted} is a zombie, and has no memory", "choose another process with --pid")
    return process


def _write(
    place: NewFile,
    reader: ImageReader,
    parts: Sequence[Load],
    note: bytes,
    progress: Callable[[Progress], None] | None,
) -> int:
    count = len(parts) + 1
    many = count >= elf.PN_XNUM
    note_offset = elf.EHDR.size + elf.PHDR.size * count + (elf.SHDR.size if many else 0)
    offset = _aligned(note_offset + len(note))
    header = elf.EHDR.pack(
        elf.IDENT, elf.ET_CORE, cpu.ELF_MACHINE, elf.EV_CURRENT, 0, elf.EHDR.size,
        note_offset - elf.SHDR.size if many else 0, 0, elf.EHDR.size, elf.PHDR.size, min(count, elf.PN_XNUM),
        elf.SHDR.size if many else 0, int(many), 0,
    )  # fmt: skip
    head = [header, elf.PHDR.pack(elf.PT_NOTE, 0, note_offset, 0, 0, len(note), 0, 4)]
    for load in parts:
        flags = sum(flag for protection, flag in _FLAGS if load.protection & protection)
        in_file = load.length if load.runs or load.content else 0
        head.append(elf.PHDR.pack(elf.PT_LOAD, flags, offset, load.start, 0, in_file, load.length, cpu.PAGE_SIZE))
        offset += _aligned(in_file)
    if many:
        head.append(elf.SHDR.pack(0, 0, 0, 0, 0, 0, 0, count, 0, 0))
    place.write(b"".join(head) + note)
    place.hole(_aligned(note_offset + len(note)) - note_offset - len(note))
    total = sum(run.length for load in parts for run in load.runs if run.data is not None)
    done = 0
    view = memoryview(mmap.mmap(-1, _BUFFER))
    for load in parts:
        place.write(load.content)
        place.hole(-len(load.content) % cpu.PAGE_SIZE)
        for run in load.runs:
            if run.data is None:
                place.hole(run.length)
                continue
            _copy(place, reader, run, view)
            done += run.length
            if progress is not None:
                progress(Progress("writing", done, total))
    return offset


def _copy(place: NewFile, reader: ImageReader, run: Run, view: memoryview) -> None:
    assert run.data is not None
    for done in range(0, run.length, len(view)):
        part = view[: run.length - done]
        reader.read_at(run.data + done, part)
        place.write(part)


def _aligned(number: int) -> int:
    return number + -number % cpu.PAGE_SIZE
