"""What an image holds: the records of all processes, and the things that they share, each once.

Shared things stand in tables of their own, and those who share them hold an index into the table.
"""

from __future__ import annotations

from typing import TypeAlias

from crtool.procfs import timens
from crtool.record import dataclass
from crtool.resources.files.fs import FsRecord
from crtool.resources.files.inodes import (
    DeletedRecord,
    MemfdRecord,
    MountedRecord,
    PathRecord,
    RingMemoryRecord,
    SharedMemoryRecord,
)
from crtool.resources.files.kinds import DescriptionRecord
from crtool.resources.files.owners import OwnerRecord
from crtool.resources.files.pipes import PipeRecord
from crtool.resources.files.pty import PtyRecord
from crtool.resources.files.table import TableRecord
from crtool.resources.files.terminals import CallersRecord
from crtool.resources.ipc.posix import PosixQueueRecord
from crtool.resources.ipc.queues import QueueRecord
from crtool.resources.ipc.segments import SegmentRecord
from crtool.resources.ipc.semaphores import SetRecord
from crtool.resources.ipc.settings import SettingRecord
from crtool.resources.ipc.undo import AdjustmentRecord
from crtool.resources.memory.aio import RingRecord
from crtool.resources.memory.bounds import BoundsRecord
from crtool.resources.memory.mappings import GuardRecord, MappingRecord
from crtool.resources.memory.pages import ExtentRecord, SharedRecord
from crtool.resources.memory.vdso import VdsoRecord
from crtool.resources.namespaces.cgroup import CgroupNamespaceRecord
from crtool.resources.namespaces.ipc import IpcNamespaceRecord
from crtool.resources.namespaces.mounts import MountsRecord
from crtool.resources.namespaces.net import NetRecord
from crtool.resources.namespaces.uts import UtsRecord
from crtool.resources.registry import ProcessState, ThreadState

__all__ = [
    "AbsentRecord",
    "FilesRecord",
    "HostRecord",
    "IpcRecord",
    "MemoryRecord",
    "NamespaceRecord",
    "ProcessRecord",
    "Snapshot",
    "ThreadRecord",
]


NamespaceRecord: TypeAlias = UtsRecord | IpcNamespaceRecord | NetRecord | CgroupNamespaceRecord | MountsRecord


@dataclass(frozen=True)
class HostRecord:
    """The machine and the moment of the checkpoint."""

    kernel: str  # uname release
    created: float  # seconds since the epoch, UTC
    xfeatures: int  # XCR0: the CPU state components that the FPU images have
    xstate_size: int  # bytes of an FPU image
    monotonic: int  # ns on CLOCK_MONOTONIC, as the root of the tree saw it
    boottime: int  # ns on CLOCK_BOOTTIME, likewise
    clock_offsets: timens.Offsets  # how far these were ahead of crtool's own: they are, in a time namespace


@dataclass(frozen=True)
class MemoryRecord:
    """An address space."""

    mappings: tuple[MappingRecord, ...]
    guards: tuple[GuardRecord, ...]
    extents: tuple[ExtentRecord, ...]  # pages saved with it, in the order of their addresses
    shared: tuple[SharedRecord, ...]  # pages saved with others before it, likewise
    data: int  # offset in the data area of the first of the extents; the others follow without gaps
    bounds: BoundsRecord
    exe: int  # index of the executable among the inodes
    vdso: VdsoRecord
    lock_future: int  # MCL_FUTURE and MCL_ONFAULT if mlockall(2) was called so, else 0
    rings: tuple[RingRecord, ...] = ()  # of asynchronous input and output, not among the mappings


@dataclass(frozen=True)
class ThreadRecord:
    """One thread."""

    tids: tuple[int, ...]  # its TID in every PID namespace, outermost first, as of ProcessRecord.pids
    children_namespace: int  # into which it bears children, as ProcessRecord.namespace; −1: a new one
    files: int  # index of its file table
    fs: int  # index of its file system view
    registers: bytes  # struct user_regs_struct
    fpu: bytes  # XSAVE area, standard format
    mask: int  # blocked signals
    state: ThreadState

    @property
    def tid(self) -> int:
        """The number by which the image knows it."""
        return self.tids[0]


@dataclass(frozen=True)
class ProcessRecord:
    """One process."""

    pids: tuple[int, ...]  # its PID in every PID namespace from that in which the tree has grown, outermost first
    namespace: int  # PID of the first process of its PID namespace, 0 for that in which the tree has grown
    ppid: int
    pgid: int
    sid: int
    exit_signal: int
    zombie: bool
    exit_status: int  # of a zombie: wait status as wait4(2) gives it
    comm: bytes  # name of the main thread
    stop_signal: int  # with which job control has stopped it, 0 if it has not
    stop_reported: bool  # its parent has already waited for that stop
    dead_leader: bool  # the main thread has ended, others live on
    memory: int  # index of its address space, −1 for a zombie
    handlers: int  # number of its table of signal handlers, −1 for a zombie
    threads: tuple[ThreadRecord, ...]  # the main thread first, unless it is dead
    state: ProcessState | None  # None for a zombie


@dataclass(frozen=True)
class AbsentRecord:
    """A session or group of a nested PID namespace whose leader is not there any more."""

    pids: tuple[int, ...]  # its numbers, outermost first, as far as a member knows them
    namespace: int  # as of ProcessRecord


@dataclass(frozen=True)
class FilesRecord:
    """Everything that open files and mappings refer to, and the tables that refer to it."""

    inodes: tuple[
        PathRecord | MountedRecord | DeletedRecord | SharedMemoryRecord | MemfdRecord | RingMemoryRecord, ...
    ]
    pipes: tuple[PipeRecord, ...]
    ptys: tuple[PtyRecord, ...]
    terminal: CallersRecord | None  # the one outside the tree, in whose place comes the caller's
    tcp_table: str  # of nf_tables, that holds the TCP connections until the restart; empty if there is none
    descriptions: tuple[DescriptionRecord, ...]
    owners: tuple[OwnerRecord, ...]
    tables: tuple[TableRecord, ...]
    views: tuple[FsRecord, ...]


@dataclass(frozen=True)
class IpcRecord:
    """What is in an IPC namespace."""

    own: bool  # the tree had it for itself
    segments: tuple[SegmentRecord, ...]
    semaphores: tuple[SetRecord, ...]
    queues: tuple[QueueRecord, ...]
    adjustments: tuple[AdjustmentRecord, ...]
    member: int = 0  # PID of the first member of the namespace, if the tree has made it; 0 for that of its root
    settings: tuple[SettingRecord, ...] = ()
    posix: tuple[PosixQueueRecord, ...] = ()


@dataclass(frozen=True)
class Snapshot:
    """The records of an image."""

    host: HostRecord
    root: int  # PID of the root process
    outside: tuple[int, ...]  # sessions and groups of the tree that belong to processes outside it
    absent: tuple[AbsentRecord, ...]
    namespaces: tuple[NamespaceRecord, ...]  # that the tree has made, apart from PID namespaces
    processes: tuple[ProcessRecord, ...]
    memories: tuple[MemoryRecord, ...]
    files: FilesRecord
    ipc: IpcRecord | None = None
    ipc_below: tuple[IpcRecord, ...] = ()  # of those that it has made and that are not just empty

    @property
    def ipcs(self) -> tuple[IpcRecord, ...]:
        """Of all its IPC namespaces."""
        return self.ipc_below if self.ipc is None else (self.ipc, *self.ipc_below)
