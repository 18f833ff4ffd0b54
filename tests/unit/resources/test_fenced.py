"""What has to be taken for a moment so that a mapping goes where it belongs."""

from __future__ import annotations

import pytest

from crtool.arch import cpu
from crtool.procfs.maps import Mapping
from crtool.resources.memory.fenced import fences

LOWEST = 1 << 16


def mapping(start: int, end: int) -> Mapping:
    return Mapping(start, end, True, True, False, False, 0, 0, 0, 0, b"", False)


def test_everything_is_taken_but_the_wanted_place() -> None:
    assert list(fences((), 0x200000, 0x201000)) == [(LOWEST, 0x200000), (0x201000, cpu.TASK_SIZE)]


def test_mappings_beside_it_leave_nothing_to_take() -> None:
    there = (mapping(0x1000, 0x2000), mapping(0x1FF000, 0x200000), mapping(0x201000, 0x202000))
    assert list(fences(there, 0x200000, 0x201000)) == [(LOWEST, 0x1FF000), (0x202000, cpu.TASK_SIZE)]


def test_what_lies_above_all_programs_is_passed_over() -> None:
    there = (mapping(0xFFFFFFFFFF600000, 0xFFFFFFFFFF601000),)
    assert list(fences(there, 0x200000, 0x201000)) == [(LOWEST, 0x200000), (0x201000, cpu.TASK_SIZE)]


def test_what_is_too_small_is_not_taken() -> None:
    there = (mapping(LOWEST, 0x1F0000), mapping(0x1F1000, 0x1FF000), mapping(0x203000, cpu.TASK_SIZE))
    assert list(fences(there, 0x200000, 0x203000)) == [(0x1FF000, 0x200000)]


@pytest.mark.parametrize(("below", "above"), [(1, 0), (0, 1), (1, 1)])
def test_what_is_free_beside_it_is_taken_however_small(below: int, above: int) -> None:
    """Else the mapping would go up or down by so much."""
    start, end = 0x200000, 0x204000
    there = (mapping(LOWEST, start - below * 0x1000), mapping(end + above * 0x1000, cpu.TASK_SIZE))
    wanted = [(start - 0x1000, start)] * below + [(end, end + 0x1000)] * above
    assert list(fences(there, start, end)) == wanted
