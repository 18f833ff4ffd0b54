"""Where the members of the kernel's own structures are, from the type information that it carries (BTF).

Source: Documentation/bpf/btf.rst, include/uapi/linux/btf.h. Only structures and what leads to them is understood.
"""

from __future__ import annotations

import struct
from collections.abc import Collection

__all__ = ["Types", "read"]

_PATH = "/sys/kernel/btf/vmlinux"
_HEADER = struct.Struct("<HBBIIIII")  # magic, version, flags, hdr_len, type_off, type_len, str_off, str_len
_WORDS = struct.Struct("<II")  # name_off, info of a struct btf_type; a third word follows
_ENTRY = struct.Struct("<III")  # also a struct btf_member: name_off, type, offset in bits
_STRUCT, _UNION = 4, 5
# What follows struct btf_type, by kind: bytes once (int, array, var, decl_tag), and bytes for each of vlen (struct,
# union, enum, func_proto, datasec, enum64). What has nothing behind it is left out.
_ONCE = {1: 4, 3: 12, 14: 4, 17: 4}
_EACH = {4: 12, 5: 12, 6: 8, 13: 8, 15: 12, 19: 12}
_KINDS = 20


class Types:
    """The structures of this kernel with the names *wanted*."""

    def __init__(self, data: bytes, wanted: Collection[str]) -> None:
        _, _, _, length, types, types_length, strings, strings_length = _HEADER.unpack_from(data)
        self._data = data
        self._strings = data[length + strings : length + strings + strings_length]
        self._places = [0]  # by type ID; 0 is void
        self._found: dict[str, int] = {}
        names = {self._strings.find(f"\0{name}\0".encode()) + 1: name for name in wanted}
        once = [_ENTRY.size + _ONCE.get(kind, 0) for kind in range(32)]
        each = [_EACH.get(kind, 0) for kind in range(32)]
        place, end = length + types, length + types + types_length
        words, add = _WORDS.unpack_from, self._places.append
        while place < end:  # a hundred thousand times
            add(place)
            name, info = words(data, place)
            kind = info >> 24 & 31
            if kind == _STRUCT and name in names:
                self._found[names[name]] = place
            elif kind >= _KINDS:
                raise KeyError(f"BTF of kind {kind}")
            place += once[kind] + each[kind] * (info & 0xFFFF)

    def size(self, name: str) -> int:
        """Bytes of a structure; KeyError if this kernel has none of that name."""
        size: int = _ENTRY.unpack_from(self._data, self._found[name])[2]
        return size

    def offset(self, name: str, member: str) -> int:
        """Bytes from the start of structure *name* to *member*; KeyError if it has none."""
        found = self._member(self._found[name], member.encode())
        if found is None:
            raise KeyError(f"{name}.{member}")
        return found

    def _member(self, place: int, wanted: bytes) -> int | None:
        _, info, _ = _ENTRY.unpack_from(self._data, place)
        with_sizes = info >> 31  # then the upper byte of an offset is the size of a bit field
        for number in range(info & 0xFFFF):
            name, kind, bits = _ENTRY.unpack_from(self._data, place + (number + 1) * _ENTRY.size)
            at = (bits & 0xFFFFFF if with_sizes else bits) // 8
            if name:
                if self._strings.startswith(wanted + b"\0", name):
                    return int(at)
            elif (inner := self._member(self._aggregate(kind), wanted)) is not None:
                return int(at + inner)
        return None

    def _aggregate(self, kind: int) -> int:
        """Where the structure or union is that type *kind* is, perhaps by a qualifier."""
        place = self._places[kind]
        while _WORDS.unpack_from(self._data, place)[1] >> 24 & 31 not in (_STRUCT, _UNION):
            place = self._places[_ENTRY.unpack_from(self._data, place)[2]]
        return place


def read(wanted: Collection[str]) -> Types:
    """Of the running kernel; OSError if it has no type information, KeyError if that is of a newer form."""
    with open(_PATH, "rb") as file:
        return Types(file.read(), wanted)
