"""What a restart would grant, open, bind and put in the place of other things, by the records of an image, in words."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator

from crtool.abi import mman
from crtool.abi.ip import IPPROTO_ICMP, IPPROTO_ICMPV6, IPPROTO_UDP, IPPROTO_UDPLITE
from crtool.abi.socket import SOCK_RAW
from crtool.engine.snapshot import Snapshot
from crtool.resources import limits, oom, scheduling
from crtool.resources.files import procfs
from crtool.resources.files.inodes import DeletedRecord, MountedRecord, PathRecord
from crtool.resources.files.mqueue import MqueueRecord
from crtool.resources.files.pipes import PipeEndRecord
from crtool.resources.files.procfs import ProcfsRecord
from crtool.resources.files.regular import RegularRecord
from crtool.resources.files.sockets import netlink
from crtool.resources.files.sockets.datagram import InetRecord
from crtool.resources.files.sockets.netlink import NetlinkRecord
from crtool.resources.files.sockets.packet import PacketRecord
from crtool.resources.files.sockets.tcp import TcpRecord
from crtool.resources.files.sockets.tcp import show as show_address
from crtool.resources.files.sockets.unix import UnixRecord, shown_name
from crtool.resources.files.tty_device import TtyDeviceRecord
from crtool.resources.files.tun import TunRecord

__all__ = ["bound", "raised", "replaced_sockets", "setuid", "written"]

_PROTOCOLS = {IPPROTO_ICMP: "icmp", IPPROTO_UDP: "udp", IPPROTO_ICMPV6: "icmpv6", IPPROTO_UDPLITE: "udplite"}


def raised(snapshot: Snapshot) -> Iterator[str]:
    """What processes would have more of than crtool itself: their rank among others, and resource limits."""
    own_oom, own_rank, own_limits = oom.dump(os.getpid()), scheduling.dump(os.getpid()), limits.dump(os.getpid())
    for process in snapshot.processes:
        for thread in process.threads:
            yield from scheduling.above(thread.state.settings.scheduling, own_rank)
        if process.state is not None:
            yield from oom.above(process.state.settings.oom, own_oom)
            yield from limits.above(process.state.settings.limits, own_limits)


def setuid(snapshot: Snapshot) -> Iterator[str]:
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


def written(snapshot: Snapshot) -> Iterator[str]:
    """What has a name and is opened for writing, by a descriptor or by a shared mapping: files, devices, processes."""
    inodes = [each.inode for memory in snapshot.memories for each in memory.mappings if each.shared and each.may_write]
    for each in snapshot.files.descriptions:
        if not isinstance(each, RegularRecord | PipeEndRecord | TtyDeviceRecord | ProcfsRecord):
            continue
        if each.flags & os.O_PATH or each.flags & os.O_ACCMODE == os.O_RDONLY:
            continue
        match each:
            case RegularRecord():
                inodes.append(each.inode)
            case PipeEndRecord():
                inodes.append(snapshot.files.pipes[each.pipe].inode)
            case TtyDeviceRecord():
                yield _shown(each.path)
            case ProcfsRecord():
                yield _shown(procfs.name_of(each))
    for index in inodes:
        record = snapshot.files.inodes[index] if index >= 0 else None
        if isinstance(record, PathRecord | MountedRecord):
            yield _shown(record.path)


def replaced_sockets(snapshot: Snapshot) -> Iterator[str]:
    """Files of unix sockets that are there and would make room for new ones."""
    for record in snapshot.files.descriptions:
        file = record.file if isinstance(record, UnixRecord) else None
        if file is not None and not file.deleted and os.path.lexists(file.path):
            yield _shown(file.path)


def bound(snapshot: Snapshot) -> Iterator[str]:
    """Kind and address of sockets, and names of what others reach by them."""
    for record in snapshot.files.descriptions:
        match record:
            case TcpRecord(local=local) if local:
                yield f"tcp {show_address(local)}"
            case InetRecord(kind=kind, local=local):
                protocol = _PROTOCOLS.get(record.protocol, f"protocol {record.protocol}")
                if kind == SOCK_RAW:  # receives all of its protocol, bound or not
                    yield f"raw {protocol} {show_address(local).rpartition(':')[0] or '*'}"
                elif local:
                    yield f"{protocol} {show_address(local)}"
            case NetlinkRecord() if record.port or record.groups:
                yield netlink.shown(record)
            case MqueueRecord() if record.name:
                yield f"message queue {_shown(record.name)}"
            case TunRecord() if record.name:
                yield f"network interface {_shown(record.name)}"
            case PacketRecord():
                yield f"packet {_shown(record.device) or '*'}"
            case UnixRecord() if record.name:
                yield shown_name(record.name)


def _shown(path: bytes) -> str:
    return path.decode(errors="replace")
