"""The notes of a core file: what the kernel says of a process and its threads, as gdb reads it.

Spec: core(5); fill_note_info() and fill_files_note() in fs/binfmt_elf.c.
"""

from __future__ import annotations

from collections.abc import Callable

from crtool.abi import elf
from crtool.abi.signals import bit
from crtool.arch import cpu
from crtool.engine.snapshot import ProcessRecord, Snapshot, ThreadRecord
from crtool.resources.files.inodes import DeletedRecord, MemfdRecord, PathRecord
from crtool.resources.sigpending import PendingRecord

__all__ = ["notes"]

_CORE, _LINUX = b"CORE", b"LINUX"
_FXSAVE = 512  # bytes of struct user_fpregs_struct, with which the XSAVE area begins


def notes(snapshot: Snapshot, process: ProcessRecord, saved: Callable[[int, int], bytes]) -> bytes:
    """All of them: those of the first thread, those of the process, those of the other threads.

    *saved* reads the memory between two addresses.
    """
    bounds = snapshot.memories[process.memory].bounds
    first, *others = process.threads
    parts = [
        elf.note(_CORE, elf.NT_PRSTATUS, _status(process, first)),
        elf.note(_CORE, elf.NT_PRPSINFO, _about(process, saved(bounds.arg_start, bounds.arg_end))),
        elf.note(_CORE, elf.NT_AUXV, bounds.auxv),
        elf.note(_CORE, elf.NT_FILE, _files(snapshot, process)),
        *_fpu(first),
    ]
    for thread in others:
        parts += [elf.note(_CORE, elf.NT_PRSTATUS, _status(process, thread)), *_fpu(thread)]
    return b"".join(parts)


def _status(process: ProcessRecord, thread: ThreadRecord) -> bytes:
    head = elf.PRSTATUS_HEAD.pack(
        0, 0, 0, 0, _pending(thread.state.pending), thread.mask, thread.tid, process.ppid, process.pgid, process.sid
    )
    return head + thread.registers + elf.PRSTATUS_TAIL.pack(1)


def _pending(record: PendingRecord) -> int:
    signals = record.bare
    for info in record.queue:
        signals |= bit(int.from_bytes(info[:4], "little"))
    return signals


def _fpu(thread: ThreadRecord) -> tuple[bytes, bytes]:
    return (
        elf.note(_CORE, elf.NT_PRFPREG, thread.fpu[:_FXSAVE]),
        elf.note(_LINUX, elf.NT_X86_XSTATE, thread.fpu),
    )


def _about(process: ProcessRecord, arguments: bytes) -> bytes:
    credentials = process.threads[0].state.settings.credentials
    return elf.PRPSINFO.pack(
        3 if process.stop_signal else 0, b"T" if process.stop_signal else b"S", 0, 0, 0,
        credentials.uids[0], credentials.gids[0], process.pids[0], process.ppid, process.pgid, process.sid,
        process.comm[:15], arguments.rstrip(b"\0").replace(b"\0", b" ")[:79],
    )  # fmt: skip


def _files(snapshot: Snapshot, process: ProcessRecord) -> bytes:
    entries, names = [], []
    for mapping in snapshot.memories[process.memory].mappings:
        inode = snapshot.files.inodes[mapping.inode] if mapping.inode >= 0 else None
        match inode:
            case PathRecord():
                name = inode.path
            case DeletedRecord():
                name = inode.path + b" (deleted)"
            case MemfdRecord():
                name = b"/memfd:" + inode.name + b" (deleted)"
            case _:
                continue
        entries.append(elf.FILE_ENTRY.pack(mapping.start, mapping.end, mapping.offset // cpu.PAGE_SIZE))
        names.append(name + b"\0")
    return b"".join((elf.FILE_HEAD.pack(len(entries), cpu.PAGE_SIZE), *entries, *names))
