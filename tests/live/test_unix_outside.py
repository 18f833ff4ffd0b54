"""Unix sockets whose other end is outside the tree: refused, closed, or connected again."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from .harness.command import REPOSITORY, crtool
from .harness.processes import Deadline

PATIENCE = 60.0
CLIENT = """
import socket, sys
line = socket.socket(socket.AF_UNIX)
line.connect(sys.argv[1])
print("ready", flush=True)
while True:
    try:
        data = line.recv(100)
    except ConnectionResetError:
        data = b""
    if not data:
        break
    line.sendall(data.upper())
print("end", flush=True)
"""


class Outside:
    """A server here, and a client of it that is a tree of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(folder / "server"))
        self.listener.listen()
        self.listener.settimeout(PATIENCE)
        with open(folder / "out", "wb") as out:
            self.client = subprocess.Popen(
                [sys.executable, "-c", CLIENT, str(folder / "server")], stdin=subprocess.DEVNULL, stdout=out,
                stderr=out, cwd=folder, start_new_session=True,
            )  # fmt: skip
        self.connection, _ = self.listener.accept()
        self.pid = self.client.pid
        self.restarted: subprocess.Popen[bytes] | None = None
        self.await_output("ready")

    def await_output(self, text: str) -> None:
        Deadline(PATIENCE, text).wait_until(lambda: text in (self.folder / "out").read_text())

    def checkpoint(self, *options: str) -> subprocess.CompletedProcess[str]:
        return crtool("checkpoint", self.pid, "-f", "-o", self.folder / "image", *options)

    def restart(self) -> None:
        self.client.wait(PATIENCE)
        with open(self.folder / "err", "wb") as err:
            self.restarted = subprocess.Popen(
                [sys.executable, "-m", "crtool", "restart", str(self.folder / "image")], cwd=REPOSITORY,
                stdin=subprocess.DEVNULL, stderr=err,
            )  # fmt: skip

    def talk(self, line: socket.socket) -> None:
        line.settimeout(PATIENCE)
        line.sendall(b"word")

        assert b"WORD" == line.recv(100)

    def close(self) -> None:
        self.connection.close()
        self.listener.close()
        for process in (self.client, self.restarted):
            if process is not None:
                with suppress(ProcessLookupError):
                    os.kill(process.pid, signal.SIGTERM)
                process.wait(PATIENCE)


@pytest.fixture
def outside(tmp_path: Path) -> Iterator[Outside]:
    outside = Outside(tmp_path)
    try:
        yield outside
    finally:
        outside.close()


def test_it_is_refused_by_the_name_of_who_has_the_other_end(outside: Outside) -> None:
    done = outside.checkpoint()

    assert 122 == done.returncode
    assert f"a unix socket whose other end PID {os.getpid()} " in done.stderr
    assert "--unix=reconnect" in done.stderr
    outside.talk(outside.connection)


def test_it_comes_back_closed(outside: Outside) -> None:
    done = outside.checkpoint("--kill", "--unix", "close")

    assert 0 == done.returncode, done.stderr
    assert "outside the tree: it comes back disconnected" in done.stderr
    outside.restart()
    outside.await_output("end")
    assert "" == (outside.folder / "err").read_text()  # the loss has been told: not a word of who is gone


def test_it_is_connected_again(outside: Outside) -> None:
    done = outside.checkpoint("--kill", "--unix", "reconnect")

    assert 0 == done.returncode, done.stderr
    assert "outside the tree: it is connected again at a restart" in done.stderr
    assert b"" == outside.connection.recv(100)
    outside.restart()
    connection, _ = outside.listener.accept()
    with connection:
        outside.talk(connection)
    outside.await_output("end")
    assert "" == (outside.folder / "err").read_text()


def test_nobody_listens_any_more(outside: Outside) -> None:
    done = outside.checkpoint("--kill", "--unix", "reconnect")
    outside.listener.close()

    assert 0 == done.returncode, done.stderr
    outside.restart()
    assert outside.restarted is not None
    assert 126 == outside.restarted.wait(PATIENCE)


# Its standard output is one end of a pair, of which the other is in flight within the tree, and open nowhere.
IN_FLIGHT = """
import socket, os
one, other = socket.socketpair()
letter, box = socket.socketpair()
socket.send_fds(letter, [b"x"], [other.fileno()])
other.close()
os.dup2(one.fileno(), 1)
one.close()
"""
_WAITS = """
import time
open("ready", "w").close()
time.sleep(1000)
"""


@pytest.mark.parametrize("how", ["accepted", "waiting", "in flight"])
def test_a_standard_stream_is_inherited_if_it_leads_outside(tmp_path: Path, how: str) -> None:
    from crtool.engine.preflight import survey
    from crtool.resources.policy import Policy

    program = (IN_FLIGHT if how == "in flight" else "") + _WAITS
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as line:
        listener.bind(str(tmp_path / "journal"))
        listener.listen()
        line.connect(str(tmp_path / "journal"))
        service = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.DEVNULL, stdout=line,
                                   stderr=subprocess.DEVNULL, cwd=tmp_path, start_new_session=True)  # fmt: skip
        inode = os.fstat(line.fileno()).st_ino
        line.close()
        try:
            accepted = [] if how == "waiting" else [listener.accept()[0]]
            Deadline(PATIENCE, "ready").wait_until((tmp_path / "ready").exists)
            report = survey(service.pid, Policy(stdio="inherit"))

            if how == "in flight":
                assert {} == report.inherited
            else:
                assert {inode: 1} == {key[1]: stream for key, stream in report.inherited.items()}
                command = [sys.executable, "-m", "crtool", "check", str(service.pid)]
                done = subprocess.run(command, capture_output=True, text=True, check=False)
                assert 2 == done.returncode, done.stderr
                assert "let --stdio inherit replace it" in done.stdout + done.stderr
            assert [] == report.obstacles
            for connection in accepted:
                connection.close()
        finally:
            service.kill()
            service.wait()
