"""The image from which the fuzzing starts: a real one, made here and now, cut down to what makes a difference."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import crtool
from crtool.engine.snapshot import Snapshot
from crtool.image import codec
from crtool.image.reader import ImageReader
from crtool.resources.files.fanotify import FanotifyRecord, MarkRecord
from crtool.resources.files.inodes import MountedRecord, PathRecord
from crtool.resources.files.regular import RegularRecord
from crtool.resources.memory.pages import ExtentRecord
from crtool.resources.namespaces.cgroup import CgroupNamespaceRecord
from crtool.resources.namespaces.mounts import MountsRecord, ProcRecord
from crtool.resources.namespaces.own_mounts import MountRecord
from crtool.resources.namespaces.tmpfs import EntryRecord

__all__ = ["DATA", "make_seed"]

DATA = random.Random(1).randbytes(3 * 4096)  # the data area of all inputs

MOST = 5  # of the mappings of a process


def make_seed(folder: Path) -> bytes:
    """The packed records of an image of :mod:`.menagerie`. *folder* is an empty one."""
    path = folder / "seed.crt"
    program = [sys.executable, str(Path(__file__).with_name("menagerie.py")), str(folder)]
    with subprocess.Popen(
        program, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True
    ) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == b"ready\n"
            crtool.checkpoint(process.pid, path, live="off", stdio="inherit")
        finally:
            for pid in [*descendants(process.pid), process.pid]:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
    with ImageReader.open(path) as reader:
        snapshot = codec.unpack(reader.records, Snapshot)
    return codec.pack(with_mounts(smaller(snapshot)))


def descendants(pid: int) -> list[int]:
    """Everybody below *pid*."""
    import psutil

    return [child.pid for child in psutil.Process(pid).children(recursive=True)]


def smaller(snapshot: Snapshot) -> Snapshot:
    """The same with few mappings, and with no more data than :data:`DATA`."""
    memories = []
    for memory in snapshot.memories:
        kept = memory.mappings[:2] + memory.mappings[-MOST:]
        extents = tuple(ExtentRecord(extent.start, 4096) for extent in memory.extents[:2])
        shared = tuple(replace(each, length=4096, data=0) for each in memory.shared[:2])
        memories.append(replace(memory, mappings=kept, extents=extents, shared=shared, data=0))
    inodes = tuple(
        record
        if isinstance(record, PathRecord | MountedRecord)
        else replace(record, content=replace(record.content, data=0))
        for record in snapshot.files.inodes
    )
    processes = tuple(
        replace(record, threads=tuple(replace(thread, fpu=thread.fpu[:16]) for thread in record.threads))
        for record in snapshot.processes
    )
    files = replace(snapshot.files, inodes=inodes)
    return replace(snapshot, memories=tuple(memories), processes=processes, files=files)


def with_mounts(snapshot: Snapshot) -> Snapshot:
    """The same with what only root could have made: namespaces, a file in one of them, a group of fanotify."""
    root, files = snapshot.root, snapshot.files
    folder = EntryRecord(b"", 0o40755, 0, 0, 0, 0, b"", b"", 0, (), ())
    file = replace(folder, path=b"file", mode=0o100644, size=3, pieces=((0, b"abc"),), attributes=(("user.a", b"b"),))
    again = replace(folder, path=b"again", mode=0o100644, same_as=b"file")
    tmpfs = MountRecord(b"/mnt", b"tmpfs", b"size=1m", 0, (folder, file, again))
    bind = MountRecord(b"/srv", b"/mnt", b"", 0, None)
    return replace(
        snapshot,
        namespaces=(
            *snapshot.namespaces,
            CgroupNamespaceRecord((root,)),
            MountsRecord((root,), 1 << 18, (ProcRecord(b"/proc", 0, root, 0),), (tmpfs, bind)),
        ),
        files=replace(
            files,
            inodes=(*files.inodes, MountedRecord(b"/mnt/file", root, 0o100644, 3)),
            descriptions=(
                *files.descriptions,
                RegularRecord(len(files.inodes), 0, 0, 0),
                FanotifyRecord(0, 0, 0, True, (MarkRecord(0, 2, 0, -1, b"/", "ext4"),)),
            ),
        ),
    )
