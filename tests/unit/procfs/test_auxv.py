"""/proc/PID/auxv."""

from __future__ import annotations

import ctypes
import mmap
import os
import struct
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crtool.procfs import auxv, maps
from crtool.procfs.auxv import Auxv
from crtool.procfs.error import ProcfsError
from crtool.procfs.read import read


def test_sample(sample: Callable[[str], bytes]) -> None:
    found = auxv.parse(sample("auxv"))

    assert auxv.AT_SYSINFO_EHDR == found.pairs[0][0]
    assert (4096, 0, 13) == (found.get(auxv.AT_PAGESZ), found.get(auxv.AT_SECURE), found.get(auxv.AT_PHNUM))
    assert found.get(9999) is None
    assert len(sample("auxv")) == 16 * (len(found.pairs) + 1)


def test_narrow_words() -> None:
    assert Auxv(((6, 4096), (9, 0x8048000))) == auxv.parse(struct.pack("6I", 6, 4096, 9, 0x8048000, 0, 0), word=4)


def test_what_follows_the_end_is_left_out() -> None:
    """The kernel of some CPUs writes the whole of its fixed array."""
    assert Auxv(((6, 4096),)) == auxv.parse(struct.pack("8Q", 6, 4096, 0, 0, 0, 0, 7, 7))


@pytest.mark.parametrize("data", [b"", b"x", struct.pack("2Q", 6, 4096), struct.pack("5Q", 6, 4096, 0, 0, 0)])
def test_bad(data: bytes) -> None:
    with pytest.raises(ProcfsError) as caught:
        auxv.parse(data)

    assert ("auxv", data) == (caught.value.file, caught.value.value)


@given(st.lists(st.tuples(st.integers(1, (1 << 64) - 1), st.integers(0, (1 << 64) - 1))))
def test_round_trip(pairs: list[tuple[int, int]]) -> None:
    data = b"".join(struct.pack("=2Q", *pair) for pair in [*pairs, (0, 0)])

    assert tuple(pairs) == auxv.parse(data).pairs


def test_this_process() -> None:
    found = auxv.parse(read(os.getpid(), "auxv"), struct.calcsize("P"))
    getauxval = ctypes.CDLL(None).getauxval
    getauxval.restype = ctypes.c_ulong
    getauxval.argtypes = [ctypes.c_ulong]

    assert mmap.PAGESIZE == found.get(auxv.AT_PAGESZ)
    for kind in (auxv.AT_PHDR, auxv.AT_ENTRY, auxv.AT_RANDOM, auxv.AT_EXECFN, auxv.AT_SYSINFO_EHDR):
        assert getauxval(kind) == found.get(kind)
    vdso = [mapping.start for mapping in maps.parse(read(os.getpid(), "maps")) if mapping.name == b"[vdso]"]
    assert vdso == [found.get(auxv.AT_SYSINFO_EHDR)]
