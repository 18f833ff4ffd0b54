"""What a restart would grant and touch. Nothing is made, opened or born; the image and what is here are only looked at.

All that a restart judges before it makes anything is judged here too, by the same functions. What only shows when it is
made (a port that somebody else has, a capability that crtool lacks, a CPU without some registers) does not show here.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence

from crtool.abi import capability as cap
from crtool.abi import mman
from crtool.abi.userfaultfd import FEATURE_EVENTS
from crtool.engine.admit import admit
from crtool.engine.changed import ChangedFiles
from crtool.engine.forest import forest_of
from crtool.engine.ipc import judge_objects
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
from crtool.resources.files.inodes import ContentRecord, DeletedRecord, MountedRecord, PathRecord
from crtool.resources.files.mqueue import MqueueRecord
from crtool.resources.files.pipes import PipeEndRecord
from crtool.resources.files.regular import RegularRecord
from crtool.resources.files.sockets.datagram import InetRecord
from crtool.resources.files.sockets.packet import PacketRecord
from crtool.resources.files.sockets.tcp import TcpRecord
from crtool.resources.files.sockets.tcp import show as show_address
from crtool.resources.files.sockets.unix import UnixRecord, shown_name
from crtool.resources.files.tun import TunRecord
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
        told = listeners(snapshot, signal)
        place = choose(snapshot, pidns=pidns, clock=clock)
        _judge_mounts(snapshot)
        apart = place.surroundings.pids
        plan(forest_of(snapshot), *((1,), pid_max()) if apart else NumbersInUse().room())
        with Prepared(snapshot, reader, apart=apart, changed=files) as prepared:  # which makes nothing by itself
            replaced = [_shown(record.path) for record in _judge_files(snapshot, prepared, files)]
            truncated = [_shown(path) for path in prepared.files.to_be_cut]
            warnings += prepared.warnings
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
        setuid=_once(_setuid(snapshot)),
        label=_own_label(),
        seccomp=sum(each.seccomp.strict or bool(each.seccomp.filters) for each in settings),
        no_new_privs=sum(each.seccomp.no_new_privs for each in settings),
        threads=len(settings),
        written=_once(_written(snapshot)),
        truncated=tuple(truncated),
        replaced=_once([*replaced, *_replaced_sockets(snapshot)]),
        deleted=_once(_shown(each.path) for each in snapshot.files.inodes if isinstance(each, DeletedRecord)),
        bound=_once(_bound(snapshot)),
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
        raise EnvironmentDiffers(
            f"{_shown(record.path)} cannot be opened: {os.strerror(errno.EACCES)}",
            "put the file back, with the rights that it had",
        )


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


def _setuid(snapshot: Snapshot) -> Iterator[str]:
    """Programs and mapped code with a set-user-ID or set-group-ID bit, at the checkpoint or now."""
    for memory in snapshot.memories:
        mapped = [each.inode for each in memory.mappings if each.inode >= 0 and each.protection & mman.PROT_EXEC]
        for index in (memory.exe, *mapped):
            record = snapshot.files.inodes[index]
            if isinstance(record, PathRecord | DeletedRecord):
                modes = [record.mode]
                if isinstance(record, PathRecord):
                    modes.append(os.lstat(record.path).st_mode if os.path.lexists(record.path) else 0)
                if any(mode & (stat.S_ISUID | stat.S_ISGID) for mode in modes):
                    yield _shown(record.path)


def _written(snapshot: Snapshot) -> Iterator[str]:
    """Files with a name that are opened for writing, by a descriptor or by a shared mapping."""
    inodes = [each.inode for memory in snapshot.memories for each in memory.mappings if each.shared and each.may_write]
    for description in snapshot.files.descriptions:
        if isinstance(description, RegularRecord | PipeEndRecord) and not description.flags & os.O_PATH:
            if description.flags & os.O_ACCMODE == os.O_RDONLY:
                continue
            if isinstance(description, RegularRecord):
                inodes.append(description.inode)
            else:
                inodes.append(snapshot.files.pipes[description.pipe].inode)
    for index in inodes:
        record = snapshot.files.inodes[index] if index >= 0 else None
        if isinstance(record, PathRecord | MountedRecord):
            yield _shown(record.path)


def _replaced_sockets(snapshot: Snapshot) -> Iterator[str]:
    """Files of unix sockets that are there and would make room for new ones."""
    for record in snapshot.files.descriptions:
        file = record.file if isinstance(record, UnixRecord) else None
        if file is not None and not file.deleted and os.path.lexists(file.path):
            yield _shown(file.path)


def _bound(snapshot: Snapshot) -> Iterator[str]:
    for record in snapshot.files.descriptions:
        match record:
            case TcpRecord(local=local) if local:
                yield f"tcp {show_address(local)}"
            case InetRecord(local=local) if local:
                protocol = "udp" if record.protocol == _IPPROTO_UDP else f"protocol {record.protocol}"
                yield f"{protocol} {show_address(local)}"
            case MqueueRecord() if record.name:
                yield f"message queue {_shown(record.name)}"
            case TunRecord() if record.name:
                yield f"network interface {_shown(record.name)}"
            case PacketRecord():
                yield f"packet {_shown(record.device) or '*'}"
            case UnixRecord() if record.name:
                yield shown_name(record.name)


_IPPROTO_UDP = 17  # include/uapi/linux/in.h


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
