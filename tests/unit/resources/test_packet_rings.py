"""Which frames of a ring are saved while others come in."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterator

import pytest

from crtool.kernel import packet_ring, sockets
from crtool.kernel.packet_diag import PacketInfo, Ring
from crtool.resources.files.sockets import packet_rings
from crtool.resources.files.sockets.packet_rings import FrameRingRecord

FRAMES, SIZE, BLOCK = 8, 1024, 4096
NONE, RING = Ring(0, 0, 0, 0), Ring(BLOCK, 2, SIZE, FRAMES)
USER, SEND_REQUEST, SENDING, WRONG = 1, 1, 2, 4


class Kernel:
    """A ring of version 2, in a file, into which frames come at moments that a test chooses."""

    def __init__(self) -> None:
        self.fd = os.memfd_create("ring")
        os.ftruncate(self.fd, 2 * FRAMES * SIZE)
        self.head = self.sent = 0
        self.moments: list[Callable[[], None]] = []  # what happens in each wait for what is under way

    def heads(self, _fd: int) -> tuple[int, int]:
        return self.head, self.sent

    def settle(self) -> None:
        if self.moments:
            self.moments.pop(0)()

    def set_status(self, number: int, status: int) -> None:
        os.pwrite(self.fd, struct.pack("<I", status), number * SIZE)

    def come(self, count: int) -> None:
        """Some frames, as many as there is room for."""
        for _ in range(count):
            if any(os.pread(self.fd, 4, self.head * SIZE)):
                return
            os.pwrite(self.fd, b"frame", self.head * SIZE + 32)
            self.set_status(self.head, USER)
            self.head = (self.head + 1) % FRAMES

    def give_back(self, *numbers: int) -> None:
        for number in numbers:
            self.set_status(number, 0)

    def received(self) -> FrameRingRecord:
        return packet_rings.dump(self.fd, PacketInfo((), RING, NONE, None), 0).received


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Iterator[Kernel]:
    made = Kernel()
    monkeypatch.setattr(packet_ring, "heads", made.heads)
    monkeypatch.setattr(packet_ring, "settle", made.settle)
    monkeypatch.setattr(sockets, "integer", lambda _fd, _level, _name: 1)
    yield made
    os.close(made.fd)


def numbers(ring: FrameRingRecord) -> list[int]:
    return [frame.number for frame in ring.used]


def test_what_has_come_is_saved_as_far_as_it_is_not_zero(kernel: Kernel) -> None:
    kernel.come(7)
    kernel.give_back(*range(5))
    ring = kernel.received()
    assert (7, [5, 6]) == (ring.head, numbers(ring))
    assert struct.pack("<I", USER) + bytes(28) + b"frame" == ring.used[0].content


def test_what_comes_meanwhile_is_left_out(kernel: Kernel) -> None:
    """The restored program would wait for it at a place to which the kernel has not come."""
    kernel.come(7)
    kernel.give_back(*range(5))
    kernel.moments = [lambda: kernel.come(3)]
    ring = kernel.received()
    assert (7, [5, 6]) == (ring.head, numbers(ring))


def test_what_is_just_being_received_is_waited_for(kernel: Kernel) -> None:
    kernel.come(3)
    kernel.set_status(2, 0)  # the kernel has taken this place, and fills it
    kernel.moments = [lambda: kernel.set_status(2, USER)]
    ring = kernel.received()
    assert (3, [0, 1, 2]) == (ring.head, numbers(ring))


def test_a_full_ring_is_saved_whole(kernel: Kernel) -> None:
    kernel.come(3)
    kernel.give_back(*range(3))
    kernel.come(100)
    ring = kernel.received()
    assert (3, list(range(FRAMES))) == (ring.head, numbers(ring))


def test_a_ring_that_becomes_full_meanwhile_is_looked_at_again(kernel: Kernel) -> None:
    """Its last frames may still be under way when it is found to be full."""
    kernel.come(3)
    kernel.give_back(*range(3))

    def fill() -> None:
        kernel.come(100)
        kernel.set_status(2, 0)

    kernel.moments = [fill, lambda: kernel.set_status(2, USER)]
    ring = kernel.received()
    assert (3, list(range(FRAMES))) == (ring.head, numbers(ring))


def test_of_what_is_sent_that_is_kept_which_has_not_gone(kernel: Kernel) -> None:
    kernel.sent = 4
    for number, status in enumerate((WRONG, SENDING, SENDING, 0, SEND_REQUEST)):
        kernel.set_status(number, status)
    rings = packet_rings.dump(kernel.fd, PacketInfo((), NONE, RING, None), 0)
    assert (4, [0, 4]) == (rings.sent.head, numbers(rings.sent))
    assert FrameRingRecord(0, 0, 0, 0, 0, ()) == rings.received
