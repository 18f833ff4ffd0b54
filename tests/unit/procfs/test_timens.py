"""/proc/PID/timens_offsets."""

from __future__ import annotations

import os

import pytest

from crtool.procfs import timens
from crtool.procfs.error import ProcfsError
from crtool.procfs.timens import Offsets, parse

SECOND = 1_000_000_000


def test_names():
    assert Offsets(-5 * SECOND + 500_000_000, 86400 * SECOND) == parse(
        b"monotonic          -5 500000000\nboottime       86400         0\n"
    )


def test_how_far_one_is_ahead_of_another():
    assert Offsets(7, -3) == Offsets(10, 2).since(Offsets(3, 5))


@pytest.mark.parametrize("text", [b"monotonic 1 2\n", b"monotonic 1\nboottime 1 2\n", b"monotonic a b\nboottime 1 2\n"])
def test_what_nobody_understands(text):
    with pytest.raises(ProcfsError):
        parse(text)


def test_our_own():
    assert isinstance(timens.of(os.getpid()), Offsets | None)
