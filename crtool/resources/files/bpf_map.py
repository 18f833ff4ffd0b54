"""BPF maps that a program keeps for itself (bpf(2)): arrays, hash tables, tries of prefixes.

The kernel keeps a map as long as a descriptor, a pin in a bpffs or a program of its own uses it: kind, sizes, flags,
name, entries, and whether users may still change it (BPF_MAP_FREEZE). A descriptor may be for reading or writing only.

We ask it for its description and for every entry, by a second descriptor if the program's is for writing only;
fdinfo tells whether it is frozen; and all loaded programs, whether they use it.

We rebuild it by making a new one and putting the entries back. The first descriptor makes it, the others are opened by
its new number, each with its own rights.

Refused: maps that a loaded program uses, which would go on with the old one; other kinds, and maps with type
information, on a network device or in a mapping. Lost: which entries of an LRU table were used last. Not seen: a pin.
"""

from __future__ import annotations

import os

from crtool.errors import EnvironmentDiffers, Obstacle
from crtool.kernel import bpf
from crtool.kernel.bpf import MapInfo
from crtool.record import dataclass
from crtool.resources.files.openfile import OpenFile

__all__ = ["BpfMapRecord", "dump", "obstacle", "recognise", "restore"]

_LINK = b"anon_inode:bpf-map"
_HASH, _ARRAY, _LRU_HASH, _LPM_TRIE = 1, 2, 9, 11  # BPF_MAP_TYPE_*
_KINDS = (_HASH, _ARRAY, _LRU_HASH, _LPM_TRIE)
_NUMA_NODE = 1 << 2  # BPF_F_NUMA_NODE: on which is not told
_ACCESS = {os.O_RDONLY: 1 << 3, os.O_WRONLY: 1 << 4, os.O_RDWR: 0}  # BPF_F_RDONLY, BPF_F_WRONLY


@dataclass(frozen=True)
class BpfMapRecord:
    """A descriptor of a map."""

    number: int  # by which the kernel knew the map: descriptors of one map have the same
    access: int  # O_RDONLY, O_WRONLY, O_RDWR
    kind: int  # BPF_MAP_TYPE_*
    key_size: int  # bytes
    value_size: int  # bytes
    most: int  # entries
    flags: int  # BPF_F_*
    name: bytes
    extra: int  # map_extra
    frozen: bool  # users may change nothing any more
    entries: tuple[tuple[bytes, bytes], ...]  # keys and values; of an array those that are not zero


def recognise(file: OpenFile) -> bool:
    """Whether *file* is a BPF map."""
    return file.link == _LINK


def obstacle(file: OpenFile, where: str) -> Obstacle | None:
    """Why the map cannot be saved, if so."""
    try:
        found = bpf.info(file.local)
        if found.kind not in _KINDS:
            cause = f"a BPF map of type {found.kind} cannot be saved: only arrays, hash tables and tries"
            return Obstacle(file.pid, where, cause, "close it first")
        if found.types or found.device or found.flags & _NUMA_NODE:
            cause = "a BPF map with type information, on a network device or on a NUMA node cannot be saved"
            return Obstacle(file.pid, where, cause, "close it first")
        if (program := next(bpf.programs(found.number), None)) is not None:
            cause = f"a BPF map that the loaded BPF program {program} uses cannot be saved"
            return Obstacle(file.pid, where, cause, "unload the program first")
    except OSError as error:
        return Obstacle(file.pid, where, f"a BPF map cannot be read: {error.strerror}", "run crtool as root")
    return None


def dump(file: OpenFile) -> BpfMapRecord:
    """The record of *file*."""
    found = bpf.info(file.local)
    fd = bpf.open_map(found.number, 0)
    try:
        entries = tuple((key, value) for key, value in bpf.items(fd, found) if found.kind != _ARRAY or any(value))
    finally:
        os.close(fd)
    return BpfMapRecord(
        number=found.number,
        access=file.flags & os.O_ACCMODE,
        kind=found.kind,
        key_size=found.key_size,
        value_size=found.value_size,
        most=found.most,
        flags=found.flags,
        name=found.name,
        extra=found.extra,
        frozen=file.info.get("frozen") == b"1",
        entries=entries,
    )


def restore(record: BpfMapRecord, made: int) -> tuple[int, int]:
    """A new descriptor, and the number of the map. *made*: its number if it was restored already, else 0."""
    try:
        if made:
            return bpf.open_map(made, _ACCESS[record.access]), made
        fd = _new(record)
        number = bpf.info(fd).number
        if record.access == os.O_RDWR:
            return fd, number
        try:
            return bpf.open_map(number, _ACCESS[record.access]), number
        finally:
            os.close(fd)
    except OSError as error:
        cause = f"a BPF map of {record.most} entries cannot be made: {error.strerror}"
        raise EnvironmentDiffers(cause, "run crtool with CAP_BPF, on a kernel with bpf(2)") from None


def _new(record: BpfMapRecord) -> int:
    wanted = MapInfo(
        record.kind, 0, record.key_size, record.value_size, record.most, record.flags, record.name, 0, 0, record.extra
    )
    fd = bpf.create(wanted)
    try:
        for key, value in record.entries:
            bpf.update(fd, key, value)
        if record.frozen:
            bpf.freeze(fd)
    except BaseException:
        os.close(fd)
        raise
    return fd
