"""Whether a file is the one that it was."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from typing import cast

import pytest

from crtool.engine.swapped import differences, is_same_inode
from crtool.resources.files.inodes import PathRecord

DISK, OTHER_DISK = os.makedev(8, 1), os.makedev(8, 17)
TMPFS, OTHER_TMPFS = os.makedev(0, 40), os.makedev(0, 51)


@dataclass
class Now:
    """What stat(2) tells."""

    st_dev: int
    st_ino: int = 7
    st_mode: int = stat.S_IFREG | 0o644
    st_uid: int = 1
    st_gid: int = 2
    st_size: int = 10
    st_ctime_ns: int = 100


def record(device: int, path: bytes = b"/file", mode: int = stat.S_IFREG | 0o644) -> PathRecord:
    return PathRecord(path, device, 7, mode, 1, 2, 0, 10, 50, 100)


def stated(now: Now) -> os.stat_result:
    return cast(os.stat_result, now)


@pytest.mark.parametrize(
    ("device", "now", "expected"),
    [
        (DISK, Now(DISK, st_ctime_ns=200), True),
        (DISK, Now(DISK, st_ino=8), False),
        (DISK, Now(OTHER_DISK), True),  # found in another order at boot
        (DISK, Now(OTHER_DISK, st_ctime_ns=200), False),
        (TMPFS, Now(OTHER_TMPFS, st_ctime_ns=200), True),
        (TMPFS, Now(OTHER_TMPFS, st_ino=8), False),
        (DISK, Now(TMPFS, st_ctime_ns=200), False),
    ],
)
def test_the_same_inode(device: int, now: Now, expected: bool) -> None:
    assert expected == is_same_inode(record(device), stated(now))


def test_nothing_is_said_of_the_same_file() -> None:
    assert [] == list(differences(record(DISK), stated(Now(DISK))))


def test_what_the_kernel_makes_itself() -> None:
    other = stated(Now(DISK, st_ino=8, st_uid=5))
    assert [] == list(differences(record(DISK, b"/proc/12/maps"), other))
    assert 2 == len(list(differences(record(DISK, b"/procedures"), other)))


def test_a_device_may_change_hands() -> None:
    mode = stat.S_IFCHR | 0o620
    assert [] == list(differences(record(DISK, b"/dev/tty3", mode), stated(Now(DISK, st_mode=mode, st_uid=1000))))


def test_a_program_whose_content_is_known_may_be_another_inode_but_not_become_setuid() -> None:
    now = Now(DISK, st_ino=8, st_mode=stat.S_IFREG | 0o4644)
    expected = ["/file had mode 0644 and has 4644 now"]
    assert expected == list(differences(record(DISK), stated(now), content_is_known=True))
