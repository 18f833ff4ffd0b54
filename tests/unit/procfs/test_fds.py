"""/proc/PID/fd."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

import pytest

from crtool.errors import TargetDied
from crtool.procfs import fds
from crtool.procfs.fds import Descriptor


@pytest.mark.parametrize(
    ("link", "path", "deleted", "anonymous"),
    [
        (b"/a b", b"/a b", False, b""),
        (b"/a (deleted)", b"/a", True, b""),
        (b"/memfd:x (deleted)", b"/memfd:x", True, b""),
        (b"pipe:[31922]", b"pipe:[31922]", False, b""),
        (b"anon_inode:[eventfd]", b"anon_inode:[eventfd]", False, b"eventfd"),
        (b"anon_inode:inotify", b"anon_inode:inotify", False, b"inotify"),
    ],
)
def test_link(link: bytes, path: bytes, deleted: bool, anonymous: bytes) -> None:
    descriptor = Descriptor(3, link)

    assert (path, deleted, anonymous) == (descriptor.path, descriptor.deleted, descriptor.anonymous)


def test_this_process(tmp_path: Path) -> None:
    path = tmp_path / "a\nb"
    first = os.open(path, os.O_CREAT | os.O_RDWR)
    second = os.dup2(first, first + 100)
    event = ctypes.CDLL(None).eventfd(0, 0)
    path.unlink()
    try:
        numbers = fds.numbers(os.getpid())
        found = {descriptor.number: descriptor for descriptor in fds.of(os.getpid())}
    finally:
        for fd in (first, second, event):
            os.close(fd)

    assert list(numbers) == sorted(numbers)
    assert {first, second, event} <= set(numbers)
    assert os.fsencode(path) == found[first].path == found[second].path
    assert found[first].deleted
    assert b"eventfd" == found[event].anonymous


def test_a_descriptor_that_is_closed_meanwhile() -> None:
    """The folder that is listed is open itself while it is listed, and closed after that."""
    found = fds.of(os.getpid())

    assert not any(descriptor.link.endswith(b"/fd") for descriptor in found)


def test_the_dead(nobody: int, zombie: int) -> None:
    assert () == fds.of(zombie)
    with pytest.raises(TargetDied):
        fds.of(nobody)
