"""/proc/PID/smaps."""

from __future__ import annotations

import ctypes
import mmap
import os
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crtool.abi import mman
from crtool.procfs import maps, smaps
from crtool.procfs.error import ProcfsError
from crtool.procfs.read import read

_GIB = 1 << 30


def test_sample(sample: Callable[[str], bytes]) -> None:
    found = smaps.parse(sample("smaps"))
    by_name = {entry.mapping.name: entry for entry in found}

    assert 38 == len(found)
    assert frozenset({"rd", "ex", "mr", "mw", "me"}) == found[1].flags
    assert 4096 == found[0].page_size
    assert by_name[b"[stack]"].rss == 8 * 1024
    assert "gd" in by_name[b"[stack]"].flags
    assert "de" in by_name[b"[vdso]"].flags
    assert frozenset({"ex"}) == by_name[b"[vsyscall]"].flags
    assert all(entry.locked == entry.swap == entry.protection_key == 0 for entry in found)


def test_the_mappings_are_those_of_maps() -> None:
    pid = os.getpid()
    # Twice, since the objects that the first parse makes may make the heap grow.
    for _ in range(5):
        before = maps.parse(read(pid, "maps"))
        seen = tuple(entry.mapping for entry in smaps.parse(read(pid, "smaps")))
        if before == seen:
            return
    pytest.fail("maps and smaps never agree")


def _record(key: bytes = b"", value: int = 0, kib: int = 4) -> bytes:
    """A record with the keys of a CPU that has protection keys, and one number changed."""
    values = {
        b"Size": kib,
        b"KernelPageSize": 4,
        b"MMUPageSize": 4,
        b"Rss": kib,
        b"AnonHugePages": 2,
        b"Swap": 3,
        b"SwapPss": 9,
        b"Locked": 1,
    }
    if key:
        values[key] = value
    return (
        b"7f0000000000-7f0000001000 rw-p 00000000 00:00 0 \n"
        + b"".join(b"%-16s%8d kB\n" % (known + b":", number) for known, number in values.items())
        + b"THPeligible:    %8d\nProtectionKey:  %8d\n" % (1, 5)
        + b"VmFlags: rd wr mr mw me ac sd \n"
    )


def test_all_fields() -> None:
    (entry,) = smaps.parse(_record())

    assert (4096, 4096, 1024, 2048, 3072) == (
        entry.page_size,
        entry.rss,
        entry.locked,
        entry.anon_huge_pages,
        entry.swap,
    )
    assert entry.thp_eligible
    assert 5 == entry.protection_key
    assert frozenset({"rd", "wr", "mr", "mw", "me", "ac", "sd"}) == entry.flags


@given(st.lists(st.tuples(st.sampled_from([b"Size", b"Rss", b"Swap", b"Locked"]), st.integers(0, 1 << 34))))
def test_numbers_of_any_width(changes: list[tuple[bytes, int]]) -> None:
    """Numbers of nine and more digits shift all that follows, in whichever record they are."""
    found = smaps.parse(b"".join(_record(key, value) for key, value in changes))

    assert len(changes) == len(found)
    for entry, (key, value) in zip(found, changes, strict=True):
        assert (value if key == b"Rss" else 4) * 1024 == entry.rss
        assert (value if key == b"Swap" else 3) * 1024 == entry.swap
        assert (value if key == b"Locked" else 1) * 1024 == entry.locked
        assert 5 == entry.protection_key


def test_a_kernel_without_protection_keys() -> None:
    data = _record().replace(b"ProtectionKey:         5\n", b"")

    assert 0 == smaps.parse(data)[0].protection_key


@pytest.mark.parametrize(
    "data",
    [
        b"x",
        _record()[:-1],
        _record().replace(b"Rss:", b"RSS:"),
        _record().replace(b"Rss:                   4 kB", b"Rss:                   x kB"),
        _record().replace(b"rw-p", b"rw"),
        _record() + b"7f0000001000-7f0000002000 rw-p 00000000 00:00 0 \n",
    ],
)
def test_bad_record(data: bytes) -> None:
    with pytest.raises(ProcfsError):
        smaps.parse(data)


def test_nothing() -> None:
    assert () == smaps.parse(b"")


@given(st.binary())
def test_any_bytes_give_records_or_the_one_error(data: bytes) -> None:
    for whole in (data, _record() + data, _record().replace(b"ac", data)):
        try:
            smaps.parse(whole)
        except ProcfsError:
            continue


def test_this_process() -> None:
    """Advice and locks as they were just set; a reservation wider than eight digits."""
    libc = ctypes.CDLL(None, use_errno=True)
    with (
        mmap.mmap(-1, 4 * mmap.PAGESIZE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as memory,
        mmap.mmap(-1, 128 * _GIB, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | mman.MAP_NORESERVE, mmap.PROT_READ) as wide,
    ):
        memory[:] = b"x" * len(memory)
        memory.madvise(mmap.MADV_DONTFORK)
        view = (ctypes.c_char * len(memory)).from_buffer(memory)
        address = ctypes.addressof(view)
        locked = libc.mlock(ctypes.c_void_p(address), ctypes.c_size_t(len(memory))) == 0

        found = smaps.parse(read(os.getpid(), "smaps"))

        del view
        (entry,) = [entry for entry in found if entry.mapping.start == address]
        assert len(memory) == entry.rss
        assert "dc" in entry.flags
        assert (len(memory) if locked else 0) == entry.locked
        assert locked == ("lo" in entry.flags)
        (reservation,) = [entry for entry in found if entry.mapping.size >= len(wide)]
        assert 0 == reservation.rss
        assert "nr" in reservation.flags
