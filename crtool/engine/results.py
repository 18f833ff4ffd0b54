"""What the verbs report, as data."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import field

from crtool.errors import Obstacle
from crtool.record import dataclass, replace

__all__ = [
    "Change", "CheckReport", "CheckpointResult", "CloneResult", "CoreResult", "DescriptorSummary", "DryRunResult",
    "ExtractResult", "Feature", "ImageDifference", "ImageSummary", "MappingSummary", "MemoryDigest",
    "MigrateResult", "ProcessSummary", "Progress", "PruneResult", "RestartResult", "RunResult", "SignalSummary",
    "SocketSummary", "SquashResult", "StoreListing", "StoredImage", "TimerSummary", "VerifyResult",
]  # fmt: skip


@dataclass(frozen=True)
class Progress:
    """How far long work is."""

    stage: str  # a word for the user
    done: int  # bytes
    total: int  # bytes


@dataclass(frozen=True)
class CheckpointResult:
    """What a checkpoint has done."""

    image: str | None  # path of the image, None if it was streamed
    size: int  # bytes of the image
    pid: int  # the root of the tree
    processes: int
    threads: int
    pages_written: int
    pages_skipped: int  # present, but not to be saved: of files, or zero
    frozen_seconds: float  # from the first stop to the last release
    wall_seconds: float
    left: str  # "running", "stopped" or "killed"
    warnings: tuple[str, ...] = ()
    stages: dict[str, float] = field(default_factory=dict)  # seconds by stage
    pages_zero: int = 0  # of those that were skipped, the ones of zeros that the program had written
    pages_scanned: int = 0  # present, or swapped out: those that were written, skipped and shared
    pages_shared: int = 0  # not written, since another process of the tree has them too
    forked: int = 0  # processes that went on while a fork of them was written
    bytes_per_second: float = 0.0  # of the image, while it was written
    pages_same: int = 0  # that the parent has already, and that are neither written nor skipped


@dataclass(frozen=True)
class DryRunResult:
    """What a restart would grant and touch."""

    processes: int
    pids: tuple[int, ...]  # of processes and threads, groups and sessions, as the image has them
    reason: str  # why they would be in a PID namespace of their own; empty if nothing is in the way
    pidns: bool  # they would be in a new PID namespace
    userns: bool  # they would be in a new user namespace
    timens: bool  # they would be in a new time namespace
    namespaces: tuple[str, ...]  # kinds of those that the processes had made themselves
    users: tuple[int, ...]  # user ids of any thread: real, effective, saved, file system
    groups: tuple[int, ...]  # the same of groups, with the supplementary ones
    capabilities: tuple[str, ...]  # that any thread has, or may pass on
    setuid: tuple[str, ...]  # executables and libraries with a set-user-ID or set-group-ID bit
    label: str  # the security label that all would have: crtool's own
    seccomp: int  # threads under seccomp filters, or in strict mode
    no_new_privs: int  # threads that have set no_new_privs
    threads: int
    written: tuple[str, ...]  # files that are opened for writing
    truncated: tuple[str, ...]  # files that are cut to the size that they had
    replaced: tuple[str, ...]  # files put back from the image, and sockets in the file system
    deleted: tuple[str, ...]  # names under which a file is made and unlinked at once, since it was deleted
    bound: tuple[str, ...]  # kind and address of sockets; POSIX message queues and network interfaces by their names
    raised: tuple[str, ...]  # what any thread or process would have more of than crtool: priority, OOM score, limits
    ipc_made: tuple[str, ...]  # System V IPC objects that are made: kind and id
    ipc_changed: tuple[str, ...]  # … that are there already, and get the content that they had
    told: tuple[int, ...]  # PIDs, as of pids, of those who get the signal that was asked for
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class RestartResult:
    """What a restart has done."""

    pid: int  # of the restored root, as crtool sees it
    processes: int
    wall_seconds: float  # until everything ran
    warnings: tuple[str, ...] = ()
    status: int | None = None  # wait status of the root, if it was waited for
    own_pid: int = 0  # PID of the root as it sees itself: the one that it had
    pidns: bool = False  # the processes have a PID namespace of their own
    userns: bool = False  # … and a user namespace
    timens: bool = False  # … and a time namespace: their clocks are not those of the machine
    reason: str = ""  # for the PID namespace, if it was not asked for: "PID 812 is now sshd"
    stages: dict[str, float] = field(default_factory=dict)  # seconds by stage


@dataclass(frozen=True)
class CloneResult:
    """What copying a running tree has done."""

    pid: int  # the root of the original
    copies: tuple[int, ...]  # PIDs of the roots of the copies, as crtool sees them
    processes: int  # of each copy
    size: int  # bytes of the image, which was in memory only
    frozen_seconds: float  # for which the original stood still
    wall_seconds: float  # until all copies ran
    warnings: tuple[str, ...] = ()
    statuses: tuple[int, ...] = ()  # wait statuses of the copies' roots, in the same order, if they were waited for
    stages: dict[str, float] = field(default_factory=dict)  # seconds by stage, of all copies together

    def ended(self, statuses: tuple[int, ...]) -> CloneResult:
        """The same, when all copies have ended."""
        return replace(self, statuses=statuses)


@dataclass(frozen=True)
class MigrateResult:
    """What became of a tree that was moved to another host."""

    pid: int  # of the root here, where it has ended
    host: str
    remote_pid: int  # of the root on that host, as crtool sees it there
    processes: int
    size: int  # bytes of the image that was sent
    pages_written: int
    pages_skipped: int
    frozen_seconds: float  # from the first stop here until it ran there
    wall_seconds: float
    pidns: bool  # it has a PID namespace of its own there
    warnings: tuple[str, ...] = ()
    stages: dict[str, float] = field(default_factory=dict)  # seconds by stage, here


@dataclass(frozen=True)
class Feature:
    """Something that the kernel, or the caller's rights, give or do not give."""

    name: str
    available: bool
    detail: str
    needed: bool  # nothing works without it


@dataclass(frozen=True)
class CheckReport:
    """What stands in the way of checkpoints here, or of one of a given process."""

    features: tuple[Feature, ...]
    obstacles: tuple[Obstacle, ...] = ()
    warnings: tuple[str, ...] = ()
    estimated_size: int | None = None  # bytes of an image
    estimated_frozen_seconds: float | None = None  # for which processes that go on stand still
    estimated_copy_seconds: float | None = None  # for which others do (--kill, --leave-stopped, --live=off)


@dataclass(frozen=True)
class DescriptorSummary:
    """One descriptor."""

    fd: int
    kind: str
    detail: str


@dataclass(frozen=True)
class MappingSummary:
    """One mapping."""

    start: int
    end: int
    permissions: str  # as in /proc/PID/maps
    name: str
    saved_bytes: int


@dataclass(frozen=True)
class SignalSummary:
    """One signal that is not at its default, is blocked, or waits to be delivered."""

    number: int
    name: str
    action: str  # "default", "ignored" or "caught"
    blocked: tuple[int, ...]  # TIDs of the threads that block it
    pending: int  # how often it waits, for the process or one of its threads


@dataclass(frozen=True)
class TimerSummary:
    """One timer."""

    timer: str  # what it is: "interval timer", "timer 3", or "fd 5" for a timerfd
    clock: str
    left: int  # nanoseconds, 0 if it does not run
    interval: int  # nanoseconds, 0 if it expires once
    effect: str


@dataclass(frozen=True)
class SocketSummary:
    """One socket."""

    fd: int
    kind: str  # "tcp", "udp", "unix", …
    local: str
    remote: str
    detail: str  # its state, or what else there is to say


@dataclass(frozen=True)
class ProcessSummary:
    """One process of an image."""

    pid: int
    ppid: int
    pgid: int
    sid: int
    state: str
    comm: str
    exe: str
    cmdline: tuple[str, ...]
    threads: int
    mappings: tuple[MappingSummary, ...]
    memory_bytes: int
    descriptors: tuple[DescriptorSummary, ...]
    environment: tuple[str, ...] = ()
    sockets: tuple[SocketSummary, ...] = ()
    signals: tuple[SignalSummary, ...] = ()
    timers: tuple[TimerSummary, ...] = ()
    pids: tuple[int, ...] = ()  # its PID in every PID namespace from that in which the tree has grown, outermost first


@dataclass(frozen=True)
class ImageSummary:
    """What is inside an image."""

    format: int
    cpu: str
    kernel: str
    created: str  # ISO 8601, UTC
    size: int
    root: int
    processes: tuple[ProcessSummary, ...]
    data_bytes: int
    tty: str | None = None
    warnings: tuple[str, ...] = ()  # what is not shown
    parents: tuple[str, ...] = ()  # paths that the images had on which it builds, directly or not
    encrypted: bool = False
    signed_by: str = ""  # fingerprint of the key that the image names; whether it has signed it was not looked at

    def tree(self) -> Iterator[tuple[int, ProcessSummary]]:
        """Every process once, with its depth; whoever's parent is not in the image is at the top."""
        children: dict[int, list[ProcessSummary]] = {pid: [] for pid in (0, *(each.pid for each in self.processes))}
        for process in reversed(self.processes):
            children.get(process.ppid, children[0]).append(process)
        stack = [(0, process) for process in children[0]]  # no recursion: a chain of a thousand is no reason to fail
        while stack:
            yield (found := stack.pop())
            stack += [(found[0] + 1, child) for child in children[found[1].pid]]


@dataclass(frozen=True)
class MemoryDigest:
    """What the memory of a process was, in one number."""

    pid: int
    nbytes: int  # of the pages that count
    xxh3: str  # XXH3-128, hexadecimal


@dataclass(frozen=True)
class VerifyResult:
    """An image that is whole."""

    size: int
    sections: tuple[str, ...]
    parents: tuple[str, ...] = ()  # other images, verified too, that hold bytes of this one
    encrypted: bool = False
    signed_by: str = ""  # fingerprint of the key whose signature was demanded and is there
    memory: tuple[MemoryDigest, ...] = ()  # of each process, if it was asked for


@dataclass(frozen=True)
class Change:
    """One difference between two images."""

    pid: int
    thing: str  # "process", "descriptor", "mapping" or "pages"
    change: str  # "came", "went" or "changed"
    name: str
    before: str = ""
    after: str = ""
    pages: int = 0  # of a mapping, whose content has changed


@dataclass(frozen=True)
class ImageDifference:
    """What changed between two images."""

    before: str  # path of the first image
    after: str  # path of the second
    changes: tuple[Change, ...]
    pages: int  # all that have changed in mappings that both have


@dataclass(frozen=True)
class CoreResult:
    """A core file that was written."""

    path: str
    size: int  # bytes, with holes
    pid: int
    threads: int
    exe: str  # path of the program, empty if it has none


@dataclass(frozen=True)
class ExtractResult:
    """What was taken out of an image."""

    path: str | None  # None if it was written to a descriptor
    size: int  # bytes


@dataclass(frozen=True)
class SquashResult:
    """An image that needs no other one."""

    image: str | None  # its path; None if it went to a descriptor
    size: int  # bytes
    images: int  # whose bytes are in it
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class StoredImage:
    """One image of a store."""

    path: str
    written: str  # ISO 8601, UTC
    size: int  # bytes
    root: int | None = None  # PID of the root process
    processes: int | None = None
    command: str | None = None  # command line of the root process
    damaged: str | None = None  # what is wrong with it, None if nothing was found
    parents: tuple[str, ...] = ()  # paths of the images that it needs
    encrypted: bool = False  # what it holds is told only to who has a key


@dataclass(frozen=True)
class StoreListing:
    """The images of a folder, newest first."""

    folder: str
    images: tuple[StoredImage, ...]


@dataclass(frozen=True)
class PruneResult:
    """What was removed from a store."""

    folder: str
    kept: tuple[str, ...]  # paths, newest first
    removed: tuple[str, ...]  # paths, newest first
    freed: int  # bytes
    dry_run: bool  # nothing was removed
    needed: tuple[str, ...] = ()  # paths of older images that stay, because those that stay build on them
    partial: tuple[str, ...] = ()  # paths of images that stay, though what they build on is not there


@dataclass(frozen=True)
class RunResult:
    """How a command under care has ended."""

    status: int  # wait status of the command
    saved_on: int | None  # the signal upon which it was saved and ended
    checkpoints: int
    crashes: int  # after which it went back
