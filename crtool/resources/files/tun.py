"""Network interfaces that a program is the other end of (TUN, TAP): descriptors of /dev/net/tun.

The kernel keeps an interface as long as a descriptor is attached to it, or for good if it is persistent: name, kind,
flags, hardware address, MTU, addresses, routes. Of the descriptor it keeps the send buffer and the size of the header
before each packet; and packets that the program has not read.

We ask a borrowed descriptor by ioctl(2), and the interface by its name (netdevice(7)).

We rebuild it by attaching to the interface of that name. A persistent one has to be there. Another is made anew, with
its hardware address and MTU, and up if it was; if somebody has the name, that is refused.

Refused: interfaces in another network namespace, queues of one with several (IFF_MULTI_QUEUE), which have an order.
Lost: packets that were not read; of an interface that ends with the program its addresses and routes, and offloads.
Not seen: a queue that was detached, which comes back as if it had no interface yet.
"""

from __future__ import annotations

import errno
import os
import select
import stat
from collections.abc import Callable

from crtool.errors import EnvironmentDiffers, Obstacle
from crtool.kernel import tun
from crtool.record import dataclass
from crtool.resources.files.openfile import OpenFile

__all__ = ["TunRecord", "dump", "obstacle", "recognise", "restore"]

_DEVICE = (10, 200)  # MISC_MAJOR, TUN_MINOR
_KINDS = 0x0001 | 0x0002 | 0x0010 | 0x1000 | 0x4000  # IFF_TUN, _TAP, _NAPI, _NO_PI, _VNET_HDR: what is asked for


@dataclass(frozen=True)
class TunRecord:
    """A descriptor of /dev/net/tun."""

    path: bytes  # by which it was opened
    flags: int  # O_* as fcntl(F_GETFL) gives them
    name: bytes  # of the interface, empty if there is none yet
    kind: int  # IFF_TUN or IFF_TAP, and IFF_NO_PI…
    persistent: bool  # the interface stays when nobody is attached
    address: bytes  # of a TAP interface: its hardware address, as a struct sockaddr
    mtu: int  # bytes
    up: bool
    send_buffer: int  # bytes
    header: int  # bytes before each packet (IFF_VNET_HDR)


def recognise(file: OpenFile) -> bool:
    """Whether *file* is one."""
    if not stat.S_ISCHR(file.stat.st_mode) or file.flags & os.O_PATH:
        return False
    return (os.major(file.stat.st_rdev), os.minor(file.stat.st_rdev)) == _DEVICE


def obstacle(file: OpenFile, where: str) -> Obstacle | None:
    """Why the interface cannot be saved, if so."""
    found = tun.attached(file.local)
    if found is None:
        return None
    name, flags = found
    shown = f"the network interface {os.fsdecode(name)}"
    if not tun.in_this_namespace(file.local):
        cause = f"{shown} (TUN/TAP), which is in another network namespace, cannot be saved"
        return Obstacle(file.pid, where, cause, "run crtool in that namespace (nsenter)")
    if flags & tun.IFF_MULTI_QUEUE:
        cause = f"a queue of {shown} (TUN/TAP), which has several, cannot be saved"
        return Obstacle(file.pid, where, cause, "close it first")
    return None


def dump(file: OpenFile, lost: Callable[[OpenFile, str], None]) -> TunRecord:
    """The record of *file*; *lost* is told what does not come back."""
    found = tun.attached(file.local)
    if found is None:
        return TunRecord(file.link, file.flags, b"", 0, False, b"", 0, False, 0, 0)
    name, flags = found
    shown = os.fsdecode(name)
    poll = select.poll()
    poll.register(file.local, select.POLLIN)
    if poll.poll(0):
        lost(file, f"what came by {shown} and was not read")
    persistent = bool(flags & tun.IFF_PERSIST)
    if not persistent:
        lost(file, f"if {shown} ends with the program: what addresses and routes it has")
    mtu, status = tun.link(name)
    return TunRecord(
        path=file.link,
        flags=file.flags,
        name=name,
        kind=flags & _KINDS,
        persistent=persistent,
        address=tun.address(name) if flags & tun.IFF_TAP else b"",
        mtu=mtu,
        up=bool(status & tun.IFF_UP),
        send_buffer=tun.send_buffer(file.local),
        header=tun.header_size(file.local),
    )


def restore(record: TunRecord) -> int:
    """A new descriptor, attached to the interface."""
    shown = f"the network interface {os.fsdecode(record.name)}" if record.name else "a TUN/TAP descriptor"
    try:
        fd = os.open(record.path, record.flags | os.O_CLOEXEC)
    except OSError as error:
        cause = f"{record.path.decode(errors='replace')} cannot be opened: {error.strerror}"
        raise EnvironmentDiffers(cause, "load the kernel's module tun") from None
    try:
        if record.name:
            _attach(fd, record, shown)
    except OSError as error:
        os.close(fd)
        if error.errno in (errno.EBUSY, errno.EINVAL):
            raise EnvironmentDiffers(f"{shown} is there already and in use", "end who uses it, or rename it") from None
        cause = f"{shown} cannot be made: {os.strerror(error.errno or 0)}"
        raise EnvironmentDiffers(cause, "run crtool with CAP_NET_ADMIN") from None
    except BaseException:
        os.close(fd)
        raise
    return fd


def _attach(fd: int, record: TunRecord, shown: str) -> None:
    there = os.path.exists(b"/sys/class/net/" + record.name)
    if record.persistent and not there:
        raise EnvironmentDiffers(f"{shown}, a persistent one, is not there", "make it: ip tuntap add")
    if there and not record.persistent:
        raise EnvironmentDiffers(f"{shown} is there already", "end who uses it, or rename it")
    tun.attach(fd, record.name, record.kind)
    if not record.persistent:
        if record.address:
            tun.set_address(record.name, record.address)
        tun.set_link(record.name, record.mtu, up=record.up)
    tun.set_send_buffer(fd, record.send_buffer)
    tun.set_header_size(fd, record.header)
