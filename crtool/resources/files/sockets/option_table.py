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
        options, wanted, usual = _fresh(self, *sockets.facts(fd), namespace)
        return tuple(
            OptionRecord(option.level, option.name, value)
            for option, value, fresh in zip(options, _read_all(fd, options, wanted), usual, strict=True)
            if value is not None and (option.always or value != fresh)
        )

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


_Wanted = tuple[tuple[int, int, int], ...]  # level, name, size


def _wanted(options: Sequence[Option]) -> _Wanted:
    """Those whose size counts bytes: of a filter the kernel would write more than that."""
    return tuple((option.level, option.name, option.size) for option in options if option.read is None)


def _read_all(fd: int, options: Sequence[Option], wanted: _Wanted) -> list[bytes | None]:
    values = iter(sockets.getsockopts(fd, wanted))
    return [next(values) if option.read is None else _read(fd, option) for option in options]


@cache
def _fresh(
    table: OptionTable, family: int, kind: int, protocol: int, _namespace: int
) -> tuple[tuple[Option, ...], _Wanted, tuple[bytes | None, ...]]:
    """The options that such sockets have, what is to be asked for them all, and their values in a new one: nothing but
    None if crtool may not make one.

    *_namespace*: the inode of the network namespace, whose settings some of them follow.
    """
    try:
        with sockets.opened(family, kind, protocol) as fd:
            options = tuple(option for option in table.options if _has(fd, option))
            wanted = _wanted(options)
            return options, wanted, tuple(_read_all(fd, options, wanted))
    except OSError:
        return table.options, _wanted(table.options), (None,) * len(table.options)


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
