"""Where the members of the kernel's own structures are, from the type information that it carries (BTF).

Source: Documentation/bpf/btf.rst, include/uapi/linux/btf.h. Only structures, what leads to them, and functions are
understood.
"""

from __future__ import annotations

import mmap
import os
import struct
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager

from crtool.record import dataclass

__all__ = ["Member", "Types", "read", "search", "why_not"]

_PATH = "/sys/kernel/btf/vmlinux"
_HEADER = struct.Struct("<HBBIIIII")  # magic, version, flags, hdr_len, type_off, type_len, str_off, str_len
_WORDS = struct.Struct("<II")  # name_off, info of a struct btf_type; a third word follows
_ENTRY = struct.Struct("<III")  # also a struct btf_member: name_off, type, offset in bits
_STRUCT, _UNION, _FUNC = 4, 5, 12
_SAME = (8, 9, 10, 11, 18)  # typedef, volatile, const, restrict, type tag: what they name is meant
# What follows struct btf_type, by kind: bytes once (int, array, var, decl_tag), and bytes for each of vlen (struct,
# union, enum, func_proto, datasec, enum64). What has nothing behind it is left out.
_ONCE = {1: 4, 3: 12, 14: 4, 17: 4}
_EACH = {4: 12, 5: 12, 6: 8, 13: 8, 15: 12, 19: 12}
_KINDS = 20


@dataclass(frozen=True)
class Member:
    """Where a member lies."""

    offset: int  # bytes from the start of the structure
    bit: int  # of that byte, from the lowest
    bits: int  # of a bit field, 0 for any other member


class Types:
    """The structures and functions of this kernel with the names *wanted*."""

    def __init__(self, data: bytes | mmap.mmap, wanted: Collection[str], *, whole: bool = True) -> None:
        """Goes through all types. If not *whole*, structures are searched for, which takes a fiftieth of that but is
        only as good as the trial that follows, and types are counted as far as it takes.
        """
        _, _, _, length, types, types_length, strings, strings_length = _HEADER.unpack_from(data)
        self._data = data
        self._strings, end = length + strings, length + strings + strings_length  # copying either would take 5 ms
        self._range = length + types, length + types + types_length
        self._places = [0]  # by type ID; 0 is void
        self._found: dict[str, int] = {}
        self._functions: dict[str, int] = {}
        names = {data.find(f"\0{name}\0".encode(), self._strings, end) + 1 - self._strings: name for name in wanted}
        self._counting = self._count(names)
        if whole:
            for _ in self._counting:
                pass
            return
        for number, name in names.items():
            if number > 0 and (place := self._search(number)) is not None:
                self._found[name] = place

    def _count(self, names: dict[int, str]) -> Iterator[None]:
        """Notes where each type is, and of which of *names*; stops now and then."""
        once = [_ENTRY.size + _ONCE.get(kind, 0) for kind in range(32)]
        each = [_EACH.get(kind, 0) for kind in range(32)]
        place, end = self._range
        words, add, data, places = _WORDS.unpack_from, self._places.append, self._data, self._places
        while place < end:  # a hundred thousand times
            add(place)
            name, info = words(data, place)
            kind = info >> 24 & 31
            if kind == _STRUCT and name in names:
                self._found[names[name]] = place
            elif kind == _FUNC and name in names:
                self._functions[names[name]] = len(places) - 1
            elif kind >= _KINDS:
                raise KeyError(f"BTF of kind {kind}")
            place += once[kind] + each[kind] * (info & 0xFFFF)
            if not len(places) & 255:
                yield

    def _search(self, name: int) -> int | None:
        """Where the structure is whose name stands at *name* among the strings."""
        place, end = self._range
        pattern = name.to_bytes(4, "little")
        while (place := self._data.find(pattern, place, end)) >= 0:
            if place % 4 == 0 and _WORDS.unpack_from(self._data, place)[1] >> 24 & 31 == _STRUCT:
                return place
            place += 1
        return None

    def _place(self, kind: int) -> int:
        """Where type *kind* is."""
        while len(self._places) <= kind and next(self._counting, self) is None:
            pass
        return self._places[kind]

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

    def function(self, name: str) -> int:
        """The type ID of a function; KeyError if this kernel has none of that name."""
        return self._functions[name]

    def members(self, name: str) -> set[str]:
        """What structure *name* has, also in structures without a name within it; KeyError if there is none."""
        return {found.decode() for found in self._names(self._found[name])}

    def member(self, name: str, path: str) -> Member:
        """Where *path* (``member.member``) lies in structure *name*; KeyError if it has none."""
        place, at, bits = self._found[name], 0, 0
        for part in path.split("."):
            found = self._find(place, part.encode())
            if found is None:
                raise KeyError(f"{name}.{path}")
            place, offset, bits = self._meant(found[0]), found[1], found[2]
            at += offset
        return Member(at // 8, at % 8, bits)

    def _name(self, number: int) -> bytes:
        start = self._strings + number
        return self._data[start : self._data.find(b"\0", start)]

    def _parts(self, place: int) -> Iterator[tuple[bytes, int, int, int]]:
        """Name, type ID, offset in bits and size of a bit field, of each member of the structure or union there."""
        _, info, _ = _ENTRY.unpack_from(self._data, place)
        if info >> 24 & 31 not in (_STRUCT, _UNION):
            return
        for number in range(info & 0xFFFF):
            name, kind, bits = _ENTRY.unpack_from(self._data, place + (number + 1) * _ENTRY.size)
            size = bits >> 24 if info >> 31 else 0
            yield self._name(name), kind, bits & 0xFFFFFF if info >> 31 else bits, size

    def _find(self, place: int, wanted: bytes) -> tuple[int, int, int] | None:
        for name, kind, offset, size in self._parts(place):
            if name == wanted:
                return kind, offset, size
            if not name and (inner := self._find(self._meant(kind), wanted)) is not None:
                return inner[0], offset + inner[1], inner[2]
        return None

    def _names(self, place: int) -> Iterator[bytes]:
        for name, kind, _, _ in self._parts(place):
            if name:
                yield name
            else:
                yield from self._names(self._meant(kind))

    def _meant(self, kind: int) -> int:
        """Where type *kind* is, perhaps by qualifiers."""
        place = self._place(kind)
        while _WORDS.unpack_from(self._data, place)[1] >> 24 & 31 in _SAME:
            place = self._place(_ENTRY.unpack_from(self._data, place)[2])
        return place

    def _member(self, place: int, wanted: bytes) -> int | None:
        _, info, _ = _ENTRY.unpack_from(self._data, place)
        with_sizes = info >> 31  # then the upper byte of an offset is the size of a bit field
        for number in range(info & 0xFFFF):
            name, kind, bits = _ENTRY.unpack_from(self._data, place + (number + 1) * _ENTRY.size)
            at = (bits & 0xFFFFFF if with_sizes else bits) // 8
            if name:
                if self._name(name) == wanted:
                    return int(at)
            elif (inner := self._member(self._aggregate(kind), wanted)) is not None:
                return int(at + inner)
        return None

    def _aggregate(self, kind: int) -> int:
        """Where the structure or union is that type *kind* is, perhaps by a qualifier."""
        place = self._place(kind)
        while _WORDS.unpack_from(self._data, place)[1] >> 24 & 31 not in (_STRUCT, _UNION):
            place = self._place(_ENTRY.unpack_from(self._data, place)[2])
        return place


def read(wanted: Collection[str]) -> Types:
    """Of the running kernel; OSError if it has no type information, KeyError if that is of a newer form."""
    with open(_PATH, "rb") as file:
        return Types(file.read(), wanted)


@contextmanager
def search(wanted: Collection[str]) -> Iterator[Types]:
    """The same in 2 ms instead of 100, of structures only; what is found has to be tried out before it is believed.

    It stays mapped no longer: a program that uses crtool is saved as well.
    """
    with ExitStack() as stack:
        file = stack.enter_context(open(_PATH, "rb"))
        data: bytes | mmap.mmap
        try:  # a539e2a6d51d ("btf: Allow mmap of vmlinux btf"), in v6.16
            data = mmap.mmap(file.fileno(), 0, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ)
            stack.callback(data.close)
        except OSError:
            data = file.read()
        yield Types(data, wanted, whole=False)


def why_not(trial: Callable[[], str | None]) -> str | None:
    """What *trial* says of a look at the kernel's structures, or why it could not be made."""
    try:
        return trial()
    except FileNotFoundError:
        return "this kernel has no type information (BTF)"
    except OSError as error:
        return f"BPF: {os.strerror(error.errno or 0)}"
    except KeyError as error:
        return f"this kernel has no {error.args[0]}"
