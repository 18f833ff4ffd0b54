"""A program in the caller's terminal, saved there and brought back in another one; and pairs that the tree holds."""

from __future__ import annotations

import fcntl
import os
import re
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator
from pathlib import Path

import pytest

from .harness import processes
from .harness.command import crtool
from .screen import REPOSITORY, Screen

KEYS = """
import os, signal, sys, termios, tty
tty.setcbreak(0)
def resized(*_):
    print("resized", *os.get_terminal_size(0), flush=True)
signal.signal(signal.SIGWINCH, resized)
print("ready", flush=True)
while (key := os.read(0, 1).decode()) != "q":
    print(f"<{key}>", os.ttyname(0) == os.ttyname(1), os.tcgetpgrp(0) == os.getpgrp(), flush=True)
sys.exit(7)
"""
"""Answers every key, says whether it is in the foreground, and ends with 7 at a q."""


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    path = tmp_path / "keys.py"
    path.write_text(KEYS)
    return path


@pytest.fixture
def image(tmp_path: Path) -> Path:
    return tmp_path / "image.crt"


def the_child(pid: int) -> int:
    (child,) = (process for process in processes.family(pid) if process != pid)
    return child


@pytest.fixture
def job(keys: Path, image: Path) -> Iterator[Screen]:
    """A second terminal with a shell; *image* holds a job of the shell in a first one, which is gone."""
    with Screen.shell() as first:
        first.run(sys.executable, keys)
        first.expect("ready")
        first.type("a")
        first.expect("<a> True True")
        saved = crtool("checkpoint", str(the_child(first.pid)), "--kill", "-o", str(image))
        assert saved.returncode == 0, saved.stderr
        first.expect("$ ")
    with Screen.shell() as second:
        yield second


def line_mode(screen: Screen) -> bool:
    screen.run("stty -a")
    found = re.search(r"(-?)icanon", screen.expect("iexten"))
    assert found is not None
    screen.expect("$ ")
    return not found[1]


def test_job_goes_on_in_the_terminal_of_the_caller(job: Screen, image: Path) -> None:
    """It is in the foreground, with the settings it had made; at its end the shell has its terminal back."""
    job.run(sys.executable, "-m crtool restart", image)
    job.type("b")
    job.expect("<b> True True")
    job.type("q")
    job.expect("$ ")
    job.run("echo status $?")
    job.expect("status 7")
    assert line_mode(job)


@pytest.mark.parametrize("option", ["", "--pidns"])
def test_stopped_job_stops_crtool_and_goes_on_with_it(job: Screen, image: Path, option: str) -> None:
    job.run(sys.executable, "-m crtool restart", option, image)
    job.type("b")
    job.expect("<b> True True")
    job.type("\x1a")
    job.expect("Stopped")
    job.expect("$ ")
    assert line_mode(job)
    job.run("fg")
    job.type("c")
    job.expect("<c> True True")
    job.type("\x03")
    job.expect("KeyboardInterrupt")
    job.expect("$ ")


def test_job_is_told_of_another_size(job: Screen, image: Path) -> None:
    fcntl.ioctl(job.fd, termios.TIOCSWINSZ, struct.pack("<4H", 33, 77, 0, 0))
    job.run(sys.executable, "-m crtool restart", image)
    job.expect("resized 77 33")
    job.type("q")
    job.expect("$ ")


def test_session_leader_gets_a_terminal_of_its_own(keys: Path, image: Path) -> None:
    """Its session is made again, so its terminal cannot be the caller's, which belongs to the caller's session."""
    with Screen(sys.executable, str(keys)) as first:
        first.expect("ready")
        saved = crtool("checkpoint", str(first.pid), "--kill", "-o", str(image))
        assert saved.returncode == 0, saved.stderr
        root = first.pid
        assert first.status() == -signal.SIGKILL
    with Screen.crtool("restart", str(image)) as second:
        second.type("b")
        second.expect("<b> True True")
        assert root == os.getsid(root)
        second.type("\x1a")  # the relay passes it on, and the kernel drops it: nobody could continue an orphaned group
        second.type("c")
        second.expect("<c> True True")
        second.type("q")
        assert second.status() == 7


def test_without_a_terminal(job: Screen, image: Path) -> None:
    """It is said before anything is built."""
    done = crtool("restart", str(image))
    assert done.returncode == 126
    assert "the image wants a terminal in the place of /dev/pts/" in done.stderr
    assert "script(1)" in done.stderr


def test_two_terminals_outside() -> None:
    one, other = os.openpty(), os.openpty()
    try:
        with subprocess.Popen(["sleep", "60"], stdin=one[1], stdout=other[1], stderr=other[1]) as target:
            done = crtool("checkpoint", str(target.pid), "-o", "-")
            target.kill()
    finally:
        for fd in (*one, *other):
            os.close(fd)
    assert done.returncode == 122
    assert "is a second terminal outside the tree" in done.stderr


FULL = """
import fcntl, hashlib, os, signal, sys, time, tty
CHUNK, TYPED = int(sys.argv[1]), sys.argv[2] == "typed"
master, slave = os.openpty()
tty.setraw(slave)
source, sink = (master, slave) if TYPED else (slave, master)
os.set_blocking(source, False)
sent = b""
for attempt in range(20):
    try:
        while True:
            piece = bytes((len(sent) + i) % 251 for i in range(CHUNK))
            sent += piece[: os.write(source, piece)]
    except BlockingIOError:
        time.sleep(0.005)
signal.signal(signal.SIGTERM, lambda *_: None)
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
print("ready", flush=True)
signal.sigwait({signal.SIGTERM})
os.set_blocking(sink, False)
got = b""
for attempt in range(20):
    try:
        while True:
            got += os.read(sink, 4096)
    except BlockingIOError:
        time.sleep(0.005)
print("PASS" if got == sent else f"FAIL: {len(sent)} bytes became {len(got)}", flush=True)
"""
"""A pair that takes nothing more; what was in it is compared at SIGTERM."""


@pytest.mark.parametrize("chunk", [1, 7, 1000, 65536])
@pytest.mark.parametrize("direction", ["typed", "output"])
def test_full_pair(tmp_path: Path, chunk: int, direction: str) -> None:
    """20 KB in the kernel's hands: nothing is lost, neither in the target that goes on nor in the restored one."""
    script, out, image = tmp_path / "full.py", tmp_path / "out", tmp_path / "image.crt"
    script.write_text(FULL)
    with open(out, "ab") as log:
        command = [sys.executable, str(script), str(chunk), direction]
        target = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
    try:
        processes.Deadline(30, "ready").wait_until(lambda: out.read_text().startswith("ready"))
        for number in range(3):
            saved = crtool("checkpoint", str(target.pid), "-o", str(image), "--force")
            assert saved.returncode == 0, (number, saved.stderr)
        target.send_signal(signal.SIGTERM)
        target.wait(30)
        assert out.read_text() == "ready\nPASS\n"
        with subprocess.Popen(
            [sys.executable, "-m", "crtool", "restart", str(image), "--pidfile", str(tmp_path / "pid")],
            cwd=REPOSITORY, stdin=subprocess.DEVNULL, start_new_session=True,
        ) as waiting:  # fmt: skip
            processes.Deadline(30, "restart").wait_until((tmp_path / "pid").exists)
            os.kill(target.pid, signal.SIGTERM)
            assert waiting.wait(30) == 0
        assert out.read_text() == "ready\nPASS\nPASS\n"
    finally:
        processes.end({target.pid})
        target.poll()


def test_number_that_is_taken(tmp_path: Path) -> None:
    """The program gets another one, and the user a warning."""
    script, out, image = tmp_path / "full.py", tmp_path / "out", tmp_path / "image.crt"
    script.write_text(FULL)
    with open(out, "ab") as log:
        command = [sys.executable, str(script), "10", "output"]
        target = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
    held: list[int] = []
    try:
        processes.Deadline(30, "ready").wait_until(lambda: out.read_text().startswith("ready"))
        links = {os.readlink(f"/proc/{target.pid}/fd/{fd}") for fd in os.listdir(f"/proc/{target.pid}/fd")}
        (slave,) = (link for link in links if link.startswith("/dev/pts/") and link != "/dev/pts/ptmx")
        saved = crtool("checkpoint", str(target.pid), "--kill", "-o", str(image))
        assert saved.returncode == 0, saved.stderr
        target.wait(30)
        while not held or not os.path.exists(slave):
            held += os.openpty()
        with subprocess.Popen(
            [sys.executable, "-m", "crtool", "restart", str(image), "--pidfile", str(tmp_path / "pid")],
            cwd=REPOSITORY, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True,
        ) as waiting:  # fmt: skip
            processes.Deadline(30, "restart").wait_until((tmp_path / "pid").exists)
            os.kill(target.pid, signal.SIGTERM)
            warning = waiting.communicate(timeout=30)[1]
        assert f"{slave} belongs to somebody else: the program gets /dev/pts/" in warning
        assert out.read_text() == "ready\nPASS\n"
    finally:
        for fd in held:
            os.close(fd)
        processes.end({target.pid})
        target.poll()
