"""What has to be taken for a moment so that a mapping goes where it belongs."""

from __future__ import annotations

from crtool.arch import cpu
from crtool.procfs.maps import Mapping
from crtool.resources.memory.fenced import gaps

LOWEST = 1 << 16


def mapping(start: int, end: int) -> Mapping:
    return Mapping(start, end, True, True, False, False, 0, 0, 0, 0, b"", False)


def test_everything_is_a_gap_but_the_wanted_place() -> None:
    assert list(gaps((), 0x200000, 0x201000)) == [(LOWEST, 0x200000), (0x201000, cpu.TASK_SIZE)]


def test_mappings_beside_it_leave_no_gap() -> None:
    there = (mapping(0x1000, 0x2000), mapping(0x1FF000, 0x200000), mapping(0x201000, 0x202000))
    assert list(gaps(there, 0x200000, 0x201000)) == [(LOWEST, 0x1FF000), (0x202000, cpu.TASK_SIZE)]


def test_what_lies_above_all_programs_is_passed_over() -> None:
    there = (mapping(0xFFFFFFFFFF600000, 0xFFFFFFFFFF601000),)
    assert list(gaps(there, 0x200000, 0x201000)) == [(LOWEST, 0x200000), (0x201000, cpu.TASK_SIZE)]
