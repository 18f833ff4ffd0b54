"""/proc/PID/maps."""

from __future__ import annotations

import ctypes
import dataclasses
import mmap
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crtool.procfs import maps
from crtool.procfs.error import ProcfsError
from crtool.procfs.maps import Mapping
from crtool.procfs.read import read


def test_sample(sample: Callable[[str], bytes]) -> None:
    found = maps.parse(sample("maps"))

    assert 68 == len(found)
    assert (
        Mapping(0x400000, 0x41F000, True, False, False, False, 0, 0xFE, 0, 260811, b"/usr/bin/python3.11", False)
        == found[0]
    )
    assert Mapping(0x20069000, 0x201CB000, True, True, False, False, 0, 0, 0, 0, b"[heap]", False) == found[6]
    assert Mapping(0xA85000, 0xACA000, True, True, False, False, 0, 0, 0, 0, b"", False) == found[5]
    assert [b"[heap]", b"[vvar]", b"[vvar_vclock]", b"[vdso]", b"[stack]", b"[vsyscall]"] == [
        mapping.name for mapping in found if mapping.is_special
    ]
    assert [b"[vvar]", b"[vvar_vclock]", b"[vdso]", b"[vsyscall]"] == [
        mapping.name for mapping in found if mapping.is_kernel_made
    ]


def test_sample_of_deleted_and_shared(sample: Callable[[str], bytes]) -> None:
    found = {mapping.name: mapping for mapping in maps.parse(sample("maps")) if mapping.deleted}

    assert {b"/SYSV00000000", b"/tmp/x y\nz \n (deleted)", b"/memfd:my fd", b"/dev/zero"} == set(found)
    assert all(mapping.shared and mapping.write and not mapping.execute for mapping in found.values())
    assert 8192 == found[b"/dev/zero"].size


@pytest.mark.parametrize(
    ("name", "label"),
    [(b"[anon:a name]", b"a name"), (b"[anon_shmem:x]", b"x"), (b"[anon:]", b""), (b"[heap]", b""), (b"", b"")],
)
def test_label(name: bytes, label: bytes) -> None:
    """Names given by the program (no kernel at hand here has CONFIG_ANON_VMA_NAME; form from fs/proc/task_mmu.c)."""
    line = b"7f0000000000-7f0000001000 rw-p 00000000 00:00 0 " + b" " * 24 + name + b"\n"

    (mapping,) = maps.parse(line)

    assert (name, label) == (mapping.name, mapping.label)


def test_is_a_frozen_mapping_like_any_other(sample: Callable[[str], bytes]) -> None:
    """The short cut of the parser makes nothing but real, frozen instances."""
    for mapping in maps.parse(sample("maps")):
        assert type(mapping) is Mapping
        twin = Mapping(**dataclasses.asdict(mapping))
        assert (twin, hash(twin), repr(twin)) == (mapping, hash(mapping), repr(mapping))
        with pytest.raises(dataclasses.FrozenInstanceError):
            mapping.start = 0  # type: ignore[misc]


def test_nothing() -> None:
    assert () == maps.parse(b"")


@pytest.mark.parametrize(
    "line",
    [
        b"7f0000000000 rw-p 00000000 00:00 0",
        b"7f0000000000-7f0000001000 rwyp 00000000 00:00 0",
        b"7f0000000000-7f0000001000 rw-p 0000000g 00:00 0",
        b"7f0000000000-7f0000001000 rw-p 00000000 00 0",
        b"7f0000000000-7f0000001000 rw-p 00000000 00:00 x",
        b"7f0000000000-7f0000001000 rw-p 00000000 00:00",
        b"nonsense",
        b"",
    ],
)
def test_bad_line(line: bytes) -> None:
    with pytest.raises(ProcfsError) as caught:
        maps.parse(b"1000-2000 r--p 00000000 00:00 0\n" + line + b"\n")

    assert ("maps", line) == (caught.value.file, caught.value.value)


_ADDRESSES = st.integers(0, (1 << 64) - 1)
_MAPPINGS = st.builds(
    Mapping,
    start=_ADDRESSES,
    end=_ADDRESSES,
    read=st.booleans(),
    write=st.booleans(),
    execute=st.booleans(),
    shared=st.booleans(),
    offset=_ADDRESSES,
    major=st.integers(0, 4095),
    minor=st.integers(0, (1 << 20) - 1),
    inode=_ADDRESSES,
    name=st.one_of(
        st.just(b""),
        st.binary(min_size=1)
        .map(lambda name: b"/" + name.replace(b"\0", b""))
        .filter(lambda name: b"\\012" not in name and not name.endswith(b" (deleted)")),
    ),
    deleted=st.booleans(),
).filter(lambda mapping: bool(mapping.name) or not mapping.deleted)


def _line(mapping: Mapping) -> bytes:
    """As show_map_vma() does it."""
    permissions = (
        ("r" if mapping.read else "-")
        + ("w" if mapping.write else "-")
        + ("x" if mapping.execute else "-")
        + ("s" if mapping.shared else "p")
    )
    head = (
        f"{mapping.start:08x}-{mapping.end:08x} {permissions} {mapping.offset:08x} "
        f"{mapping.major:02x}:{mapping.minor:02x} {mapping.inode} "
    ).encode()
    if not mapping.name:
        return head + b"\n"
    name = mapping.name.replace(b"\n", b"\\012") + (b" (deleted)" if mapping.deleted else b"")
    return head.ljust(73) + name + b"\n"


@given(st.lists(_MAPPINGS))
def test_round_trip(mappings: list[Mapping]) -> None:
    assert tuple(mappings) == maps.parse(b"".join(map(_line, mappings)))


@given(st.lists(_MAPPINGS, min_size=1, unique_by=lambda mapping: mapping.start), st.data())
def test_what_is_left_without_some(mappings: list[Mapping], data: st.DataObject) -> None:
    mappings.sort(key=lambda mapping: mapping.start)
    first = data.draw(st.integers(0, len(mappings) - 1))
    behind = data.draw(st.integers(first + 1, len(mappings)))
    end = mappings[behind].start if behind < len(mappings) else 1 << 64
    text = b"".join(map(_line, mappings))

    left = maps.without(text, mappings[first].start, end)

    assert b"".join(map(_line, mappings[:first] + mappings[behind:])) == left
    assert left == maps.without(left, mappings[first].start, end)


@given(st.binary())
def test_any_bytes_give_mappings_or_the_one_error(data: bytes) -> None:
    try:
        maps.parse(data)
    except ProcfsError as error:
        assert error.value in data


def test_this_process(tmp_path: Path) -> None:
    """What the kernel says about mappings that were just made."""
    path = tmp_path / "a\nb (deleted)"
    path.write_bytes(bytes(3 * mmap.PAGESIZE))
    with path.open("r+b") as file, mmap.mmap(file.fileno(), mmap.PAGESIZE, offset=mmap.PAGESIZE) as memory:
        view = ctypes.c_char.from_buffer(memory)
        address = ctypes.addressof(view)
        path.unlink()

        (mapping,) = [mapping for mapping in maps.parse(read(os.getpid(), "maps")) if mapping.start == address]

        status = os.fstat(file.fileno())
        del view
    assert (mmap.PAGESIZE, mmap.PAGESIZE, True) == (mapping.size, mapping.offset, mapping.deleted)
    assert (True, True, False, True) == (mapping.read, mapping.write, mapping.execute, mapping.shared)
    assert (os.fsencode(path), status.st_ino) == (mapping.name, mapping.inode)


def test_every_process_can_be_parsed() -> None:
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            data = (folder / "maps").read_bytes()
        except OSError:
            continue
        found = maps.parse(data)
        assert all(mapping.start < mapping.end for mapping in found)
        assert list(found) == sorted(found, key=lambda mapping: mapping.start)


def test_brothers_with_the_same_mappings_share_an_answer(sample: Callable[[str], bytes]) -> None:
    asked = []

    @maps.of_brothers
    def count(found: object, more: int) -> int:
        asked.append(found)
        return more

    first, second = maps.parse(sample("maps")), maps.parse(bytes(bytearray(sample("maps"))))

    assert (1, 1) == (count(first, 1), count(second, 1))
    assert 1 == len(asked)
    assert (2, 2) == (count(first, 2), count(list(first), 2))
    assert 3 == len(asked)
    assert 2 == count(list(first), 2)  # a list may have changed
    assert 4 == len(asked)


def test_twenty_thousand_mappings_are_fast() -> None:
    """About 40 ms on the slowest machine so far; the bound leaves room for a busy one."""
    data = b"".join(
        b"7f%09x0-7f%09x0 rw-p %08x fe:00 %d                     /usr/lib/%d.so\n"
        % (n * 256, n * 256 + 256, n, n, n % 50)
        for n in range(20_000)
    )
    best = float("inf")
    for _ in range(5):
        start = time.process_time()
        found = maps.parse(data)
        best = min(best, time.process_time() - start)

    assert 20_000 == len(found)
    assert best < 0.2


def test_lines_that_were_there_before_are_not_parsed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a process that has changed a little between two looks."""
    first = read(os.getpid(), "maps")
    before = maps.parse(first)
    new = b"7000-8000 rw-p 00000000 00:00 0 \n"
    parsed = []
    parse_line = maps.parse_line

    def note(line: bytes, met: maps.Met) -> Mapping:
        parsed.append(line)
        return parse_line(line, met)

    monkeypatch.setattr(maps, "parse_line", note)
    now = maps.parse(new + first)

    assert [new.rstrip(b"\n")] == parsed
    assert before == now[1:]
    assert Mapping(0x7000, 0x8000, True, True, False, False, 0, 0, 0, 0, b"", False) == now[0]
