"""What show tells of an image, compared with what the kernel says of the process that it was made of."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import crtool
from crtool import ImageSummary
from crtool.errors import ImageError, NotFound
from crtool.procfs import maps
from crtool.procfs.read import read


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, ImageSummary, Path]]:
    """A living process, what show says of its image, and the image."""
    folder = tmp_path_factory.mktemp("show")
    data = folder / "data"
    data.write_bytes(b"0123456789")
    with open(data, "rb", buffering=0) as file:
        file.seek(4)
        process = subprocess.Popen(
            ["sleep", "1000"], stdin=file, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            env={"COLOUR": "blue", "PATH": "/usr/bin:/bin"}, start_new_session=True, cwd=folder,
        )  # fmt: skip
    try:
        while Path(f"/proc/{process.pid}/comm").read_text() != "sleep\n":
            pass
        image = folder / "image.crt"
        crtool.checkpoint(process.pid, image)
        yield process.pid, crtool.show(image), image
    finally:
        process.kill()
        process.wait()


def test_the_image_as_a_whole(pair: tuple[int, ImageSummary, Path]) -> None:
    pid, summary, image = pair

    assert pid == summary.root
    assert os.uname().release == summary.kernel
    assert os.uname().machine == summary.cpu
    assert image.stat().st_size == summary.size
    assert 0 < summary.data_bytes < summary.size
    assert summary.created.endswith("Z")


def test_the_process(pair: tuple[int, ImageSummary, Path]) -> None:
    pid, summary, _ = pair
    (process,) = summary.processes

    assert (pid, os.getpid(), pid, pid) == (process.pid, process.ppid, process.pgid, process.sid)
    assert "sleep" == process.comm
    assert os.readlink(f"/proc/{pid}/exe") == process.exe
    assert ("sleep", "1000") == process.cmdline
    assert {"COLOUR=blue", "PATH=/usr/bin:/bin"} <= set(process.environment)
    assert 1 == process.threads


def test_its_mappings(pair: tuple[int, ImageSummary, Path]) -> None:
    pid, summary, _ = pair
    (process,) = summary.processes
    special = (b"[vdso]", b"[vvar]", b"[vvar_vclock]", b"[vsyscall]")
    expected = [mapping for mapping in maps.parse(read(pid, "maps")) if mapping.name not in special]

    assert [(mapping.start, mapping.end) for mapping in expected] == [(m.start, m.end) for m in process.mappings]
    assert process.memory_bytes == sum(mapping.saved_bytes for mapping in process.mappings)
    assert any(mapping.name == "[stack]" and mapping.saved_bytes for mapping in process.mappings)


def test_its_descriptors(pair: tuple[int, ImageSummary, Path]) -> None:
    pid, summary, image = pair
    (process,) = summary.processes

    assert sorted(map(int, os.listdir(f"/proc/{pid}/fd"))) == [descriptor.fd for descriptor in process.descriptors]
    assert "file" == process.descriptors[0].kind
    assert f"{image.parent / 'data'} at 4" == process.descriptors[0].detail


_BUSY = """
import signal, socket, sys, threading
signal.signal(signal.SIGUSR1, lambda *_: None)
signal.signal(signal.SIGHUP, signal.SIG_IGN)
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2])
signal.raise_signal(signal.SIGUSR2)
signal.setitimer(signal.ITIMER_REAL, 5000, 7)
server = socket.create_server(("127.0.0.1", 0))
client = socket.create_connection(server.getsockname())
accepted = server.accept()[0]
datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
datagrams.bind(("127.0.0.1", 0))
datagrams.sendto(b"hello", datagrams.getsockname())
print(server.fileno(), server.getsockname()[1], client.fileno(), client.getsockname()[1],
      datagrams.fileno(), datagrams.getsockname()[1], flush=True)
signal.pause()
"""


def test_signals_timers_and_sockets(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", _BUSY], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        start_new_session=True, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        server, port, client, client_port, datagrams, datagram_port = map(int, process.stdout.readline().split())
        crtool.checkpoint(process.pid, tmp_path / "image.crt", stdio="inherit")
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
    (shown,) = crtool.show(tmp_path / "image.crt").processes
    signals = {found.name: (found.action, found.blocked, found.pending) for found in shown.signals}
    sockets = {found.fd: (found.kind, found.local, found.remote, found.detail) for found in shown.sockets}
    (timer,) = shown.timers

    assert ("caught", (), 0) == signals["SIGUSR1"]
    assert ("ignored", (), 0) == signals["SIGHUP"]
    assert ("default", (process.pid,), 1) == signals["SIGUSR2"]
    assert "SIGTERM" not in signals
    assert ("ITIMER_REAL", 7_000_000_000, "sends SIGALRM") == (timer.clock, timer.interval, timer.effect)
    assert 4_900_000_000_000 < timer.left < 5_000_000_000_000
    assert ("tcp", f"127.0.0.1:{port}", "", "listen") == sockets[server]
    assert ("tcp", f"127.0.0.1:{client_port}", f"127.0.0.1:{port}", "established") == sockets[client]
    assert ("udp", f"127.0.0.1:{datagram_port}", "", "1 unread") == sockets[datagrams]


def test_an_image_that_comes_through_a_pipe(pair: tuple[int, ImageSummary, Path]) -> None:
    """Command line and environment are in the data, which has not come yet."""
    _, summary, image = pair
    with subprocess.Popen(["cat", str(image)], stdout=subprocess.PIPE) as cat:
        assert isinstance(cat.stdout, io.BufferedReader)
        streamed = crtool.show(cat.stdout.fileno())

    assert summary.root == streamed.root
    assert () == streamed.processes[0].cmdline
    assert ((), True) == (summary.warnings, "command lines" in streamed.warnings[0])
    assert summary.processes[0].mappings == streamed.processes[0].mappings


def test_what_is_no_image(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        crtool.show(tmp_path / "none")
    (tmp_path / "text").write_text("hello\n" * 1000)
    with pytest.raises(ImageError):
        crtool.show(tmp_path / "text")
