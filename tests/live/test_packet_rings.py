"""Rings of packet sockets into which frames come without a pause, from somebody outside the tree."""

from __future__ import annotations

import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from .harness.command import REPOSITORY, crtool

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root, for packet sockets"),
    pytest.mark.machine("rings of packet sockets in BTF"),
]

PATIENCE = 60.0

# Reads numbered frames in their order from a ring of TPACKET_V2, and tells the last number by a file.
PROGRAM = """
import mmap, os, select, signal, socket, struct, sys
kind, frames, path = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
told = os.open(path, os.O_RDWR | os.O_CREAT)
print(flush=True)
os.dup2(os.open("/dev/null", 1), 1)
ring = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0)
ring.setsockopt(263, 10, 1)
ring.setsockopt(263, 5, struct.pack("<IIII", 4096, frames // 16, 256, frames))
memory = mmap.mmap(ring.fileno(), frames * 256)
ring.bind(("lo", kind))
at = last = 0
poll = select.poll()
poll.register(ring, select.POLLIN)
while True:
    status, length, _, _, net = struct.unpack_from("<IIIHH", memory, at * 256)
    if not status & 1:
        os.pwrite(told, b"%020d" % last, 0)
        poll.poll(1000)
        continue
    number, = struct.unpack_from("<Q", memory, at * 256 + net)
    if number <= last:
        os.pwrite(told, b"%d came after %d" % (number, last), 0)
        break
    last = number
    struct.pack_into("<I", memory, at * 256, 0)
    at = (at + 1) % frames
"""

# Maps a ring, or another socket, in a way that cannot be made again.
ODD = """
import ctypes, os, socket, struct, time
libc = ctypes.CDLL(None)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
ring = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0)
ring.setsockopt(263, 10, 1)
ring.setsockopt(263, 5, struct.pack("<IIII", 4096, 4, 256, 64))
def mapped(one, size, protection=3):
    where = libc.mmap(None, size, protection, 1, one.fileno(), 0)
    assert where != 2**64 - 1
    return where
{}
print(flush=True)
os.dup2(os.open("/dev/null", 1), 1)
time.sleep(60)
"""


def send(sender: socket.socket, kind: int, number: int) -> None:
    sender.sendto(struct.pack("<Q", number), ("lo", kind, 0, 0, bytes(6)))


class Sender(threading.Thread):
    """Sends frames with rising numbers until it is told to stop."""

    def __init__(self, kind: int) -> None:
        super().__init__()
        self.kind = kind
        self.sent = 0
        self.enough = threading.Event()

    def run(self) -> None:
        with socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0) as sender:
            while not self.enough.is_set():
                self.sent += 1
                send(sender, self.kind, self.sent)
                if not self.sent % 50:
                    time.sleep(0.002)


@contextmanager
def sending(kind: int) -> Iterator[Sender]:
    sender = Sender(kind)
    sender.start()
    try:
        yield sender
    finally:
        sender.enough.set()
        sender.join()


@contextmanager
def program(*command: object) -> Iterator[subprocess.Popen[bytes]]:
    """Ends it, also when it has been saved, killed and restarted under its old number."""
    process = subprocess.Popen(
        [sys.executable, "-c", *map(str, command)],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        process.stdout.readline()
        process.stdout.close()
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGKILL)
        process.wait()


def await_told(path: Path, number: int) -> None:
    until = time.monotonic() + PATIENCE
    while int(path.read_text() or -1) < number:
        assert time.monotonic() < until, f"{path.read_text()} is the last of at least {number}"
        time.sleep(0.02)


@pytest.mark.parametrize("frames", [16, 8192])
def test_a_ring_goes_on_where_it_was(frames: int, tmp_path: Path) -> None:
    """A small one is full when it is saved; frames come into a large one at that moment."""
    kind = 0x9000 + os.getpid() % 0x2000
    told, image = tmp_path / "told", tmp_path / "image"
    told.touch()
    with sending(kind) as sender, program(PROGRAM, kind, frames, told) as process:
        await_told(told, 1000)
        for _ in range(3):
            done = crtool("checkpoint", process.pid, "-o", image, "--force", "--kill")
            assert done.returncode == 0, done.stderr
            os.waitpid(process.pid, 0)
            done = crtool("restart", image, "--detach", "--no-pidns")
            assert done.returncode == 0, done.stderr
            await_told(told, sender.sent)


@pytest.mark.machine("new namespaces")
def test_a_loopback_device_that_is_down_is_named(tmp_path: Path) -> None:
    kind = 0x9000 + os.getpid() % 0x2000
    told, image = tmp_path / "told", tmp_path / "image"
    told.touch()
    with program(PROGRAM, kind, 16, told) as process, socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0) as sender:
        await_told(told, 0)
        send(sender, kind, 1)
        await_told(told, 1)
        done = crtool("checkpoint", process.pid, "-o", image)
        assert done.returncode == 0, done.stderr
    command = ["unshare", "--net", "--", sys.executable, "-m", "crtool", "restart", "--detach", str(image)]
    back = subprocess.run(command, cwd=REPOSITORY, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert back.returncode == 126, back.stderr
    assert "the rings of a packet socket on lo cannot be rebuilt: sendto: Network is down" in back.stderr
    assert "ip link set lo up" in back.stderr


@pytest.mark.parametrize(
    ("what", "cause"),
    [
        ("libc.munmap(mapped(ring, 16384), 4096)", "is only a part of the rings of a packet socket"),
        ("mapped(ring, 16384); ring.close()", "is the ring of a packet socket that nobody in the tree has open"),
        (
            "one = socket.create_server(('127.0.0.1', 0)); other = socket.create_connection(one.getsockname());"
            " mapped(other, 4096, 1)",
            "is memory of a socket, but not the ring of a packet socket",
        ),
    ],
)
def test_what_is_mapped_oddly_is_refused(what: str, cause: str, tmp_path: Path) -> None:
    with program(ODD.format(what)) as process:
        done = crtool("checkpoint", process.pid, "-o", tmp_path / "image")
        assert process.poll() is None
    assert done.returncode == 122, done.stderr
    assert cause in done.stderr
