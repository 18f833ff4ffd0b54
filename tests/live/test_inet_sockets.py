"""Datagram sockets that are refused by name, and restarts that find the port or the address gone."""

from __future__ import annotations

import os
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from .harness.command import crtool

SLEEPER = "import socket, time\n{}\ntime.sleep(60)\n"
MSG_MORE = 0x8000
SO_ATTACH_BPF = 50
SO_ATTACH_REUSEPORT_CBPF, SO_ATTACH_REUSEPORT_EBPF = 51, 52
SHARING = "s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.setsockopt(1, socket.SO_REUSEPORT, 1)"
EBPF = f"""
import ctypes, struct, os
code = ctypes.create_string_buffer(struct.pack('<BBhiBBhi', 0xb7, 0, 0, 0, 0x95, 0, 0, 0))
name = ctypes.create_string_buffer(b'GPL')
attr = ctypes.create_string_buffer(struct.pack('<IIQQ', 1, 2, ctypes.addressof(code), ctypes.addressof(name)), 128)
bpf = ctypes.CDLL(None).syscall(321, 5, ctypes.byref(attr), 128)
{SHARING}
s.setsockopt(1, {{}}, bpf); os.close(bpf)
"""


@contextmanager
def target(program: str) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(
        [sys.executable, "-c", SLEEPER.format(program)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        start_new_session=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        process.stdout.readline()
        process.stdout.close()
        try:
            yield process
        finally:
            process.kill()


def in_target(program: str) -> str:
    """The program tells by its standard output that it is ready, which then leads nowhere."""
    return f"{program}\nprint(flush=True); import os; os.dup2(os.open('/dev/null', 1), 1)"


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
class TestRefused:
    def refused(self, program: str, tmp_path: Path) -> str:
        with target(in_target(program)) as process:
            done = crtool("checkpoint", str(process.pid), "-o", str(tmp_path / "image"))
            assert process.poll() is None
        assert done.returncode == 122, done.stderr
        return done.stderr

    def test_datagram_that_is_not_complete(self, tmp_path: Path) -> None:
        program = (
            "s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.connect(('127.0.0.1', 9));"
            f" s.send(b'half', {MSG_MORE})"
        )
        assert "a UDP socket holds a datagram that is not complete" in self.refused(program, tmp_path)

    @pytest.mark.parametrize(
        ("family", "name"),
        [
            pytest.param(40, "virtual machine (vsock)", marks=pytest.mark.machine("virtual machine sockets")),
            pytest.param(44, "XDP", marks=pytest.mark.machine("XDP sockets")),
        ],
    )
    def test_family(self, family: int, name: str, tmp_path: Path) -> None:
        kind = socket.SOCK_STREAM if family == 40 else socket.SOCK_RAW
        program = f"s = socket.socket({family}, {int(kind)})"
        assert f"a socket of kind {name} cannot be saved" in self.refused(program, tmp_path)

    def test_ebpf_filter(self, tmp_path: Path) -> None:
        program = EBPF.format(SO_ATTACH_BPF)
        assert "a socket with an eBPF filter cannot be saved" in self.refused(program, tmp_path)

    @pytest.mark.machine("bpf")
    def test_ebpf_program_that_divides_among_sockets(self, tmp_path: Path) -> None:
        program = EBPF.format(SO_ATTACH_REUSEPORT_EBPF)
        why = "an eBPF program divides among the sockets of its port (SO_ATTACH_REUSEPORT_EBPF)"
        assert why in self.refused(program, tmp_path)

    @pytest.mark.machine("bpf")
    def test_program_that_divides_among_sockets_of_others(self, tmp_path: Path) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ours:
            ours.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            ours.bind(("127.0.0.1", 0))
            program = (
                "import ctypes, struct\n"
                "code = ctypes.create_string_buffer(struct.pack('<HBBI', 6, 0, 0, 1))\n"
                f"{SHARING}; s.bind(('127.0.0.1', {ours.getsockname()[1]}))\n"
                f"s.setsockopt(1, {SO_ATTACH_REUSEPORT_CBPF}, struct.pack('<H6xQ', 1, ctypes.addressof(code)))"
            )
            why = "the sockets of its port (SO_ATTACH_REUSEPORT_CBPF), of which 1 are not in the tree"
            assert why in self.refused(program, tmp_path)


def bound(address: str, tmp_path: Path) -> tuple[Path, int]:
    """An image of a program that had bound a UDP socket to *address*, and the port."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.bind((address, 0))
        port = one.getsockname()[1]
    image = tmp_path / "image"
    program = f"s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(({address!r}, {port}))"
    with target(in_target(program)) as process:
        done = crtool("checkpoint", str(process.pid), "--kill", "-o", str(image))
        assert done.returncode == 0, done.stderr
        assert process.wait(30) == -signal.SIGKILL
    return image, port


def test_port_that_is_taken(tmp_path: Path) -> None:
    image, port = bound("127.0.0.1", tmp_path)
    with target(in_target(f"s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(('', {port}))")) as other:
        done = crtool("restart", str(image), "--detach")
        assert done.returncode == 126
        assert f"a UDP socket of 127.0.0.1:{port}: its port is taken: PID {other.pid} (" in done.stderr


def test_address_that_is_missing(tmp_path: Path) -> None:
    image, port = bound("127.0.0.1", tmp_path)
    # The same image as if it had been made on a machine with that address: records are plain msgpack.
    from crtool.engine.snapshot import Snapshot
    from crtool.errors import EnvironmentDiffers
    from crtool.image import codec
    from crtool.image.reader import ImageReader
    from crtool.resources.files.sockets import datagram
    from crtool.resources.files.sockets.datagram import InetRecord

    with ImageReader.open(str(image)) as reader:
        snapshot = codec.unpack(reader.records, Snapshot)
    (record,) = [one for one in snapshot.files.descriptions if isinstance(one, InetRecord)]
    elsewhere = struct.pack("=H", 2) + struct.pack(">H", port) + socket.inet_aton("203.0.113.77") + bytes(8)
    moved = InetRecord(**{**record.__dict__, "local": elsewhere})
    with pytest.raises(EnvironmentDiffers, match=f"a UDP socket of 203.0.113.77:{port}: this machine does not have"):
        datagram.restore(moved, print)
