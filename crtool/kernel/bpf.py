"""BPF maps by bpf(2): what one is like, its content, and new ones.

Sources: man 2 bpf, include/uapi/linux/bpf.h (union bpf_attr, struct bpf_map_info, struct bpf_prog_info).
"""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Iterator

from crtool.kernel.syscall import memory_address, syscall
from crtool.record import dataclass

__all__ = ["MapInfo", "bpf", "create", "freeze", "info", "items", "open_map", "programs", "update"]

_CREATE, _LOOKUP, _UPDATE, _NEXT_KEY = 0, 1, 2, 4
_NEXT_PROGRAM, _PROGRAM_BY_ID, _MAP_BY_ID, _INFO_BY_FD, _FREEZE = 11, 13, 14, 15, 22
_ATTR_SIZE = 144  # bytes of union bpf_attr that are filled here, zeros behind
_MAP_INFO = struct.Struct("<6I16sIIQQIII4xQ")
_PROGRAM_INFO_SIZE = 232
_MAP_IDS = struct.Struct("<IQ")  # nr_map_ids, map_ids
_MAP_IDS_AT = 52


@dataclass(frozen=True)
class MapInfo:
    """struct bpf_map_info, as far as it is of use here."""

    kind: int  # BPF_MAP_TYPE_*
    number: int  # by which the kernel knows it
    key_size: int  # bytes
    value_size: int  # bytes
    most: int  # entries
    flags: int  # BPF_F_*
    name: bytes
    device: int  # index of the network device that holds it, 0 for none
    types: int  # number of the type information (BTF) that describes it, 0 for none
    extra: int


def bpf(command: int, attr: bytes) -> int:
    """bpf(2): *attr* is the beginning of its union, behind which it is filled with zeros; raises OSError."""
    buffer = bytearray(attr.ljust(_ATTR_SIZE, b"\0"))
    return syscall("bpf", command, memory_address(memoryview(buffer)), len(buffer))


def _describe(fd: int, answer: bytearray) -> None:
    address = memory_address(memoryview(answer))
    bpf(_INFO_BY_FD, struct.pack("<IIQ", fd, len(answer), address))


def info(fd: int) -> MapInfo:
    """What map *fd* is like; raises OSError."""
    answer = bytearray(_MAP_INFO.size)
    _describe(fd, answer)
    kind, number, key, value, most, flags, name, device, *rest = _MAP_INFO.unpack(answer)
    return MapInfo(kind, number, key, value, most, flags, name.rstrip(b"\0"), device, rest[3], rest[6])


def items(fd: int, found: MapInfo) -> Iterator[tuple[bytes, bytes]]:
    """The keys and values of map *fd*, which nobody changes meanwhile; raises OSError."""
    key, value = ctypes.create_string_buffer(found.key_size), ctypes.create_string_buffer(found.value_size)
    after = ctypes.create_string_buffer(found.key_size)
    place = 0  # NULL: the first key
    while True:
        try:
            bpf(_NEXT_KEY, struct.pack("<I4xQQ", fd, place, ctypes.addressof(after)))
        except FileNotFoundError:
            return
        key.raw = after.raw
        place = ctypes.addressof(key)
        bpf(_LOOKUP, struct.pack("<I4xQQ", fd, place, ctypes.addressof(value)))
        yield key.raw, value.raw


def create(wanted: MapInfo) -> int:
    """A new map like *wanted*, empty, close-on-exec; raises OSError."""
    attr = struct.pack(
        "<7I16s5IQ", wanted.kind, wanted.key_size, wanted.value_size, wanted.most, wanted.flags, 0, 0, wanted.name,
        0, 0, 0, 0, 0, wanted.extra,
    )  # fmt: skip
    return bpf(_CREATE, attr)


def update(fd: int, key: bytes, value: bytes) -> None:
    """Puts an entry into a map; raises OSError."""
    a, b = ctypes.create_string_buffer(key, len(key)), ctypes.create_string_buffer(value, len(value))
    bpf(_UPDATE, struct.pack("<I4xQQQ", fd, ctypes.addressof(a), ctypes.addressof(b), 0))


def freeze(fd: int) -> None:
    """From now on no program of users changes the map (BPF_MAP_FREEZE, since 5.2)."""
    bpf(_FREEZE, struct.pack("<I", fd))


def open_map(number: int, flags: int) -> int:
    """One more descriptor of the map that the kernel knows by *number*; *flags*: BPF_F_RDONLY, BPF_F_WRONLY."""
    return bpf(_MAP_BY_ID, struct.pack("<III", number, 0, flags))


def programs(number: int) -> Iterator[int]:
    """The numbers of the loaded programs that use map *number*; raises OSError."""
    program = 0
    while True:
        attr = bytearray(struct.pack("<III", program, 0, 0).ljust(_ATTR_SIZE, b"\0"))
        try:
            syscall("bpf", _NEXT_PROGRAM, memory_address(memoryview(attr)), len(attr))
        except FileNotFoundError:
            return
        (program,) = struct.unpack_from("<I", attr, 4)
        try:
            fd = bpf(_PROGRAM_BY_ID, struct.pack("<I", program))
        except FileNotFoundError:
            continue  # unloaded meanwhile
        try:
            used = number in _maps_of(fd)
        finally:
            os.close(fd)
        if used:
            yield program


def _maps_of(fd: int) -> tuple[int, ...]:
    answer = bytearray(_PROGRAM_INFO_SIZE)
    _describe(fd, answer)
    count, _ = _MAP_IDS.unpack_from(answer, _MAP_IDS_AT)
    if not count:
        return ()
    numbers = (ctypes.c_uint32 * count)()
    answer = bytearray(_PROGRAM_INFO_SIZE)
    struct.pack_into("<IQ", answer, _MAP_IDS_AT, count, ctypes.addressof(numbers))
    _describe(fd, answer)
    return tuple(numbers)
