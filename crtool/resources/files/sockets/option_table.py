"""Socket options, by tables.

The kernel keeps for each socket a hundred options of several levels (socket(7), ip(7), ipv6(7), udp(7)…), most of which
no program ever sets.

We read all options of the kind's table from a borrowed descriptor (getsockopt(2) changes nothing), and keep those whose
value is not that of a fresh socket of the same kind.

We rebuild them by setsockopt(2), in the order of the table: most of them on the fresh socket, before it is bound or
connected, and those that would get in the way of putting unread data back when everything else is done.

A failure is told with the option's name. An option that only makes things faster is given up with a warning.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
from collections.abc import Callable, Sequence
from functools import cache
from typing import Literal

from crtool.errors import EnvironmentDiffers, ImageError
from crtool.kernel import sockets
from crtool.record import dataclass

__all__ = ["FILLED", "FRESH", "Option", "OptionRecord", "OptionTable", "device", "device_index", "network_device"]

FRESH, FILLED = "fresh", "filled"  # when an option is given back

_SIOCGIFNAME, _SIOCGIFINDEX = 0x8910, 0x8933
_IFREQ = struct.Struct("<16si20x")  # struct ifreq with an interface's index
_ABSENT = {errno.ENOPROTOOPT, errno.EOPNOTSUPP, errno.EINVAL, errno.ENOTCONN}
_NOT_PERMITTED = {errno.EPERM, errno.EACCES}


@dataclass(frozen=True)
class OptionRecord:
    """One option that was set."""

    level: int  # SOL_*
    name: int  # SO_*, IP_*…: that by which it is read
    value: bytes  # as getsockopt(2) gives it; of an option that is a network device, its name


@dataclass(frozen=True)
class Option:
    """One line of a table. *read* and *write* are for those that are not set as they are read."""

    level: int
    name: int
    label: str
    size: int = 4  # bytes, at most
    when: str = FRESH
    always: bool = False  # kept even if it is as in a fresh socket: setting another option changes it
    optional: bool = False  # that it cannot be set is a warning
    read: Callable[[int, Option], bytes] | None = None
    write: Callable[[int, Option, bytes], None] | None = None


class OptionTable:
    """All options of one kind of socket, in the order in which they are given back."""

    def __init__(self, *options: Option) -> None:
        self.options = options
        self._by_name = {(option.level, option.name): option for option in options}

    def dump(self, fd: int) -> tuple[OptionRecord, ...]:
        """The options of *fd*, a descriptor of our own, that are not those of a fresh socket."""
        namespace = os.stat("/proc/thread-self/ns/net").st_ino
        return _fresh(self, *sockets.facts(fd), namespace).records(fd)

    def restore(
        self, fd: int, records: Sequence[OptionRecord], when: str, shown: str, warn: Callable[[str], None]
    ) -> None:
        """Sets on *fd* those options whose time is *when*. *shown*: what the socket is called for the user."""
        recorded = {(record.level, record.name): record.value for record in records}
        if unknown := recorded.keys() - self._by_name.keys():
            raise ImageError(f"{shown} has options that this crtool does not know: {sorted(unknown)}")
        for key, option in self._by_name.items():
            if option.when == when and key in recorded:
                _set(fd, option, recorded[key], shown, warn)


def _set(fd: int, option: Option, value: bytes, shown: str, warn: Callable[[str], None]) -> None:
    if _read(fd, option) == value:
        return
    try:
        if option.write is not None:
            option.write(fd, option, value)
        else:
            sockets.setsockopt(fd, option.level, option.name, value)
    except OSError as error:
        text = f"{shown}: {option.label} cannot be set: {error.strerror}"
        if option.optional:
            warn(text)
            return
        remedy = "run crtool with CAP_NET_ADMIN and CAP_NET_RAW" if error.errno in _NOT_PERMITTED else None
        if error.errno == errno.ENODEV:
            text = f"{shown}: {option.label}: there is no network device {os.fsdecode(value)} here"
            remedy = "make it, or restart on a machine that has it"
        raise EnvironmentDiffers(text, remedy) from None
    if option.optional and _read(fd, option) != value:
        warn(f"{shown}: {option.label} is not what it was: this machine does not allow it")


def _read(fd: int, option: Option) -> bytes | None:
    """The value of an option, None if such sockets do not have it."""
    try:
        if option.read is not None:
            return option.read(fd, option)
        return sockets.getsockopt(fd, option.level, option.name, option.size)
    except OSError as error:
        if error.errno in _ABSENT:
            return None
        raise


class _Fresh:
    """The options that sockets of one kind have, and their values in a new one: None if crtool may not make one."""

    def __init__(self, options: Sequence[Option], fd: int = -1) -> None:
        self._options = options
        # Most are read at once. Of these the size counts bytes: of a filter the kernel would write more than that.
        self._wanted = [(option.level, option.name, option.size) for option in options if option.read is None]
        self._apart = [(place, option) for place, option in enumerate(options) if option.read is not None]
        self._usual: Sequence[bytes | None] = self._read(fd) if fd >= 0 else (None,) * len(options)
        self._known: dict[tuple[bytes | None, ...], tuple[OptionRecord, ...]] = {}  # by the values of all

    def _read(self, fd: int) -> list[bytes | None]:
        values = sockets.getsockopts(fd, self._wanted)
        for place, option in self._apart:
            values.insert(place, _read(fd, option))
        return values

    def records(self, fd: int) -> tuple[OptionRecord, ...]:
        """Those options of *fd* that are not as in a new one. Thousands of connections of one server have the same."""
        values = tuple(self._read(fd))
        if (found := self._known.get(values)) is None:
            found = self._known[values] = tuple(
                OptionRecord(option.level, option.name, value)
                for option, value, usual in zip(self._options, values, self._usual, strict=True)
                if value is not None and (option.always or value != usual)
            )
        return found


@cache
def _fresh(table: OptionTable, family: int, kind: int, protocol: int, _namespace: int) -> _Fresh:
    """*_namespace*: the inode of the network namespace, whose settings some of them follow."""
    try:
        with sockets.opened(family, kind, protocol) as fd:
            return _Fresh([option for option in table.options if _has(fd, option)], fd)
    except OSError:
        return _Fresh(table.options)


def _has(fd: int, option: Option) -> bool:
    """Whether such sockets have the option at all: what a socket of IPv4 answers to those of IPv6 never changes."""
    if option.read is not None:
        return True
    try:
        sockets.getsockopt(fd, option.level, option.name, option.size)
    except OSError as error:
        return error.errno not in (errno.ENOPROTOOPT, errno.EOPNOTSUPP)
    return True


# -- options whose value is a network device -------------------------------------------------------------


def network_device(fd: int, index: int) -> bytes:
    """The name of the network device with *index*, in the namespace of socket *fd*; raises OSError."""
    found: bytes = fcntl.ioctl(fd, _SIOCGIFNAME, _IFREQ.pack(b"", index))
    name: bytes = _IFREQ.unpack(found)[0]
    return name.rstrip(b"\0")


def device_index(fd: int, name: bytes) -> int:
    """The index of the network device *name*; raises OSError."""
    found = fcntl.ioctl(fd, _SIOCGIFINDEX, _IFREQ.pack(name, 0))
    index: int = _IFREQ.unpack(found)[1]
    return index


def device(level: int, name: int, label: str, order: Literal["little", "big"] = "little") -> Option:
    """An option that holds the index of a network device, for which its name is kept."""

    def read(fd: int, option: Option) -> bytes:
        index = int.from_bytes(sockets.getsockopt(fd, option.level, option.name), order)
        return network_device(fd, index) if index else b""

    def write(fd: int, option: Option, value: bytes) -> None:
        index = device_index(fd, value) if value else 0
        sockets.setsockopt(fd, option.level, option.name, index.to_bytes(4, order))

    return Option(level, name, label, read=read, write=write)
