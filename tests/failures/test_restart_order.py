"""What others see of a restart, and what cannot be undone, comes last: after a failure everything is as it was."""

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

from crtool.kernel import sysvipc
from crtool.kernel.sysvipc import Kind

from ..live.harness import processes
from ..live.harness.command import crtool

PROGRAM = """
import ctypes, os, socket, time
libc = ctypes.CDLL(None, use_errno=True)
libc.shmat.restype = ctypes.c_void_p
read = open('read', 'rb', 0)
read.read(4)
os.mkfifo('fifo')
fifo = os.open('fifo', os.O_RDWR | os.O_NONBLOCK)
os.write(fifo, b'unread')
listening = socket.socket(socket.AF_UNIX)
listening.bind('socket')
listening.listen()
shm, sem, msg = libc.shmget(0, 4096, 0o1600), libc.semget(0, 2, 0o1600), libc.msgget(0, 0o1600)
libc.shmat(shm, None, 0)
with open('objects.new', 'w') as file:
    file.write(f'shm {shm} sem {sem} msg {msg}')
os.rename('objects.new', 'objects')
time.sleep(600)
"""
OLD, NEW = b"0123456789", b"0123456789 and more"


class Scene:
    """A folder with all that a restart changes, as it is when the program has been killed."""

    def __init__(self, folder: Path, policy: str) -> None:
        self.work = folder / "work"
        self.work.mkdir()
        self.policy = policy
        self.image = folder / "image"
        self.read, self.pidfile = self.work / "read", self.work / "pid"
        self.read.write_bytes(OLD)
        content = ("--files", "content") if policy == "restore" else ()
        nothing = subprocess.DEVNULL
        with subprocess.Popen(
            [sys.executable, "-c", PROGRAM], cwd=self.work, stdin=nothing, stdout=nothing, stderr=nothing,
            start_new_session=True,
        ) as process:  # fmt: skip
            try:
                processes.Deadline(30, "ready").wait_until((self.work / "objects").exists)
                words = (self.work / "objects").read_text().split()
                self.objects: dict[Kind, int] = {"shm": int(words[1]), "sem": int(words[3]), "msg": int(words[5])}
                done = crtool(
                    "checkpoint", process.pid, "--kill", "--sysvipc", *content, "-o", self.image
                )
                assert done.returncode == 0, done.stderr
            finally:
                process.kill()
        self.pid = process.pid
        self.remove_objects()
        self.read.write_bytes(NEW)
        self.stranger = os.open(self.work / "fifo", os.O_RDWR | os.O_NONBLOCK)
        self.before = self.look()

    def remove_objects(self) -> None:
        """Those that a restart has made, or left."""
        for kind, number in self.objects.items():
            with suppress(OSError):
                sysvipc.remove(kind, number)

    def restart(self, fault: str = "", *options: str) -> subprocess.CompletedProcess[str]:
        """One restart, with a fault."""
        words = ["restart", "--detach", "--no-pidns", "--pidfile", self.pidfile, "--files", self.policy, *options]
        command = [sys.executable, "-m", "crtool", *map(str, words), str(self.image)]
        environment = {**os.environ, "CRTOOL_FAULT": fault}
        return subprocess.run(
            command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False
        )

    def look(self) -> object:
        """Folder and objects, and what a stranger finds in the FIFO."""
        found = {}
        for path in self.work.iterdir():
            with suppress(FileNotFoundError):  # swept just now
                status = path.lstat()
                content = path.read_bytes() if path.is_file() else b""
                found[path.name] = (status.st_ino, status.st_mode, status.st_nlink, content)
        return found, self.there(), self.unread()

    def there(self) -> set[Kind]:
        """Which of the objects there are."""
        found: set[Kind] = set()
        for kind, number in self.objects.items():
            with suppress(OSError):
                sysvipc.stat(kind, number)
                found.add(kind)
        return found

    def unread(self) -> bytes:
        """What a stranger can read."""
        with suppress(BlockingIOError):
            return os.read(self.stranger, 100)
        return b""

    def require_running(self) -> None:
        """Everything is there, and everybody runs."""
        assert self.read.read_bytes() == OLD
        assert self.unread() == b"unread"
        assert self.there() == set(self.objects)
        assert int(self.pidfile.read_text()) == self.pid
        assert not processes.is_traced(self.pid)
        os.kill(self.pid, 0)
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(self.work / "socket"))
        assert {path.name for path in self.work.iterdir()} == {"read", "fifo", "socket", "objects", "pid"}


@pytest.fixture(params=["truncate", "restore"])
def scene(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Scene]:
    """One for each way in which files are changed."""
    with processes.all_ended():
        scene = Scene(tmp_path, request.param)
        try:
            yield scene
        finally:
            os.close(scene.stranger)
            if scene.pidfile.exists():
                with suppress(ProcessLookupError):
                    os.kill(scene.pid, signal.SIGKILL)
            scene.remove_objects()


POINTS = ("batch made 5", "become 1", "release begin 1", "release begin 2", "release end 2")


def test_everything_is_as_it_was(scene: Scene) -> None:
    """After each failure, and each death; and the restart that follows succeeds."""
    for point in POINTS:
        for fault in ("exception", "SIGKILL", "ENOMEM"):
            done = scene.restart(f"{point}={fault}")
            assert done.returncode not in (0, 1), (point, fault, done.stderr)
            processes.Deadline(20, f"{fault} at {point}").wait_until(lambda: not alive(scene.pid))
            with suppress(TimeoutError):
                processes.Deadline(20, "swept").wait_until(lambda: scene.look() == scene.before)
            assert scene.before == scene.look(), (point, fault)
    assert scene.restart("", "--pidfile", "/no/such/folder/pid").returncode == 126
    assert scene.before == scene.look()
    done = scene.restart()
    assert done.returncode == 0, done.stderr
    scene.require_running()


@pytest.mark.parametrize("fault", ["ENOMEM", "exception", "SIGINT", "SIGTERM"])
@pytest.mark.parametrize("point", ["release a thread 1"])
def test_who_is_let_go_runs(point: str, fault: str, scene: Scene) -> None:
    """When files have been changed, nothing fails any more."""
    done = scene.restart(f"{point}={fault}")
    assert done.returncode == 0, done.stderr
    assert f"PID {scene.pid} is back and running" in done.stdout
    scene.require_running()


@pytest.mark.parametrize("number", ["SIGINT", "SIGTERM"])
def test_a_signal_in_the_last_moment_is_no_failure(number: str, scene: Scene) -> None:
    done = scene.restart(f"release begin 2={number}")
    assert done.returncode == 0, done.stderr
    assert f"PID {scene.pid} is back and running" in done.stdout
    scene.require_running()


def alive(pid: int) -> bool:
    """Whether the process is there, and no zombie; what has come to us is waited for."""
    with suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
    return os.path.exists(f"/proc/{pid}")
