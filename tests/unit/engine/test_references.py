"""Records that tell of what is not in the image."""

import struct
from dataclasses import replace
from types import SimpleNamespace

import pytest

from crtool.engine.references import judge_references
from crtool.engine.snapshot import IpcRecord
from crtool.errors import ImageError
from crtool.kernel.sysvipc import Permissions
from crtool.resources.files.epoll import EntryRecord as EpollEntryRecord
from crtool.resources.files.epoll import EpollRecord
from crtool.resources.files.fanotify import FanotifyRecord, MarkRecord
from crtool.resources.files.inodes import ContentRecord, DeletedRecord, MountedRecord, PathRecord, RingMemoryRecord
from crtool.resources.files.inotify import InotifyRecord, WatchRecord
from crtool.resources.files.mqueue import MqueueRecord
from crtool.resources.files.pipes import PipeEndRecord
from crtool.resources.files.regular import RegularRecord
from crtool.resources.files.sockets.datagram import InetRecord
from crtool.resources.files.sockets.packet import PacketRecord
from crtool.resources.files.sockets.packet_rings import FrameRecord, FrameRingRecord, RingsRecord
from crtool.resources.files.sockets.reuseport import SharingRecord
from crtool.resources.files.table import DescriptorRecord
from crtool.resources.files.uring import UringRecord
from crtool.resources.files.uring_fixed import BufferRecord, FileRecord, NumberRecord, RegisteredRecord
from crtool.resources.files.userfaultfd import AreaRecord, UserfaultfdRecord
from crtool.resources.ipc.posix import PosixQueueRecord
from crtool.resources.ipc.segments import SegmentRecord
from crtool.resources.ipc.semaphores import SetRecord
from crtool.resources.ipc.undo import AdjustmentRecord
from crtool.resources.memory.aio import RingRecord
from crtool.resources.memory.pages import ExtentRecord, SharedRecord
from crtool.resources.namespaces.cgroup import CgroupNamespaceRecord
from crtool.resources.namespaces.ipc import IpcNamespaceRecord
from crtool.resources.namespaces.mounts import MountsRecord, ProcRecord
from crtool.resources.namespaces.own_mounts import MountRecord
from crtool.resources.namespaces.tmpfs import EntryRecord

OWNER = Permissions(7, 0, 0, 0, 0, 0, 0o600)
MOUNTED = MountedRecord(b"/mnt/file", 10, 0o100644, 5)
ROOT = EntryRecord(b"", 0o40755, 0, 0, 0, 0, b"", b"", 0, (), ())
FOLDER = replace(ROOT, path=b"folder")
INSIDE = replace(FOLDER, path=b"folder/file", mode=0o100644, size=3, pieces=((0, b"abc"),))
LINK = replace(ROOT, path=b"link", mode=0o120777, target=b"/etc")
THREAD = SimpleNamespace(tids=(10,), files=0, fs=0)
LIVING = {"pids": (10,), "zombie": False, "threads": (THREAD,), "memory": 0, "state": object()}
ZOMBIE = SimpleNamespace(pids=(11,), zombie=True, threads=(), memory=-1)
RING = RingRecord(8192, 12288, 3, 125, 1, bytes(3 * 32))
MEMORY = {
    "mappings": (SimpleNamespace(start=0, end=4096, inode=-1),),
    "guards": (),
    "extents": (ExtentRecord(0, 4096), ExtentRecord(8192, 4096)),
    "shared": (SharedRecord(4096, 4096, 0),),
    "data": 4096,
    "exe": 0,
    "rings": (RING,),
}
FILE = PathRecord(b"/bin/sh", 1, 2, 0o100755, 0, 0, 0, 10, 0, 0)
DELETED = DeletedRecord(b"/gone", 0o100600, 0, 0, 0, 0, ContentRecord(5, ((0, 5),), 8192))
REGULAR = RegularRecord(1, 0, 0, 0)
DATA = 3 * 4096
RING_MEMORY = RingMemoryRecord(ContentRecord(0, (), 0))
URING = UringRecord(
    inode=2, flags=2, setup=0, submissions=8, completions=16, head=3, tail=3, skipping=False, issuer=0, features=1,
    submission=struct.pack("<8I", 0, 4, 16, 24, 36, 32, 320, 0),
    completion=struct.pack("<8I", 8, 12, 20, 28, 44, 64, 40, 0), rings=bytes(4096), entries=bytes(4096),
)  # fmt: skip
FRAMES = FrameRingRecord(4096, 2, 2048, 4, 3, (FrameRecord(1, b"x"), FrameRecord(3, b"y")))
NO_FRAMES = FrameRingRecord(0, 0, 0, 0, 0, ())
PACKET = PacketRecord(3, b"\x90\x00", 2, b"", (), -1, (), RingsRecord(2, 1, FRAMES, NO_FRAMES))
AREA = AreaRecord(0, 4096, 1, True, ((0, 4096),), ())
USERFAULTFD = UserfaultfdRecord(10, 0, 2, True, (AREA,))
WITH_RING = (FILE, DELETED, RING_MEMORY)


def mounted(*entries, point=b"/mnt", source=b""):
    return (MountsRecord((10,), 0, (), (MountRecord(point, source, b"", 0, entries),)),)


def watching(inode):
    return FanotifyRecord(0, 0, 0, True, (MarkRecord(0, 1, 0, inode, b"/", "ext4"),))


def judge(
    *,
    created=1.0,
    living=LIVING,
    processes=None,
    memory=MEMORY,
    inodes=(FILE, DELETED),
    descriptors=((0, 0), (5, 1)),
    description=REGULAR,
    pipe=-1,
    cwd=0,
    namespaces=(),
    segments=(),
    adjustments=(),
    below=(),
):
    sets = (SetRecord(OWNER, (1, 2), True),)
    table = SimpleNamespace(descriptors=tuple(DescriptorRecord(fd, found, False) for fd, found in descriptors))
    judge_references(
        SimpleNamespace(
            host=SimpleNamespace(created=created),
            absent=(),
            processes=(SimpleNamespace(**living), ZOMBIE) if processes is None else processes,
            memories=(SimpleNamespace(**memory),),
            namespaces=namespaces,
            root=10,
            files=SimpleNamespace(
                inodes=inodes,
                pipes=(SimpleNamespace(inode=pipe),),
                views=(SimpleNamespace(root=0, cwd=cwd),),
                tables=(table,),
                descriptions=(PipeEndRecord(0, 0), description),
            ),
            ipc=(first := IpcRecord(False, segments, sets, (), adjustments)),
            ipc_below=below,
            ipcs=(first, *below),
        ),
        DATA,
    )


def registering(**changes):
    """A ring with which something is registered."""
    files, buffers = (FileRecord(3, 0, 5),), (BufferRecord(1, 4097, 5000, 0),)
    record = RegisteredRecord(10, 4, files, 0, 4, 2, 2, buffers, 1, False, (NumberRecord(10, 3),))
    return {"inodes": WITH_RING, "description": replace(URING, registered=replace(record, **changes))}


def framing(received=FRAMES, sent=NO_FRAMES, version=1, **changes):
    """A packet socket with rings."""
    record = replace(PACKET, rings=RingsRecord(2, version, received, sent), **changes)
    return {"inodes": WITH_RING, "description": record}


def segment(inode):
    return SegmentRecord(OWNER, 4096, 0, False, False, inode, True)


OWN = (IpcNamespaceRecord((10,)),)
BELOW = IpcRecord(True, (segment(1),), (), (), (), 10)


def test_what_is_there_is_found():
    judge(namespaces=OWN, below=(BELOW,), description=MqueueRecord(b"a", False, 1, 0, 0, 0, 0, 1, 1, 0, member=10))
    judge(
        namespaces=(IpcNamespaceRecord((10,)), MountsRecord((10,), 0, (ProcRecord(b"/proc", 0, 10, 0),))),
        segments=(segment(1),),
        adjustments=(AdjustmentRecord(10, 7, 1, -3),),
    )
    same = replace(INSIDE, path=b"folder/same", same_as=b"folder/file", size=0, pieces=())
    judge(namespaces=mounted(ROOT, FOLDER, INSIDE, same, LINK), inodes=(FILE, MOUNTED))
    judge(namespaces=(CgroupNamespaceRecord((10,)),), description=watching(-1))
    judge(description=watching(1))


def test_a_ring_is_found():
    judge(inodes=WITH_RING, description=URING)
    judge(**registering())
    judge(**framing())
    judge(**framing(replace(FRAMES, head=0), protocol=bytes(2)))
    judge(**framing(NO_FRAMES, FRAMES, version=0, protocol=bytes(2)))
    judge(inodes=WITH_RING, description=replace(URING, setup=1 << 12, issuer=10, head=5, skipping=True))


@pytest.mark.parametrize(
    "records",
    [
        {"created": float("nan")},
        {"created": 1e300},
        {"processes": ()},
        {"processes": (ZOMBIE, ZOMBIE)},
        {"processes": (SimpleNamespace(**{**LIVING, "pids": (0,)}),)},
        {"processes": (SimpleNamespace(**{**LIVING, "pids": ()}),)},
        {"processes": (SimpleNamespace(**{**LIVING, "zombie": True}),)},
        {"living": {**LIVING, "memory": 1}},
        {"living": {**LIVING, "memory": -1}},
        {"living": {**LIVING, "threads": ()}},
        {"living": {**LIVING, "state": None}},
        {"living": {**LIVING, "threads": (SimpleNamespace(tids=(10,), files=1, fs=0),)}},
        {"living": {**LIVING, "threads": (SimpleNamespace(tids=(10,), files=0, fs=-1),)}},
        {"memory": {**MEMORY, "exe": 2}},
        {"memory": {**MEMORY, "data": 8192}},
        {"memory": {**MEMORY, "data": -4096}},
        {"memory": {**MEMORY, "extents": (ExtentRecord(8192, 4096), ExtentRecord(0, 4096))}},
        {"memory": {**MEMORY, "extents": (ExtentRecord(0, -4096),)}},
        {"memory": {**MEMORY, "shared": (SharedRecord(4096, 4096, DATA),)}},
        {"memory": {**MEMORY, "shared": (SharedRecord(4096, 0, 0),)}},
        {"memory": {**MEMORY, "shared": (SharedRecord(8192, 4096, 0), SharedRecord(4096, 4096, 0))}},
        {"memory": {**MEMORY, "extents": (ExtentRecord(1, 4096),)}},
        {"memory": {**MEMORY, "extents": (ExtentRecord(0, 4095),)}},
        {"memory": {**MEMORY, "extents": (ExtentRecord((1 << 64) - 4096, 8192),), "data": 0}},
        {"memory": {**MEMORY, "data": 4095}},
        {"memory": {**MEMORY, "shared": (SharedRecord(4097, 4096, 0),)}},
        {"memory": {**MEMORY, "shared": (SharedRecord(4096, 1, 0),)}},
        {"memory": {**MEMORY, "shared": (SharedRecord(4096, 4096, 1),)}},
        {"memory": {**MEMORY, "shared": (SharedRecord(4096, 8192, 0),)}},  # one of the pages twice
        {"memory": {**MEMORY, "shared": (SharedRecord(0, 4096, 0),)}},
        {"memory": {**MEMORY, "mappings": (SimpleNamespace(start=0, end=4095, inode=-1),)}},
        {"memory": {**MEMORY, "mappings": (SimpleNamespace(start=0, end=8192, inode=-1),) * 2}},
        {"memory": {**MEMORY, "guards": (SimpleNamespace(start=1, end=4096),)}},
        {"memory": {**MEMORY, "mappings": (SimpleNamespace(start=0, end=4096, inode=2),)}},
        {"memory": {**MEMORY, "mappings": (SimpleNamespace(start=4096, end=4096, inode=-1),)}},
        {"memory": {**MEMORY, "mappings": (SimpleNamespace(start=0, end=(1 << 64) + 1, inode=-1),)}},
        {"memory": {**MEMORY, "guards": (SimpleNamespace(start=-4096, end=4096),)}},
        {"memory": {**MEMORY, "rings": (replace(RING, end=8192),)}},
        {"memory": {**MEMORY, "rings": (replace(RING, end=12289),)}},
        {"memory": {**MEMORY, "rings": (replace(RING, start=8191, end=12287),)}},
        {"memory": {**MEMORY, "rings": (replace(RING, end=1 << 40),)}},
        {"memory": {**MEMORY, "rings": (replace(RING, head=127),)}},
        {"memory": {**MEMORY, "rings": (replace(RING, tail=-1),)}},
        {"memory": {**MEMORY, "rings": (replace(RING, results=bytes(2 * 32)),)}},
        {"inodes": (replace(FILE, path=b"/a\0b"), DELETED)},
        {"inodes": (replace(FILE, size=-1), DELETED)},
        {"inodes": (replace(FILE, mode=-1), DELETED)},
        {"inodes": (FILE, replace(DELETED, content=ContentRecord(5, ((0, 5000),), 8192)))},
        {"inodes": (FILE, replace(DELETED, content=ContentRecord(5, ((0, 5), (4096, 4096)), 8192)))},
        {"inodes": (FILE, replace(DELETED, content=ContentRecord(5, ((0, 5),), 8191)))},
        {"inodes": (FILE, replace(DELETED, content=ContentRecord(-5, (), 8192)))},
        {"inodes": (FILE, replace(DELETED, content=ContentRecord(5, ((-1, 5),), 8192)))},
        {"inodes": WITH_RING},
        {"description": URING},
        {"description": replace(URING, inode=1)},
        {"inodes": (*WITH_RING, RING_MEMORY), "description": URING},
        {"inodes": WITH_RING, "description": URING, "cwd": 2},
        {"inodes": WITH_RING, "description": URING, "pipe": 2},
        {"inodes": WITH_RING, "description": URING, "segments": (segment(2),)},
        {"inodes": (FILE, DELETED, replace(RING_MEMORY, content=ContentRecord(5, (), 0))), "description": URING},
        {**framing(), "inodes": (FILE, DELETED)},
        {**framing(), "inodes": (*WITH_RING, RING_MEMORY)},
        {**framing(), "cwd": 2},
        framing(NO_FRAMES),
        framing(version=2),
        framing(protocol=bytes(2)),
        framing(replace(NO_FRAMES, head=1), FRAMES),
        framing(replace(FRAMES, head=4)),
        framing(replace(FRAMES, head=-1)),
        framing(replace(FRAMES, frames=5)),
        framing(replace(FRAMES, frames=-4)),
        framing(replace(FRAMES, frame_size=0)),
        framing(replace(FRAMES, frame_size=32, frames=256)),
        framing(replace(FRAMES, block_size=2048)),
        framing(replace(FRAMES, blocks=1 << 14, frames=1 << 15), replace(FRAMES, used=())),
        framing(replace(FRAMES, frame_size=64, frames=128 << 10, blocks=2 << 10)),
        framing(replace(FRAMES, used=(FrameRecord(4, b""),))),
        framing(replace(FRAMES, used=(FrameRecord(-1, b""),))),
        framing(replace(FRAMES, used=FRAMES.used[::-1])),
        framing(replace(FRAMES, used=(*FRAMES.used, FRAMES.used[1]))),
        framing(replace(FRAMES, used=(FrameRecord(1, bytes(2049)),))),
        {"inodes": WITH_RING, "description": replace(URING, rings=bytes(5))},
        {"inodes": WITH_RING, "description": replace(URING, entries=b"")},
        {"inodes": WITH_RING, "description": replace(URING, submissions=64 * 4096)},
        {"inodes": WITH_RING, "description": replace(URING, completions=0)},
        {"inodes": WITH_RING, "description": replace(URING, submissions=128)},
        {"inodes": WITH_RING, "description": replace(URING, setup=1 << 10 | 2)},
        {"inodes": WITH_RING, "description": replace(URING, setup=1 << 1)},
        {"inodes": WITH_RING, "description": replace(URING, setup=-1)},
        {"inodes": WITH_RING, "description": replace(URING, tail=1 << 31)},
        {"inodes": WITH_RING, "description": replace(URING, head=1 << 32)},
        {"inodes": WITH_RING, "description": replace(URING, issuer=10)},
        {"inodes": WITH_RING, "description": replace(URING, setup=1 << 12, issuer=12)},
        {"inodes": WITH_RING, "description": replace(URING, submission=b"")},
        {"inodes": WITH_RING, "description": replace(URING, completion=struct.pack("<8I", 5000, *range(7)))},
        {"inodes": WITH_RING, "description": replace(URING, submission=struct.pack("<8I", *range(6), 4090, 0))},
        registering(holder=12),
        registering(files=(FileRecord(0, 2, 0),)),
        registering(files=(FileRecord(4, 0, 0),)),
        registering(files=(FileRecord(1, 0, 0), FileRecord(1, 0, 0))),
        registering(buffers=(BufferRecord(0, 4096, 0, 0),)),
        registering(buffers=(BufferRecord(0, 1 << 63, 1, 0),)),
        registering(alloc_end=5),
        registering(hint=-1),
        registering(eventfd=2),
        registering(numbers=(NumberRecord(12, 0),)),
        registering(numbers=(NumberRecord(10, 16),)),
        {"descriptors": ((0, 2),)},
        {"descriptors": ((-1, 0),)},
        {"descriptors": ((1 << 31, 0),)},
        {"descriptors": ((3, 0), (3, 1))},
        {"description": RegularRecord(2, 0, 0, 0)},
        {"description": PipeEndRecord(1, 0)},
        {"description": InotifyRecord(0, (WatchRecord(1, 2, 2),))},
        {"description": EpollRecord(0, None, 1, ())},
        {"description": EpollRecord(0, None, 0, (EpollEntryRecord(0, 2, 1, 0),))},
        {"pipe": 2},
        {"cwd": -1},
        {"namespaces": (IpcNamespaceRecord(()),)},
        {"namespaces": (IpcNamespaceRecord((10, 11)),)},
        {"below": (BELOW,)},
        {"namespaces": OWN, "below": (BELOW, BELOW)},
        {"namespaces": OWN, "below": (BELOW,), "segments": (segment(1),)},
        {"namespaces": OWN, "below": (replace(BELOW, segments=(segment(0),)),)},
        {"namespaces": OWN, "below": (replace(BELOW, posix=(PosixQueueRecord(b"a/b", 0, 0, 0, 1, 1),)),)},
        {"namespaces": OWN, "description": MqueueRecord(b"a", False, 1, 0, 0, 0, 0, 1, 1, 0, member=10)},
        {"namespaces": (MountsRecord((10,), 0, (ProcRecord(b"/proc", 0, 12, 0),)),)},
        {"segments": (segment(0),)},
        {"segments": (segment(2),)},
        {"inodes": (FILE, MOUNTED), "segments": (segment(1),), "namespaces": mounted(ROOT)},
        {"inodes": (FILE, MOUNTED)},  # of a mount namespace that is not there
        {"inodes": (FILE, replace(MOUNTED, path=b"")), "namespaces": mounted(ROOT)},
        {"inodes": (FILE, replace(MOUNTED, mode=1 << 32)), "namespaces": mounted(ROOT)},
        {"inodes": (FILE, MOUNTED), "namespaces": mounted(ROOT), "description": watching(1)},
        {"inodes": (MOUNTED, DELETED), "namespaces": mounted(ROOT)},  # a program
        {"description": watching(2)},
        {"description": watching(-2)},
        {"namespaces": (CgroupNamespaceRecord((12,)),)},
        {"namespaces": (MountsRecord((), 0, (ProcRecord(b"/proc", 0, 10, 0),)),)},
        {"namespaces": mounted(ROOT, point=b"mnt")},
        {"namespaces": mounted(ROOT, point=b"/m\0nt")},
        {"namespaces": mounted(ROOT, source=b"a\0b")},
        {"namespaces": mounted(replace(ROOT, mode=-1))},
        {"namespaces": mounted(ROOT, FOLDER, replace(INSIDE, size=-1, pieces=()))},
        {"namespaces": mounted(ROOT, FOLDER, replace(INSIDE, size=2))},
        {"namespaces": mounted(ROOT, FOLDER, replace(INSIDE, pieces=((-1, b"abc"),)))},
        {"namespaces": mounted(ROOT, replace(LINK, target=b"a\0b"))},
        {"namespaces": mounted()},
        {"namespaces": mounted(FOLDER)},
        {"namespaces": mounted(LINK)},
        {"namespaces": mounted(ROOT, FOLDER, FOLDER)},
        {"namespaces": mounted(ROOT, replace(FOLDER, path=b".."))},
        {"namespaces": mounted(ROOT, replace(FOLDER, path=b"../etc"))},
        {"namespaces": mounted(ROOT, replace(FOLDER, path=b"/etc"))},
        {"namespaces": mounted(ROOT, LINK, replace(FOLDER, path=b"link/passwd"))},
        {"namespaces": mounted(ROOT, LINK, replace(FOLDER, path=b"link", mode=0o100644))},
        {"namespaces": mounted(ROOT, replace(FOLDER, mode=0o100644, same_as=b"../etc/passwd"))},
        {"segments": (segment(-1),)},
        {"adjustments": (AdjustmentRecord(11, 7, 0, 1),)},
        {"adjustments": (AdjustmentRecord(10, 8, 0, 1),)},
        {"adjustments": (AdjustmentRecord(10, 7, 2, 1),)},
    ],
)
def test_what_is_not_there_is_refused(records):
    with pytest.raises(ImageError):
        judge(**records)


def sharing(*values):
    socket = InetRecord(2, 2, 17, 2, b"", b"", 0, (), (), (), SharingRecord(*values))
    return {"description": socket}


def test_a_place_in_a_group_of_sockets():
    judge(**sharing(1, 2, bytes(16)))


@pytest.mark.parametrize(
    "values", [(2, 2, bytes(8)), (-1, 2, bytes(8)), (0, 1, b""), (0, 1, bytes(7)), (0, 1, bytes(1 << 16))]
)
def test_a_place_in_a_group_that_none_can_have_is_refused(values):
    with pytest.raises(ImageError, match="share a port"):
        judge(**sharing(*values))


def test_a_userfaultfd_watches_what_is_there():
    judge(description=USERFAULTFD)


@pytest.mark.parametrize(
    "changed",
    [
        replace(USERFAULTFD, owner=11),
        replace(USERFAULTFD, owner=12),
        replace(USERFAULTFD, flags=4),
        replace(USERFAULTFD, features=1 << 31),
        replace(USERFAULTFD, ready=False),
        replace(USERFAULTFD, areas=(AREA, AREA)),
        replace(USERFAULTFD, areas=(replace(AREA, mode=0),)),
        replace(USERFAULTFD, areas=(replace(AREA, mode=8),)),
        replace(USERFAULTFD, areas=(replace(AREA, end=8192),)),
        replace(USERFAULTFD, areas=(replace(AREA, start=8192, end=12288, present=()),)),
        replace(USERFAULTFD, areas=(replace(AREA, present=((0, 8192),)),)),
        replace(USERFAULTFD, areas=(replace(AREA, protected=((0, 100),)),)),
        replace(USERFAULTFD, areas=(replace(AREA, protected=((0, 4096), (0, 4096))),)),
    ],
)
def test_a_userfaultfd_that_none_can_be_is_refused(changed):
    with pytest.raises(ImageError, match=r"userfaultfd that none can be|watched twice, or is not there"):
        judge(description=changed)
