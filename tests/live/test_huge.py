"""Memory that is filled a huge page at a time."""

from __future__ import annotations

import mmap
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from crtool.abi import mman
from crtool.engine.checkpoint import checkpoint
from crtool.engine.restart import restart
from crtool.errors import ImageError
from crtool.kernel.syscall import memory_address, syscall
from crtool.procfs import smaps as smaps_file
from crtool.procfs.read import read
from crtool.puppet.puppet import Puppet
from crtool.resources.memory import huge
from crtool.resources.memory.mappings import MappingRecord
from crtool.resources.memory.pages import Piece

from .harness.processes import descendants
from .victim import changed, victim

MIB = 64


def no_huge_pages(memory: mmap.mmap) -> None:
    """The program asks for none."""
    memory.madvise(mman.MADV_NOHUGEPAGE)


def none_for_the_process(memory: mmap.mmap) -> None:
    """It asks for none anywhere (PR_SET_THP_DISABLE)."""
    syscall("prctl", 41, 1, 0, 0, 0)


def nothing(memory: mmap.mmap) -> None:
    """It says nothing."""


def in_odd_places(memory: mmap.mmap) -> None:
    """Holes, and a page that may only be read."""
    at = memory_address(memoryview(memory))
    for mib in range(50, MIB, 5):
        syscall("munmap", at + (mib << 20) + 4096 * mib, 4096)
    syscall("mprotect", at + (17 << 20), 4096, mman.PROT_READ)


def large(pid: int) -> list[tuple[int, int, tuple[object, ...]]]:
    """Where the large mappings of a process are, and what they are like.

    Neighbours that are alike are one here: those of a forked process stay apart, and come back as one.
    """
    found: list[tuple[int, int, tuple[object, ...]]] = []
    for entry in smaps_file.parse(read(pid, "smaps")):
        mapping = entry.mapping
        if mapping.name:
            continue
        alike = (mapping.write, mapping.read, mapping.execute, mapping.shared, entry.flags)
        if found and found[-1][1:] == (mapping.start, alike):
            found[-1] = (found[-1][0], mapping.end, alike)
        else:
            found.append((mapping.start, mapping.end, alike))
    return [one for one in found if one[1] - one[0] > 4 << 20]


@pytest.mark.parametrize(
    ("prelude", "moved"),
    [(nothing, True), (in_odd_places, True), (no_huge_pages, False), (none_for_the_process, False)],
)
def test_memory_comes_back_as_it_was(
    prelude: Callable[[mmap.mmap], None], moved: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, after = str(tmp_path / "before.crt"), str(tmp_path / "after.crt")
    filled: list[Piece] = []

    def watched(
        puppet: Puppet, image: int, pieces: list[Piece], records: tuple[MappingRecord, ...], size: int
    ) -> list[Piece]:
        rest = fill(puppet, image, pieces, records, size)
        assert [] == rest
        filled.extend(pieces)
        return rest

    fill = huge.fill
    monkeypatch.setattr(huge, "fill", watched)
    with victim(MIB, prelude) as pid:
        known = large(pid)
        checkpoint(pid, before, leave="killed")
        os.waitpid(pid, 0)
        back = restart(before, detach=True).pid  # another number than it had, if somebody has taken that
        assert known == large(back)
        checkpoint(back, after)

    assert [] == changed(before, after)
    start, end, _ = max((one for one in known if one[2][0]), key=lambda one: one[1] - one[0])
    assert moved is any(start <= piece.start < end for piece in filled)


def test_what_cannot_be_moved_is_read_to_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before, after = str(tmp_path / "before.crt"), str(tmp_path / "after.crt")
    monkeypatch.setattr("crtool.abi.userfaultfd.FEATURE_MOVE", 1 << 63)  # as on a kernel that does not know it

    with victim(MIB) as pid:
        checkpoint(pid, before, leave="killed")
        os.waitpid(pid, 0)
        back = restart(before, detach=True).pid
        checkpoint(back, after)

    assert [] == changed(before, after)


def test_damage_that_is_found_while_memory_is_filled_leaves_nobody(tmp_path: Path) -> None:
    image = tmp_path / "image.crt"
    with victim(MIB) as pid:
        checkpoint(pid, image, leave="killed")
        os.waitpid(pid, 0)
        with open(image, "r+b") as file:
            file.seek(40 << 20)
            (byte,) = file.read(1)
            file.seek(40 << 20)
            file.write(bytes([byte ^ 4]))

        before = descendants()
        with pytest.raises(ImageError, match="data, bytes"):
            restart(image, detach=True)
        assert before == descendants()  # the restored root would have been a child of ours
