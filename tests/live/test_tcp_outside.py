"""TCP connections of which one end is outside the tree: what that end sees while the program is away."""

from __future__ import annotations

import os
import re
import select
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from crtool.abi.clone import CLONE_NEWNET
from crtool.engine.checkpoint import checkpoint
from crtool.kernel import tun
from crtool.kernel.process import pidfd_getfd, pidfd_open
from crtool.kernel.syscall import syscall

from .harness import processes
from .harness.command import REPOSITORY, cold

ECHO = """
import socket, sys
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])), reuse_port=False)
connection, _ = listener.accept()
print("ready", flush=True)
while data := connection.recv(65536):
    connection.sendall(data.upper())
print("end", flush=True)
"""
PATIENCE = 60.0

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, for a network namespace")

needs_nftables = pytest.mark.machine("nf_tables")  # by which connections are held


class Target:
    """An echo server in capitals, with one connection to this process."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.pidfile = folder / "pid"
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.process = self._start([sys.executable, "-c", ECHO, str(self.port)])
        self.root = self.process.pid
        self.connection = self._connect()
        self.waiting: subprocess.Popen[bytes] | None = None
        self.wait_until(lambda: b"ready" in self.output())

    def _start(self, command: list[str]) -> subprocess.Popen[bytes]:
        with open(self.folder / "out", "ab") as out:
            return subprocess.Popen(
                command, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True
            )

    def _connect(self) -> socket.socket:
        until = time.monotonic() + PATIENCE
        while True:
            try:
                return socket.create_connection(("127.0.0.1", self.port))
            except ConnectionRefusedError:
                assert time.monotonic() < until
                time.sleep(0.01)

    def output(self) -> bytes:
        return (self.folder / "out").read_bytes()

    def checkpoint(self, *options: str) -> str:
        """Saves it; returns what was said on standard error."""
        done = cold("checkpoint", str(self.root), "-f", "-o", str(self.folder / "image.crt"), *options)
        assert 0 == done.returncode, done.stderr
        if "--kill" in options:
            (self.waiting or self.process).wait(PATIENCE)
        return done.stderr

    def restart(self, *options: str) -> None:
        self.pidfile.unlink(missing_ok=True)
        command = [sys.executable, "-m", "crtool", "restart", str(self.folder / "image.crt"), *options]
        with open(self.folder / "restart.log", "ab") as log:
            self.waiting = subprocess.Popen(
                [*command, "--pidfile", str(self.pidfile)], cwd=REPOSITORY, stdin=subprocess.DEVNULL, stdout=log,
                stderr=log, start_new_session=True,
            )  # fmt: skip
        self.wait_until(self.pidfile.exists)

    def wait_until(self, condition: Callable[[], bool]) -> None:
        until = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < until, self.output() + self.log()
            time.sleep(0.01)

    def log(self) -> bytes:
        path = self.folder / "restart.log"
        return path.read_bytes() if path.exists() else b""

    def ask(self, text: bytes) -> None:
        self.connection.sendall(text)
        self.expect(text.upper())

    def expect(self, wanted: bytes) -> None:
        self.connection.settimeout(PATIENCE)
        found = b""
        while len(found) < len(wanted):
            more = self.connection.recv(65536)
            assert more, self.output() + self.log()
            found += more
        assert wanted == found

    def is_silent(self) -> bool:
        """Whether the connection is, for half a second, as if nothing had happened."""
        return not select.select([self.connection], [], [], 0.5)[0]

    def end(self) -> None:
        self.connection.close()
        for process in (self.process, self.waiting):
            if process is not None:
                try:
                    process.wait(5)
                except subprocess.TimeoutExpired:
                    os.kill(self.root, signal.SIGKILL)
                    process.wait(PATIENCE)


@pytest.fixture(autouse=True)
def network() -> Iterator[None]:
    """For each test a network namespace, where every table of ours is the test's: other tests make some beside it.

    At its end there is none.
    """
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    syscall("unshare", CLONE_NEWNET)
    try:
        tun.set_link(b"lo", 65536, up=True)
        yield
        assert set() == tables()
    finally:
        syscall("setns", home, CLONE_NEWNET)
        os.close(home)


@pytest.fixture
def target(network: None, tmp_path: Path) -> Iterator[Target]:
    target = Target(tmp_path)
    try:
        yield target
    finally:
        target.end()


def tables() -> set[str]:
    """The tables of ours."""
    line = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12)
    with line:
        line.bind((0, 0))
        line.send(struct.pack("<IHHII4x", 20, 10 << 8 | 1, 0x301, 1, 0))  # NFT_MSG_GETTABLE, all
        found, data = b"", b""
        while b"\x03\x00\x02\x00" not in data[4:8]:  # NLMSG_DONE, NLM_F_MULTI
            data = line.recv(1 << 16)
            found += data
    return {name.decode() for name in re.findall(rb"crtool-[0-9a-f]{16}(?:-now)?", found)}


@needs_nftables
def test_the_other_end_hears_nothing_until_the_restart(target: Target) -> None:
    target.ask(b"before")
    said = target.checkpoint("--kill")

    (table,) = re.findall(r"nft delete table inet (crtool-[0-9a-f]{16})", said)
    assert {table} == tables()
    target.connection.sendall(b"meanwhile")
    assert target.is_silent()
    target.restart()
    target.expect(b"MEANWHILE")
    target.ask(b"after")
    assert set() == tables()
    target.connection.shutdown(socket.SHUT_WR)
    target.wait_until(lambda: b"end" in target.output())


@needs_nftables
def test_again_and_again(target: Target) -> None:
    for number in range(3):
        target.checkpoint("--kill")
        target.connection.sendall(b"a%d" % number)
        target.restart()
        target.expect(b"A%d" % number)
    assert set() == tables()


@needs_nftables
def test_a_restart_that_fails_can_be_tried_again(target: Target) -> None:
    """Somebody has the port: nothing is said to the other end, and what holds the connection stays."""
    target.checkpoint("--kill")
    thief = socket.create_server(("127.0.0.1", target.port))
    with thief:
        done = cold("restart", str(target.folder / "image.crt"))

    assert 126 == done.returncode
    assert f"port {target.port} is taken by PID {os.getpid()}" in done.stderr
    assert target.is_silent()
    assert 1 == len(tables())
    target.restart()
    target.ask(b"after")


def test_a_target_that_goes_on_is_not_disturbed(target: Target) -> None:
    """Its connection works, is not in repair mode, and is held by nobody."""
    target.ask(b"before")
    for _ in range(3):
        target.checkpoint()
        target.ask(b"after")
    assert set() == tables()
    assert target.is_silent()


def test_a_crtool_that_is_killed_disturbs_nobody(target: Target) -> None:
    """At any instant: the connection is never left in repair mode, nor held by anybody."""
    before = processes.descendants()
    for number in range(40):
        crtool = os.fork()
        if crtool == 0:
            _save(target.root, target.folder / "a.crt")
        target.wait_until(lambda child=crtool: _has_ended(child) or _is_frozen(target.root))
        time.sleep(number * 0.001)
        os.kill(crtool, signal.SIGKILL)
        os.waitpid(crtool, 0)
        target.ask(b"after %d" % number)
        assert set() == tables()
        processes.reap_all(processes.descendants() - before)  # those who have outlived it end by themselves


def _save(root: int, image: Path) -> None:
    """In a child. Without --kill: a target that is to be killed is, once its image is safe."""
    try:
        checkpoint(root, str(image), force=True)
    finally:
        os._exit(0)


def _has_ended(child: int) -> bool:
    return os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _is_frozen(pid: int) -> bool:
    status = Path(f"/proc/{pid}/status").read_text()
    return "TracerPid:\t0\n" not in status


def test_connections_that_are_not_kept_end_as_usual(target: Target) -> None:
    target.ask(b"before")
    said = target.checkpoint("--kill", "--tcp", "close")

    assert "was not saved (--tcp close)" in said
    target.connection.settimeout(PATIENCE)
    assert b"" == target.connection.recv(1)
    assert set() == tables()
    target.restart()
    target.wait_until(lambda: b"ConnectionResetError" in target.output())


@needs_nftables
def test_a_restart_can_leave_connections_out(target: Target) -> None:
    target.checkpoint("--kill")
    target.restart("--tcp", "close")

    assert b"was not restarted (--tcp close)" in target.log()
    target.wait_until(lambda: b"ConnectionResetError" in target.output())
    assert set() == tables()


def test_an_address_that_is_not_here_is_named(tmp_path: Path) -> None:
    """In a network namespace with an address of its own; the restart is outside of it."""
    if os.geteuid() != 0:
        pytest.skip("needs root")
    script = (
        "import socket, time; s = socket.socket(); s.setsockopt(0, 15, 1); "  # IP_FREEBIND
        "s.bind(('198.51.100.7', 0)); s.setsockopt(0, 15, 0); s.listen(); print('ready', flush=True); time.sleep(600)"
    )
    with open(tmp_path / "out", "wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-c", script], stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True
        )
    until = time.monotonic() + PATIENCE
    while b"ready" not in (tmp_path / "out").read_bytes():
        assert time.monotonic() < until
        time.sleep(0.01)
    saved = cold("checkpoint", process.pid, "-k", "-o", tmp_path / "a.crt")
    process.wait(PATIENCE)
    done = cold("restart", tmp_path / "a.crt")

    assert 0 == saved.returncode, saved.stderr
    assert 126 == done.returncode
    assert "this machine has no address 198.51.100.7" in done.stderr
    assert "ip address add 198.51.100.7/32 dev lo" in done.stderr


def test_a_connection_that_somebody_else_has_too_is_refused(target: Target) -> None:
    """Who goes on with it makes the numbers in the image wrong."""
    with os.fdopen(pidfd_open(target.root), "rb") as door:
        theirs = next(
            fd for fd in map(int, os.listdir(f"/proc/{target.root}/fd"))
            if os.readlink(f"/proc/{target.root}/fd/{fd}").startswith("socket:") and _is_connected(door.fileno(), fd)
        )  # fmt: skip
        mine = pidfd_getfd(door.fileno(), theirs)
    with socket.socket(fileno=mine):
        done = cold("checkpoint", str(target.root), "-o", str(target.folder / "image.crt"))

    assert 122 == done.returncode
    assert f"fd {theirs}: a TCP connection that PID {os.getpid()} " in done.stderr
    target.ask(b"after")
    target.checkpoint()


def _is_connected(door: int, fd: int) -> bool:
    with socket.socket(fileno=pidfd_getfd(door, fd)) as borrowed:
        try:
            borrowed.getpeername()
        except OSError:
            return False
    return True
