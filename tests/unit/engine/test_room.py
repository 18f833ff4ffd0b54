"""How much memory is left, from files that look like the kernel's."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from crtool.engine import room
from crtool.engine.room import room_left

MIB = 1 << 20


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for control groups, with 100 MiB available on the machine; this process is in /a/b of both kinds."""
    (tmp_path / "meminfo").write_bytes(b"MemTotal: 999 kB\nMemAvailable: %d kB\nSwapFree: 0 kB\n" % (100 * 1024))
    monkeypatch.setattr(room, "read", lambda *_args, **_options: b"4:memory:/a/b\n1:cpu:/\n0::/a/b\n")
    return tmp_path


def group(folder: Path, names: tuple[str, str], limit: str, used: int, cached: bytes) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / names[0]).write_text(limit)
    (folder / names[1]).write_text(str(used))
    (folder / "memory.stat").write_bytes(b"anon 1\n" + cached)


def left(machine: Path) -> int:
    return room_left(os.getpid(), machine / "meminfo", machine)


def test_without_groups_it_is_what_the_machine_has(machine):
    assert 100 * MIB == left(machine)


def test_the_tightest_group_counts_and_caches_can_be_taken_back(machine):
    names = ("memory.max", "memory.current")
    group(machine / "a" / "b", names, "max", 5 * MIB, b"inactive_file 0\n")
    group(machine / "a", names, str(50 * MIB), 40 * MIB, b"inactive_file %d\nactive_file %d\n" % (3 * MIB, 2 * MIB))

    assert 15 * MIB == left(machine)


def test_the_first_version_of_groups(machine):
    names = ("memory.limit_in_bytes", "memory.usage_in_bytes")
    group(machine / "memory" / "a" / "b", names, str(8 * MIB), 7 * MIB, b"total_inactive_file 0\n")

    assert MIB == left(machine)


def test_more_used_than_allowed_is_nothing_left(machine):
    group(machine / "a" / "b", ("memory.max", "memory.current"), "1", 5 * MIB, b"inactive_file 0\n")

    assert 0 == left(machine)


def test_of_this_process():
    """Whatever this machine has, it is something."""
    assert 0 < room_left(os.getpid())
