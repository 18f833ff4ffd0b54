"""What is learned about the flags of mappings is what smaps says, and nothing else."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace

import pytest

from crtool.abi import mman
from crtool.kernel.syscall import syscall
from crtool.kernel.vma_flags import Reader
from crtool.procfs import smaps as smaps_file
from crtool.procfs.maps import Mapping
from crtool.procfs.read import read
from crtool.procfs.smaps import Smap
from crtool.resources.memory.words import Words

from .victim import sleeper

AT, SIZE = 0x1000_0000_0000, 1 << 20


@pytest.fixture
def pid() -> Iterator[int]:
    """Of a process that sleeps, with a mapping at AT that no fork carries."""

    def prepare() -> bool:
        flags = mman.MAP_PRIVATE | mman.MAP_ANONYMOUS | mman.MAP_FIXED
        syscall("mmap", AT, SIZE, mman.PROT_READ | mman.PROT_WRITE, flags, -1, 0)
        syscall("madvise", AT, SIZE, mman.MADV_DONTFORK)
        return True

    with sleeper(prepare) as child:
        yield child


@pytest.fixture
def words() -> Iterator[Words]:
    found = Words()
    found.prepare()
    if found._reader is None:
        pytest.skip("needs BPF, and type information of the kernel")
    yield found
    found.close()


def told(pid: int) -> list[Smap]:
    return list(smaps_file.parse(read(pid, "smaps")))


def maps(smaps: list[Smap]) -> list[Mapping]:
    return [entry.mapping for entry in smaps]


def test_they_are_what_smaps_says(words: Words, pid: int) -> None:
    everything = told(pid)
    rest = [entry for entry in everything if entry.mapping.start != AT]

    assert words.of(pid, maps(rest)) is None
    words.learn(pid, rest)
    found = words.of(pid, maps(rest))
    assert found is not None
    names = [entry for entry in rest if entry.mapping.name != b"[vsyscall]"]
    assert [(entry.mapping, entry.flags) for entry in found if entry.mapping.name != b"[vsyscall]"] == [
        (entry.mapping, entry.flags) for entry in names
    ]

    assert words.of(pid, maps(everything)) is None  # of such a mapping nothing has been seen yet
    words.learn(pid, everything)
    (known,) = [entry for entry in words.of(pid, maps(everything)) or () if entry.mapping.start == AT]
    assert "dc" in known.flags


def test_what_contradicts_itself_is_not_known(words: Words, pid: int) -> None:
    words.learn(pid, told(pid))
    assert words.of(pid, maps(told(pid))) is not None
    words.learn(pid, [replace(entry, flags=entry.flags | {"xx"}) for entry in told(pid)])
    assert words.of(pid, maps(told(pid))) is None


def test_locked_memory_is_counted_by_smaps(words: Words, pid: int) -> None:
    words.learn(pid, [replace(entry, flags=entry.flags | {"lo"}) for entry in told(pid)])
    assert words.of(pid, maps(told(pid))) is None


def test_one_number_for_each_mapping(pid: int) -> None:
    try:
        reader = Reader()
    except (OSError, KeyError) as error:
        pytest.skip(f"needs BPF: {error}")
    found = reader.read(pid)
    expected = [mapping for mapping in maps(told(pid)) if mapping.name != b"[vsyscall]"]
    assert [(mapping.start, mapping.end) for mapping in expected] == [(start, end) for start, end, _ in found]
    reader.close()
    with pytest.raises(OSError, match="descriptor"):
        reader.read(os.getpid())
