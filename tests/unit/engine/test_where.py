"""Where a restart happens."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from crtool.engine.snapshot import HostRecord
from crtool.engine.where import clocks_to_be
from crtool.procfs.timens import NONE, Offsets

TIME = st.integers(0, 1 << 60)
PAIR = st.tuples(TIME, TIME)


def host(monotonic: int, boottime: int, offsets: Offsets = NONE) -> HostRecord:
    return HostRecord("6.18", 0.0, 7, 832, monotonic, boottime, offsets)


@given(PAIR, PAIR)
def test_no_clock_goes_back(then, here):
    assert tuple(map(max, then, here)) == clocks_to_be(host(*then), here, "auto")


@given(PAIR, PAIR)
def test_as_asked(then, here):
    assert then == clocks_to_be(host(*then), here, "continue")
    assert here == clocks_to_be(host(*then), here, "host")


@given(PAIR, PAIR, PAIR)
def test_clocks_of_their_own_keep_their_distance(then, here, ahead):
    found = clocks_to_be(host(*then, Offsets(*ahead)), here, "auto")

    assert (here[0] + ahead[0], here[1] + ahead[1]) == found or any(map(int.__lt__, here, then))
    assert all(map(int.__ge__, found, then))
