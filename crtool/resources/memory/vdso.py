"""The vDSO and its data pages.

The kernel maps into every process a small library, the vDSO, and pages of clock data that it reads ([vvar],
[vvar_vclock]). They stand at addresses that the program has stored.

We read their places from /proc/PID/maps and the vDSO's bytes from memory.

We rebuild them by moving those of the newborn, all with the same distances, with mremap(2). When this kernel's vDSO is
another build, the old one comes back as plain memory, and each of its functions is overwritten with a jump to the
function of the same name in the new one, which stays where no mapping of the program is.

A thread may be in the middle of such a function, or a handler of a signal may return into one. It goes on in the old
code, and in place of the old data finds zeros: an even sequence number, other than the one it has seen, so that it
begins again, and then no clock that can be read without the kernel (VDSO_CLOCKMODE_NONE), so that it makes the system
call (lib/vdso/gettimeofday.c).

Refused: a vDSO whose functions cannot be found by name in the new one; a thread within time(), which asks no sequence
number.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Collection, Sequence

from crtool.abi import mman
from crtool.errors import EnvironmentDiffers, ImageError
from crtool.procfs.maps import Mapping
from crtool.puppet.batch import Batch
from crtool.record import dataclass

__all__ = ["SpecialRecord", "VdsoRecord", "dump", "functions", "jumps", "place", "put_zeros", "same", "settle"]

_WITHOUT_SEQUENCE = (b"time", b"__vdso_time")
_LENGTH_OF_TIME = 48  # bytes of its code, or some more
_PLACE = re.compile(rb"^([0-9a-f]+)-([0-9a-f]+) .* \[vdso\]$", re.MULTILINE)
_NAMES = (b"[vvar]", b"[vvar_vclock]", b"[vdso]")


@dataclass(frozen=True)
class SpecialRecord:
    """One of the kernel's own mappings."""

    name: bytes  # [vdso], [vvar] or [vvar_vclock]
    start: int
    end: int


@dataclass(frozen=True)
class VdsoRecord:
    """The kernel's mappings in one address space."""

    mappings: tuple[SpecialRecord, ...]
    code: bytes  # content of [vdso]; empty if the process has none


def place(maps: bytes) -> range:
    """Where /proc/PID/maps says that the vDSO is; empty if there is none."""
    found = _PLACE.search(maps)
    return range(0) if found is None else range(int(found[1], 16), int(found[2], 16))


def dump(maps: Sequence[Mapping], read: bytes) -> VdsoRecord:
    """The record of what *maps* has; *read* is the content of [vdso]."""
    found = tuple(SpecialRecord(m.name, m.start, m.end) for m in maps if m.name in _NAMES)
    return VdsoRecord(found, read)


def same(record: VdsoRecord, here: Sequence[Mapping], code: bytes) -> bool:
    """Whether the kernel's mappings *here* (of a newborn, with the vDSO's *code*) can stand for the recorded ones."""
    mine = [(m.name, m.end - m.start) for m in here if m.name in _NAMES]
    theirs = [(s.name, s.end - s.start) for s in record.mappings]
    return record.code == code and sorted(mine) == sorted(theirs)


def settle(batch: Batch, record: VdsoRecord, here: Sequence[Mapping]) -> None:
    """Moves the newborn's mappings to their recorded places; what the program did not have is unmapped."""
    places = {special.name: special.start for special in record.mappings}
    for mapping in here:
        if mapping.name not in _NAMES:
            continue
        size = mapping.end - mapping.start
        label = mapping.name.decode()
        if mapping.name in places:
            flags = mman.MREMAP_MAYMOVE | mman.MREMAP_FIXED
            batch.call("mremap", mapping.start, size, size, flags, places[mapping.name], label=label)
        else:
            batch.call("munmap", mapping.start, size, label=label)


# ELF64: what is needed to find functions by name (elf(5)).
_PT_LOAD, _PT_DYNAMIC = 1, 2
_DT_STRTAB, _DT_SYMTAB, _DT_HASH, _DT_GNU_HASH = 5, 6, 4, 0x6FFFFEF5
_STT_FUNC = 2


def functions(code: bytes) -> dict[bytes, int]:
    """Name → offset of the functions that a vDSO image exports."""
    try:
        return _functions(code)
    except (struct.error, IndexError, ValueError):
        raise ImageError("the vDSO in the image is no ELF library", "take a new checkpoint") from None


def _functions(code: bytes) -> dict[bytes, int]:
    if code[:5] != b"\x7fELF\x02":
        raise ValueError(code[:5])
    (headers,) = struct.unpack_from("<Q", code, 32)
    (count,) = struct.unpack_from("<H", code, 56)
    dynamic: dict[int, int] = {}
    base = 0
    for number in range(count):
        kind, _, offset, address, _, size = struct.unpack_from("<IIQQQQ", code, headers + 56 * number)
        if kind == _PT_LOAD:
            base = address - offset
        elif kind == _PT_DYNAMIC:
            for at in range(offset, offset + size, 16):
                tag, value = struct.unpack_from("<QQ", code, at)
                if tag == 0:
                    break
                dynamic[tag] = value
    strings, symbols = dynamic[_DT_STRTAB] - base, dynamic[_DT_SYMTAB] - base
    found: dict[bytes, int] = {}
    for number in range(_symbol_count(code, dynamic, base)):
        name, info, _, section, value, _ = struct.unpack_from("<IBBHQQ", code, symbols + 24 * number)
        if info & 15 == _STT_FUNC and section:
            end = code.index(b"\0", strings + name)
            found[code[strings + name : end]] = value - base
    return found


def _symbol_count(code: bytes, dynamic: dict[int, int], base: int) -> int:
    if _DT_HASH in dynamic:
        _, chains = struct.unpack_from("<II", code, dynamic[_DT_HASH] - base)
        return int(chains)
    # Only a GNU hash table: the highest symbol in its buckets, and on to the end of that chain.
    at = dynamic[_DT_GNU_HASH] - base
    buckets, first, bloom, _ = struct.unpack_from("<IIII", code, at)
    table = at + 16 + 8 * bloom
    last = max(struct.unpack_from(f"<{buckets}I", code, table), default=0)
    while not struct.unpack_from("<I", code, table + 4 * buckets + 4 * (last - first))[0] & 1:
        last += 1
    return int(last) + 1


def put_zeros(batch: Batch, record: VdsoRecord) -> None:
    """Maps zeros in place of the data of the recorded vDSO, which the program gets back as plain memory."""
    flags = mman.MAP_PRIVATE | mman.MAP_ANONYMOUS | mman.MAP_FIXED_NOREPLACE
    for special in record.mappings:
        if special.name != b"[vdso]":
            size = special.end - special.start
            batch.call("mmap", special.start, size, mman.PROT_READ, flags, -1, 0, label=special.name.decode())


def jumps(record: VdsoRecord, code: bytes, at: int, instructions: Collection[int]) -> list[tuple[int, bytes]]:
    """What to write into the old vDSO (address, bytes) so that its functions run those of *code*, mapped at *at*.

    *instructions*: addresses at which threads go on; the beginning of a function that has one of them in it stays.
    """
    old = next(special.start for special in record.mappings if special.name == b"[vdso]")
    there = functions(code)
    patches = []
    for name, offset in functions(record.code).items():
        if name not in there:
            raise EnvironmentDiffers(
                f"this kernel's vDSO has no function {name.decode(errors='replace')}, which the image's has",
                "restart it under the kernel that it was checkpointed on, or a newer one",
            )
        start = old + offset
        if name in _WITHOUT_SEQUENCE and any(start < address < start + _LENGTH_OF_TIME for address in instructions):
            raise EnvironmentDiffers(
                "a thread is in the middle of time(), in the vDSO of another kernel",
                "restart it under the kernel that it was checkpointed on, or take another checkpoint",
            )
        # movabs $target, %r11; jmp *%r11
        patch = b"\x49\xbb" + struct.pack("<Q", at + there[name]) + b"\x41\xff\xe3"
        if not any(start < address < start + len(patch) for address in instructions):
            patches.append((start, patch))
    return patches
