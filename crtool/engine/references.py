"""The records of an image are what their types say. Whether they go together is judged here, before anybody uses them.

Tables refer to each other by index, processes by PID, memory and contents to the data area by offset. All of that is
compared once, so that whoever follows a reference later finds what it leads to.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, NoReturn

from crtool.engine.contents import Run, saved_runs
from crtool.engine.snapshot import IpcRecord, MemoryRecord, ProcessRecord, Snapshot
from crtool.errors import ImageError, Obstacle
from crtool.image import codec
from crtool.image.header import PAGE_SIZES
from crtool.image.trouble import ANOTHER_COPY
from crtool.kernel.ranges import joined, less
from crtool.resources.files import uring, uring_fixed, userfaultfd
from crtool.resources.files.epoll import EpollRecord
from crtool.resources.files.fanotify import FanotifyRecord
from crtool.resources.files.inodes import ContentRecord, InodeRecord, MountedRecord, PathRecord, RingMemoryRecord
from crtool.resources.files.inotify import InotifyRecord
from crtool.resources.files.mqueue import MqueueRecord
from crtool.resources.files.pipes import PipeEndRecord
from crtool.resources.files.regular import RegularRecord
from crtool.resources.files.sockets import packet, reuseport
from crtool.resources.files.sockets.datagram import InetRecord
from crtool.resources.files.sockets.packet import PacketRecord
from crtool.resources.files.sockets.tcp import TcpRecord
from crtool.resources.files.sockets.unix import UnixRecord
from crtool.resources.files.uring import UringRecord
from crtool.resources.files.userfaultfd import UserfaultfdRecord
from crtool.resources.memory import aio, pages
from crtool.resources.memory.pages import ExtentRecord, SharedRecord
from crtool.resources.namespaces import tmpfs
from crtool.resources.namespaces.ipc import IpcNamespaceRecord
from crtool.resources.namespaces.mounts import MountsRecord
from crtool.resources.namespaces.own_mounts import MountRecord

if TYPE_CHECKING:
    from crtool.image.reader import ImageReader

__all__ = ["judge_references", "mounted_obstacles", "read_snapshot"]

_YEAR_10000 = 253402300800  # seconds since the epoch
_NO_DESCRIPTOR = 1 << 31  # descriptors are of type int
_NO_ADDRESS = 1 << 64
_PAGE = min(PAGE_SIZES)
_NO_MODE = 1 << 32
_SHOWN = 200  # characters of a path


def read_snapshot(reader: ImageReader) -> Snapshot:
    """The records of an image; ImageError, which names it, unless they are right, each by itself and all together."""
    try:
        snapshot = codec.unpack(reader.records, Snapshot)
        judge_references(snapshot, reader.length)
    except ImageError as error:
        raise ImageError(f"{reader.name}: {error.message}", error.remedy) from None
    return snapshot


def judge_references(snapshot: Snapshot, data_length: int) -> None:
    """ImageError if a record refers to something that is not in the image, whose data area has *data_length* bytes."""
    if not 0 <= snapshot.host.created < _YEAR_10000:
        _refuse("the image was made at an impossible time")
    _judge_processes(snapshot)
    for memory in snapshot.memories:
        _judge_memory(memory, snapshot, data_length)
    _judge_files(snapshot, data_length)
    _judge_descriptions(snapshot)
    _judge_rings(snapshot)
    _judge_watches(snapshot)
    living = {record.pids[0] for record in snapshot.processes if not record.zombie}
    _judge_namespaces(snapshot, living)
    _judge_ipc(snapshot, living)


def _refuse(what: str) -> NoReturn:
    raise ImageError(what, ANOTHER_COPY)


def _within(indices: Iterable[int], table: Sequence[object], what: str, lowest: int = 0) -> None:
    """Refuses *indices* that lead to nothing in *table*; −1 may mean nothing by itself."""
    found = list(indices)
    if found and not lowest <= min(found) <= max(found) < len(table):
        _refuse(f"{what} that is not in the image")


def _judge_processes(snapshot: Snapshot) -> None:
    if not snapshot.processes or any(not record.pids for record in snapshot.processes):
        _refuse("the process table is empty, or has somebody without a PID")
    pids = [record.pids[0] for record in snapshot.processes]
    if min(pids) <= 0 or len(set(pids)) < len(pids):
        _refuse("the process table has a PID twice, or one that is none")
    if not all(record.pids for record in snapshot.absent):
        _refuse("somebody absent has no number")
    for record in snapshot.processes:
        if record.zombie:
            if record.threads or record.memory != -1:
                _refuse(f"PID {record.pids[0]} is a zombie with threads or memory")
        else:
            _judge_living(record, snapshot)


def _judge_living(record: ProcessRecord, snapshot: Snapshot) -> None:
    who = f"PID {record.pids[0]}"
    if not record.threads or record.state is None or not all(thread.tids for thread in record.threads):
        _refuse(f"{who} has no threads, or no state")
    _within([record.memory], snapshot.memories, f"{who} has memory")
    _within([thread.files for thread in record.threads], snapshot.files.tables, f"{who} has a file table")
    _within([thread.fs for thread in record.threads], snapshot.files.views, f"{who} has a root folder")


def _judge_memory(memory: MemoryRecord, snapshot: Snapshot, data_length: int) -> None:
    inodes = snapshot.files.inodes
    _within([mapping.inode for mapping in memory.mappings], inodes, "a file is mapped", lowest=-1)
    _within([memory.exe], inodes, "a program is executed")
    areas = [(area.start, area.end) for area in memory.mappings] + [(area.start, area.end) for area in memory.guards]
    areas += [(ring.start, ring.end) for ring in memory.rings]
    for start, end in areas:
        if not 0 <= start < end <= _NO_ADDRESS or start % _PAGE or end % _PAGE:
            _refuse(f"a mapping from {start:#x} to {end:#x} is impossible")
    for ring in memory.rings:
        if not aio.is_possible(ring):
            _refuse(f"an AIO ring at {ring.start:#x} is impossible")
    for before, mapping in pairwise(memory.mappings):
        if mapping.start < before.end:
            _refuse(f"two mappings at {mapping.start:#x} are impossible")
    _judge_pages(memory.extents)
    _judge_data(memory.data, pages.total(memory.extents), data_length)
    _judge_pages(memory.shared)
    for shared in memory.shared:
        _judge_data(shared.data, shared.length, data_length)
    if memory.shared:
        _judge_pages(saved_runs(memory))  # all of them


def _judge_pages(runs: Iterable[ExtentRecord | SharedRecord | Run]) -> None:
    """Whole pages, in order, each of them once."""
    last = 0
    for run in runs:
        start, length = run.start, run.length
        if length <= 0 or start < last or start % _PAGE or length % _PAGE or start + length > _NO_ADDRESS:
            _refuse(f"saved pages at {start:#x} are impossible")
        last = start + length


def _judge_data(offset: int, length: int, data_length: int) -> None:
    """*length* bytes, each part of them on pages of its own."""
    if offset < 0 or offset % _PAGE or offset + length > data_length:
        _refuse(f"the records want data at {offset} that the image does not have")


def _judge_files(snapshot: Snapshot, data_length: int) -> None:
    files = snapshot.files
    for record in files.inodes:
        if isinstance(record, PathRecord | MountedRecord) and not _can_be(record):
            _refuse("a file has an impossible path, type or size")
        if (content := _content(record)) is None:
            continue
        if content.size < 0 or any(offset < 0 or length <= 0 for offset, length in content.extents):
            _refuse("the content of a file is impossible")
        _judge_data(content.data, sum(length + -length % _PAGE for _, length in content.extents), data_length)
    _within([ring.inode for ring in files.pipes], files.inodes, "a pipe has a name", lowest=-1)
    _within([inode for view in files.views for inode in (view.root, view.cwd)], files.inodes, "there is a folder")
    for table in files.tables:
        numbers = [descriptor.fd for descriptor in table.descriptors]
        if (numbers and not 0 <= min(numbers) <= max(numbers) < _NO_DESCRIPTOR) or len(set(numbers)) < len(numbers):
            _refuse("a file table has impossible descriptors")
        _within([found.description for found in table.descriptors], files.descriptions, "a file is open")


def _can_be(record: PathRecord | MountedRecord) -> bool:
    return bool(record.path) and b"\0" not in record.path and record.size >= 0 and 0 <= record.mode < _NO_MODE


def _content(record: InodeRecord) -> ContentRecord | None:
    match record:
        case PathRecord():
            return None if record.kept is None else record.kept.content
        case MountedRecord():
            return None
    return record.content


def _judge_descriptions(snapshot: Snapshot) -> None:
    files = snapshot.files
    for record in files.descriptions:
        match record:
            case RegularRecord():
                _within([record.inode], files.inodes, "a file is open")
            case UringRecord():
                _within([record.inode], files.inodes, "a ring has memory")
                if record.registered is not None:
                    _within(uring_fixed.mentioned(record.registered), files.descriptions, "a file is registered")
            case PipeEndRecord():
                _within([record.pipe], files.pipes, "a pipe is open")
            case InotifyRecord():
                _within([watch.inode for watch in record.watches], files.inodes, "a file is watched")
            case FanotifyRecord():
                _within([mark.inode for mark in record.marks], files.inodes, "a file is watched", lowest=-1)
            case EpollRecord():
                _within([record.table], files.tables, "an epoll instance is in a file table")
                _within([entry.description for entry in record.entries], files.descriptions, "epoll waits for a file")
            case InetRecord() | TcpRecord():
                if not reuseport.is_sound(record.sharing):
                    _refuse("the image tells of sockets that share a port as none can")
            case UnixRecord():
                flying = [index for message in record.messages for index in message.descriptions]
                _within(flying, files.descriptions, "a message carries a file")


def _judge_rings(snapshot: Snapshot) -> None:
    """Each has memory of its own, which is mapped, and used in no other way; who alone may submit is there."""
    files = snapshot.files
    memories = [index for index, inode in enumerate(files.inodes) if isinstance(inode, RingMemoryRecord)]
    contents = [inode.content for inode in files.inodes if isinstance(inode, RingMemoryRecord)]
    if any(content.size or content.extents for content in contents):
        _refuse("the memory of a ring has content of its own")
    rings = [record for record in files.descriptions if isinstance(record, UringRecord)]
    sockets = [record for record in files.descriptions if isinstance(record, PacketRecord)]
    frames = [socket.rings for socket in sockets if socket.rings is not None]
    if sorted([ring.inode for ring in rings] + [ring.inode for ring in frames]) != memories:
        _refuse("the rings of io_uring, or of packet sockets, and their memory do not go together")
    if not memories:
        return
    threads = {thread.tids[0] for process in snapshot.processes for thread in process.threads}
    pids = {process.pids[0] for process in snapshot.processes if not process.zombie}
    known = [ring.registered for ring in rings if ring.registered is not None]
    strange = any(found.holder not in pids or not {each.tid for each in found.numbers} <= threads for found in known)
    if strange or any(not uring.is_sound(ring) or (ring.issuer and ring.issuer not in threads) for ring in rings):
        _refuse("the image tells of an io_uring that none can be")
    if not all(map(packet.is_sound, sockets)):
        _refuse("the image tells of the ring of a packet socket that none can be")
    used = {memory.exe for memory in snapshot.memories} | {pipe.inode for pipe in files.pipes}
    used |= {inode for view in files.views for inode in (view.root, view.cwd)}
    used |= {record.inode for record in files.descriptions if isinstance(record, RegularRecord)}
    used |= {mark.inode for record in files.descriptions if isinstance(record, FanotifyRecord) for mark in record.marks}
    used |= {each.inode for group in files.descriptions if isinstance(group, InotifyRecord) for each in group.watches}
    used |= {segment.inode for record in snapshot.ipcs for segment in record.segments}
    if used & set(memories):
        _refuse("the memory of a ring is used as a file")


def _judge_watches(snapshot: Snapshot) -> None:
    """A userfaultfd is of somebody who lives, and watches whole mappings, or parts of them, that nobody else does."""
    memories = {record.pids[0]: record.memory for record in snapshot.processes if not record.zombie}
    watched: dict[int, list[tuple[int, int]]] = {}
    for record in snapshot.files.descriptions:
        if isinstance(record, UserfaultfdRecord):
            if record.owner not in memories or not userfaultfd.is_sound(record, _PAGE):
                _refuse("the image tells of a userfaultfd that none can be")
            watched.setdefault(memories[record.owner], []).extend((area.start, area.end) for area in record.areas)
    for number, areas in watched.items():
        mapped = joined((mapping.start, mapping.end) for mapping in snapshot.memories[number].mappings)
        if less(sorted(areas), mapped) or any(one[1] > other[0] for one, other in pairwise(sorted(areas))):
            _refuse("the image tells of memory that is watched twice, or is not there")


def _judge_namespaces(snapshot: Snapshot, living: set[int]) -> None:
    for namespace in snapshot.namespaces:
        who = set(namespace.members)
        if isinstance(namespace, MountsRecord):
            who.update(proc.by for proc in namespace.procs)
        if not namespace.members or not who <= living:
            _refuse(f"a namespace of the image has members that are not in the process table: {sorted(who)[:9]}")
        if isinstance(namespace, MountsRecord):
            for mount in namespace.own:
                _judge_mount(mount)
    _judge_mounted(snapshot)


def _judge_mount(mount: MountRecord) -> None:
    where = mount.point.decode(errors="replace")[:_SHOWN]
    if not mount.point.startswith(b"/") or b"\0" in mount.point + mount.source + mount.options:
        _refuse(f"a mount at {where!r} is impossible")
    if mount.content is None:
        return
    if any(_is_impossible(entry) for entry in mount.content) or not tmpfs.is_sound(mount.content):
        _refuse(f"the image has a tmpfs at {where} that none can be")


def _is_impossible(entry: tmpfs.EntryRecord) -> bool:
    if not 0 <= entry.mode < _NO_MODE or entry.size < 0 or b"\0" in entry.target:
        return True
    return any(offset < 0 or offset + len(content) > entry.size for offset, content in entry.pieces)


def _judge_mounted(snapshot: Snapshot) -> None:
    first = {record.members[0] for record in snapshot.namespaces if isinstance(record, MountsRecord)}
    members = {inode.member for inode in snapshot.files.inodes if isinstance(inode, MountedRecord)}
    if members - first or mounted_obstacles(snapshot):
        _refuse("the image tells of files in mount namespaces which it lacks, or which are not just open")


def _judge_ipc(snapshot: Snapshot, living: set[int]) -> None:
    made = [each.members for each in snapshot.namespaces if isinstance(each, IpcNamespaceRecord)]
    members = {pids[0]: set(pids) for pids in made}
    below = [record.member for record in snapshot.ipc_below]
    queues = {each.member for each in snapshot.files.descriptions if isinstance(each, MqueueRecord)} - {0}
    contents = [segment.inode for record in snapshot.ipcs for segment in record.segments]
    if len(set(below)) < len(below) or not members.keys() >= set(below) >= queues or len(set(contents)) < len(contents):
        _refuse("the image tells of IPC namespaces that it lacks, or of content that they share")
    if snapshot.ipc is not None and snapshot.ipc.member:
        _refuse("the image tells of a root that is not in its own IPC namespace")
    for record in snapshot.ipcs:
        _judge_objects(record, snapshot.files.inodes, members[record.member] if record.member else living)


def _judge_objects(record: IpcRecord, inodes: Sequence[InodeRecord], living: set[int]) -> None:
    if any(not each.name or b"/" in each.name or b"\0" in each.name for each in record.posix):
        _refuse("the image has a message queue with an impossible name")
    if any(len(each.messages) > each.most for each in record.posix):
        _refuse("the image has a message queue with more messages than it can hold")
    for segment in record.segments:
        if not 0 <= segment.inode < len(inodes) or isinstance(inodes[segment.inode], PathRecord | MountedRecord):
            _refuse(f"the image lacks the content of System V shared memory with id {segment.permissions.id}")
    counts = {each.permissions.id: len(each.levels) for each in record.semaphores}
    for adjustment in record.adjustments:
        number, pid = adjustment.number, adjustment.pid
        if pid not in living or not 0 <= number < counts.get(adjustment.set, 0):
            _refuse(f"PID {pid} has a semaphore adjusted that is not in the image: {adjustment.set}, {number}")


def mounted_obstacles(snapshot: Snapshot) -> list[Obstacle]:
    """What is the matter with files in mount namespaces of the tree: they can be open, and folders current, no more.

    A restart opens them late, when the mount namespaces are there.
    """
    mounted = {index for index, inode in enumerate(snapshot.files.inodes) if isinstance(inode, MountedRecord)}
    if not mounted:
        return []
    found = []
    in_flight = {
        number
        for record in snapshot.files.descriptions
        if isinstance(record, UnixRecord)
        for message in record.messages
        for number in message.descriptions
    }
    for index, record in enumerate(snapshot.files.descriptions):
        used = {record.inode} if isinstance(record, RegularRecord) and index in in_flight else set()
        if isinstance(record, InotifyRecord):
            used = {watch.inode for watch in record.watches}
        if isinstance(record, FanotifyRecord):
            used = {mark.inode for mark in record.marks}
        found += [_mounted(snapshot, snapshot.root, inode, "in flight, or watched") for inode in used & mounted]
    for process in snapshot.processes:
        if process.memory >= 0:
            memory = snapshot.memories[process.memory]
            used = {memory.exe, *(mapping.inode for mapping in memory.mappings)}
            found += [_mounted(snapshot, process.pids[0], inode, "mapped") for inode in used & mounted]
    return found


def _mounted(snapshot: Snapshot, pid: int, inode: int, how: str) -> Obstacle:
    path = getattr(snapshot.files.inodes[inode], "path", b"").decode(errors="replace")
    cause = f"has {path} {how}, which lies on a mount that only its mount namespace has"
    return Obstacle(pid, "", cause, "run crtool in the mount namespace of the process")
