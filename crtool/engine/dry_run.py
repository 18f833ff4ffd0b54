"""What a restart would grant and touch. Nothing is made, opened or born; the image and what is here are only looked at.

All that a restart judges before it makes anything is judged here too, by the same functions. What only shows when it is
made (a port that somebody else has, a capability that crtool lacks, a CPU without some registers) does not show here.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterable, Iterator, Sequence

from crtool.abi import capability as cap
from crtool.abi.userfaultfd import FEATURE_EVENTS
from crtool.engine import touched
from crtool.engine.admit import admit
from crtool.engine.changed import ChangedFiles
from crtool.engine.forest import forest_of
from crtool.engine.ipc import judge_objects
from crtool.engine.pidfile import judge_pidfile
from crtool.engine.prepare import Prepared
from crtool.engine.results import DryRunResult, Progress
from crtool.engine.snapshot import Snapshot
from crtool.engine.terminal import judge_terminal
from crtool.engine.told import listeners
from crtool.engine.verify import open_image, require_file
from crtool.engine.where import ClockPolicy, NumbersInUse, choose, numbers_of
from crtool.errors import EnvironmentDiffers
from crtool.image.keys import Keys
from crtool.image.reader import ImageReader
from crtool.kernel import userfault
from crtool.kernel.eclone_limits import pid_max
from crtool.kernel.sweeper import Sweeper
from crtool.puppet.stem import Surroundings
from crtool.resources.files import mqueue, tty_device
from crtool.resources.files.inodes import ContentRecord, DeletedRecord, PathRecord
from crtool.resources.files.mqueue import MqueueRecord
from crtool.resources.files.openfile import remedy_for
from crtool.resources.files.regular import RegularRecord
from crtool.resources.files.sockets.unix import UnixRecord
from crtool.resources.files.sockets.unix_remake import RemadeSockets
from crtool.resources.files.tty_device import TtyDeviceRecord
from crtool.resources.memory.lazy import cannot_come_later, may_be_lazy
from crtool.resources.namespaces import own_mounts
from crtool.resources.namespaces.cgroup import CgroupNamespaceRecord
from crtool.resources.namespaces.ipc import IpcNamespaceRecord
from crtool.resources.namespaces.mounts import MountsRecord
from crtool.resources.namespaces.net import NetRecord
from crtool.resources.namespaces.uts import UtsRecord
from crtool.resources.policy import Tcp
from crtool.tree.plan import plan

__all__ = ["dry_run"]


def dry_run(
    image: str | os.PathLike[str] | int,
    *,
    detach: bool = False,
    pidfile: str | None = None,
    pidns: bool | None = None,
    clock: ClockPolicy = "auto",
    tcp: Tcp = "keep",
    trust: bool = False,
    files: ChangedFiles = "refuse",
    parents: Sequence[str | os.PathLike[str]] = (),
    signal: int = 0,
    own: bool = False,
    lazy: bool = False,
    progress: Callable[[Progress], None] | None = None,
    keys: Keys | None = None,
) -> DryRunResult:
    """Tells what ``restart`` of *image* with the same arguments would grant and touch, and does nothing of it.

    Raises what restart would raise before it makes anything: NotFound, ImageError, EnvironmentDiffers.
    """
    warnings: list[str] = []
    with open_image(image, parents, keys) as reader:
        snapshot = admit(reader, trust=trust, tcp=tcp, own=own, warn=warnings.append)
        if lazy:
            _judge_lazy(reader, snapshot)
        reader.verify(None if progress is None else lambda n, total: progress(Progress("verifying", n, total)))
        judge_terminal(snapshot, detach=detach)
        if pidfile is not None:
            judge_pidfile(pidfile)
        told = listeners(snapshot, signal)
        place = choose(snapshot, pidns=pidns, clock=clock)
        _judge_mounts(snapshot)
        apart = place.surroundings.pids
        plan(forest_of(snapshot), *((1,), pid_max()) if apart else NumbersInUse().room())
        with Prepared(snapshot, reader, apart=apart, changed=files) as prepared:  # which makes nothing by itself
            replaced = [_shown(record.path) for record in _judge_files(snapshot, prepared, files)]
            truncated = [_shown(path) for path in prepared.files.to_be_cut]
            warnings += prepared.warnings
    _judge_descriptions(snapshot, place.surroundings)
    made, changed = judge_objects(snapshot.ipc, own=place.surroundings.ipc, warn=warnings.append)
    for below in snapshot.ipc_below:
        made += judge_objects(below, own=True, warn=warnings.append)[0]
    settings = [thread.state.settings for process in snapshot.processes for thread in process.threads]
    credentials = [each.credentials for each in settings]
    capabilities = 0
    for each in credentials:
        capabilities |= each.permitted | each.inheritable | each.ambient
    return DryRunResult(
        processes=len(snapshot.processes),
        pids=tuple(sorted(numbers_of(snapshot))),
        reason=place.reason,
        pidns=apart,
        userns=place.surroundings.user,
        timens=place.surroundings.clocks is not None,
        namespaces=_once(_namespaces(snapshot)),
        users=tuple(sorted({number for each in credentials for number in each.uids})),
        groups=tuple(sorted({number for each in credentials for number in (*each.gids, *each.groups)})),
        capabilities=tuple(cap.name(number) for number in cap.numbers(capabilities)),
        setuid=_once(touched.setuid(snapshot)),
        label=_own_label(),
        seccomp=sum(each.seccomp.strict or bool(each.seccomp.filters) for each in settings),
        no_new_privs=sum(each.seccomp.no_new_privs for each in settings),
        threads=len(settings),
        written=_once(touched.written(snapshot)),
        truncated=tuple(truncated),
        replaced=_once([*replaced, *touched.replaced_sockets(snapshot)]),
        deleted=_once(_shown(each.path) for each in snapshot.files.inodes if isinstance(each, DeletedRecord)),
        bound=_once(touched.bound(snapshot)),
        raised=_once(touched.raised(snapshot)),
        ipc_made=tuple(made),
        ipc_changed=tuple(changed),
        told=tuple(sorted(told)),
        warnings=_once(warnings),
    )


def _judge_lazy(reader: ImageReader, snapshot: Snapshot) -> None:
    """Whether memory can come when everybody runs already. What the processes will ask the kernel for, crtool asks."""
    require_file(reader)
    if not any(may_be_lazy(mapping) for memory in snapshot.memories for mapping in memory.mappings):
        return
    try:
        userfault.probe(FEATURE_EVENTS)
    except OSError as error:
        raise cannot_come_later("userfaultfd", error.errno or 0) from None


def _judge_mounts(snapshot: Snapshot) -> None:
    """EnvironmentDiffers if a mount namespace of the tree cannot have the mounts that it had, as far as can be seen."""
    for namespace in snapshot.namespaces:
        if isinstance(namespace, MountsRecord):
            procs = tuple(proc.point.rstrip(b"/") + b"/" for proc in namespace.procs)
            for record, number in own_mounts.judge(namespace.own, procs):
                raise own_mounts.refusal(record, namespace.members[0], number)


def _judge_files(snapshot: Snapshot, prepared: Prepared, files: ChangedFiles) -> Iterator[PathRecord]:
    """Judges all files; gives those that would be put back."""
    for index, record in enumerate(snapshot.files.inodes):
        if isinstance(record, PathRecord):
            if files != "restore" or record.kept is None:
                prepared.files.judge(index, record, _never_fill, _never_compare)
            elif prepared.would_put_back(index, record) and not prepared.files.is_copied(index, record):
                yield record
    for description in snapshot.files.descriptions:
        if isinstance(description, RegularRecord) and not description.flags & os.O_PATH:
            _judge_rights(snapshot, description, files)


def _judge_descriptions(snapshot: Snapshot, around: Surroundings) -> None:
    """Judges what is not a file and can be looked at: unix sockets in the file system, message queues, terminals."""
    sockets = (each for each in snapshot.files.descriptions if isinstance(each, UnixRecord))
    RemadeSockets(sockets, _say_nothing, Sweeper(), apart=around.pids).judge()
    queues = None if not around.ipc or snapshot.ipc is None else {each.name for each in snapshot.ipc.posix}
    for record in snapshot.files.descriptions:
        match record:
            case MqueueRecord():
                mqueue.judge(record, queues)
            case TtyDeviceRecord():
                tty_device.judge(record)


def _say_nothing(warning: str) -> None:
    """What only the making of sockets has to tell."""


def _never_fill(fd: int, content: ContentRecord) -> None:
    raise AssertionError(fd, content)


def _never_compare(fd: int, content: ContentRecord) -> bool:
    raise AssertionError(fd, content)


def _judge_rights(snapshot: Snapshot, description: RegularRecord, files: ChangedFiles) -> None:
    """Whether crtool may open a file as it was open (access(2) with the effective ids)."""
    record = snapshot.files.inodes[description.inode]
    if not isinstance(record, PathRecord) or (files == "restore" and record.kept is not None):
        return
    mode = description.flags & os.O_ACCMODE
    wanted = {os.O_RDONLY: os.R_OK, os.O_WRONLY: os.W_OK}.get(mode, os.R_OK | os.W_OK)
    if not os.access(record.path, wanted, effective_ids=True):
        error = PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        raise EnvironmentDiffers(f"{_shown(record.path)} cannot be opened: {error.strerror}", remedy_for(error))


def _namespaces(snapshot: Snapshot) -> Iterator[str]:
    """Kinds of namespaces that the tree had made itself."""
    if any(process.namespace for process in snapshot.processes):
        yield "PID"
    if snapshot.ipc is not None and snapshot.ipc.own:
        yield "IPC"
    for record in snapshot.namespaces:
        match record:
            case UtsRecord():
                yield "UTS"
            case IpcNamespaceRecord():
                yield "IPC"
            case NetRecord():
                yield "network"
            case CgroupNamespaceRecord():
                yield "cgroup"
            case MountsRecord():
                yield "mount"
                for own in record.own:
                    what = own.source if own.content is None else b"tmpfs"
                    yield f"mount of {own.point.decode(errors='replace')} ({what.decode(errors='replace')})"


def _own_label() -> str:
    """crtool's own security label (proc_pid_attr(5)), which everybody gets; empty without a security module."""
    try:
        with open("/proc/self/attr/current", "rb") as file:
            return file.read().rstrip(b"\0\n").decode(errors="replace")
    except OSError:  # EINVAL: no module has labels
        return ""


def _shown(path: bytes) -> str:
    return path.decode(errors="replace")


def _once(found: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(found))
