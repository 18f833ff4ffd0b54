"""Code from which system calls can be made."""

from __future__ import annotations

import os

from hypothesis import given
from hypothesis import strategies as st

from crtool.arch import cpu
from crtool.arch.x86_64 import Gadgets, Pieces, find_pieces, gadgets
from crtool.procfs import maps
from crtool.procfs.maps import Mapping
from crtool.procfs.read import read
from crtool.puppet import code

NUMBER = cpu.NUMBERS["rt_sigreturn"]
CALL, HARDENED, RESTORER, POP = b"\x0f\x05\xc3", b"\x0f\x05\x31\xc9\xc3", b"\xb8\x0f\0\0\0\x0f\x05", b"\x58\xc3"


@given(st.lists(st.sampled_from([CALL, HARDENED, RESTORER, POP, b"\x90"]), max_size=6).map(b"".join))
def test_pieces_are_where_they_are_said_to_be(found: bytes) -> None:
    pieces = find_pieces(found)

    assert (CALL in found or HARDENED in found) is (pieces.call >= 0)
    assert pieces.call < 0 or found[pieces.call :].startswith((CALL, HARDENED))
    assert found.find(RESTORER) == pieces.restorer
    assert pieces.restorer >= 0 or found.find(POP) == pieces.pop


def test_the_restorer_of_the_c_library_is_preferred() -> None:
    assert Gadgets(0x1004, (0x1008,)) == gadgets([(0x1000, Pieces(4, 8, -1))])


def test_a_pop_and_the_number_will_do() -> None:
    assert Gadgets(0x1000, (0x1003, NUMBER, 0x1000)) == gadgets([(0x1000, find_pieces(CALL + POP))])


def test_they_may_lie_far_apart() -> None:
    assert Gadgets(0x2000, (0x1000,)) == gadgets([(0x1000, find_pieces(RESTORER)), (0x2000, find_pieces(CALL))])
    assert gadgets([(0x1000, find_pieces(RESTORER))]) is None
    assert gadgets([]) is None


def test_of_many_libraries_the_c_library_is_read_and_nothing_else() -> None:
    """As in a browser, of whose libraries many have names that begin like that of the C library."""
    pid = os.getpid()
    found = maps.parse(read(pid, "maps"))
    libraries = [one for one in found if one.execute and (b"/libc.so" in one.name or b"/ld-" in one.name)]
    heap = next(one for one in found if one.name == b"[heap]")
    # Smaller than any, and not to be read: memory of nobody.
    others = [
        Mapping(1 << 20, 2 << 20, True, False, True, False, 0, 9, 9, inode, b"/usr/lib/libcrypto.so.3", False)
        for inode in range(1, 9)
    ]
    memory = os.open(f"/proc/{pid}/mem", os.O_RDONLY)
    try:
        gadgets_found = code.gadgets_of(pid, memory, [heap, *others, *libraries])
    finally:
        os.close(memory)

    assert any(library.start <= gadgets_found.call < library.end for library in libraries)
