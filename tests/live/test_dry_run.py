"""What ``restart --dry-run`` lists, and that it does nothing of it."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from .harness import processes
from .harness.command import crtool
from .test_changed_files import target

PROGRAM = """
import os, socket
read = open('read', 'rb', 0)
log = open('log', 'ab', 0)
gone = open('gone', 'wb'); os.unlink('gone')
named = socket.socket(socket.AF_UNIX); named.bind('name'); named.listen()
port = socket.socket(); port.bind(('127.0.0.1', 0)); port.listen()
open('port', 'w').write(str(port.getsockname()[1]))
"""


@dataclass
class Saved:
    """An image, the folder of its program, and its PID."""

    image: Path
    folder: Path
    pid: int


@pytest.fixture(scope="module")
def saved(subreaper: None, tmp_path_factory: pytest.TempPathFactory) -> Saved:
    folder = tmp_path_factory.mktemp("dry-run")
    (folder / "read").write_bytes(b"0123456789")
    with target(PROGRAM, folder) as process:
        done = crtool("checkpoint", str(process.pid), "--kill", "-o", str(folder / "image"))
        assert 0 == done.returncode, done.stderr
        assert -signal.SIGKILL == process.wait(30)
    return Saved(folder / "image", folder, process.pid)


def state(folder: Path) -> dict[str, tuple[int, int, int, int]]:
    """Everything that shows in *folder*."""
    found = {entry.name: entry.stat(follow_symlinks=False) for entry in os.scandir(folder)}
    return {name: (s.st_ino, s.st_size, s.st_mtime_ns, s.st_mode) for name, s in found.items()}


def test_all_is_listed_and_nothing_is_done(saved: Saved) -> None:
    before = state(saved.folder)

    done = crtool("restart", "--dry-run", "--json", str(saved.image))

    assert 0 == done.returncode, done.stderr
    found = json.loads(done.stdout)
    assert (1, {"/dev/null", str(saved.folder / "log")}) == (found["processes"], set(found["written"]))
    assert [str(saved.folder / "gone")] == found["deleted"]
    assert [str(saved.folder / "name")] == found["replaced"]
    port = (saved.folder / "port").read_text()
    assert {f"tcp 127.0.0.1:{port}", "unix socket name"} == set(found["bound"])
    assert [os.getuid()] == found["users"]
    assert saved.pid in found["pids"] or found["pidns"]
    assert before == state(saved.folder)
    assert saved.pid not in processes.descendants()


def test_people_get_a_table(saved: Saved) -> None:
    done = crtool("restart", "--dry-run", str(saved.image))

    assert 0 == done.returncode, done.stderr
    assert any(line.split(None, 3)[-1] == str(saved.folder / "log") for line in done.stdout.splitlines())


def test_what_stands_in_the_way_is_said_as_by_a_restart(saved: Saved) -> None:
    file = saved.folder / "read"
    file.write_bytes(b"0123456789abc")
    try:
        endings = [crtool("restart", *option, "-d", str(saved.image)) for option in ([], ["--dry-run"])]
        cut = crtool("restart", "--dry-run", "--json", "--files", "truncate", str(saved.image))
        assert 13 == file.stat().st_size
    finally:
        file.write_bytes(b"0123456789")

    assert [126, 126] == [ending.returncode for ending in endings]
    assert endings[0].stderr == endings[1].stderr
    assert [str(file)] == json.loads(cut.stdout)["truncated"]


def test_an_image_that_others_may_write_needs_trust(saved: Saved) -> None:
    saved.image.chmod(0o666)
    try:
        assert 123 == crtool("restart", "--dry-run", str(saved.image)).returncode
        assert 0 == crtool("restart", "--dry-run", "--trust", str(saved.image)).returncode
    finally:
        saved.image.chmod(0o600)


def test_a_damaged_image(saved: Saved, tmp_path: Path) -> None:
    content = bytearray(saved.image.read_bytes())
    content[len(content) // 2] ^= 4
    damaged = tmp_path / "damaged"
    damaged.write_bytes(content)
    damaged.chmod(0o600)

    assert 123 == crtool("restart", "--dry-run", str(damaged)).returncode


def test_files_that_would_be_put_back(tmp_path: Path) -> None:
    """Only those that are others now, as a restart judges them."""
    for name in ("same", "changed", "gone"):
        (tmp_path / name).write_bytes(b"0123456789")
    program = "files = [open(name, 'rb') for name in ('same', 'changed', 'gone')]"
    with target(program, tmp_path) as process:
        done = crtool("checkpoint", process.pid, "--kill", "--files", "content", "-o", tmp_path / "image")
        assert 0 == done.returncode, done.stderr
    (tmp_path / "changed").write_bytes(b"abcdefghij")
    (tmp_path / "gone").unlink()
    before = state(tmp_path)

    done = crtool("restart", "--dry-run", "--json", "--files", "restore", tmp_path / "image")

    assert 0 == done.returncode, done.stderr
    assert {str(tmp_path / name) for name in ("changed", "gone")} == set(json.loads(done.stdout)["replaced"])
    assert before == state(tmp_path)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to make System V IPC objects anew")
def test_system_v_objects(tmp_path: Path) -> None:
    """One that outlives the program would be set, and made when it is gone."""
    program = """
import ctypes
libc = ctypes.CDLL(None)
number = libc.msgget(0, 0o600)
libc.msgsnd(number, (ctypes.c_long * 2)(1, 2), 8, 0)
open('id', 'w').write(str(number))
"""
    with target(program, tmp_path) as process:
        number = int((tmp_path / "id").read_text())
        try:
            done = crtool("checkpoint", process.pid, "--kill", "--sysvipc", "-o", tmp_path / "image")
            assert 0 == done.returncode, done.stderr
            process.wait(30)  # or its PID would be taken, and the copy get a namespace of its own
            there = crtool("restart", "--dry-run", "--json", tmp_path / "image")
        finally:
            subprocess.run(["ipcrm", "-q", str(number)], check=True)
    gone = crtool("restart", "--dry-run", "--json", tmp_path / "image")

    found = [json.loads(done.stdout) for done in (there, gone)]
    name = f"message queue {number}"
    assert [([], [name]), ([name], [])] == [(each["ipc_made"], each["ipc_changed"]) for each in found]
    assert str(number) not in subprocess.run(["ipcs", "-q"], capture_output=True, text=True, check=True).stdout.split()


GRANTED = """
import os, socket
os.write(os.open('/proc/self/comm', os.O_RDWR), b'granted')
memory = os.open('/proc/self/mem', os.O_RDWR)
route = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0); route.bind((0, 1))
open('port', 'w').write(str(route.getsockname()[0]))
raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
packets = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
os.nice(-3)
open('/proc/self/oom_score_adj', 'w').write(str(ADJUSTED))
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, for raw sockets and a better rank")
def test_what_is_opened_bound_and_granted_beyond_files(tmp_path: Path) -> None:
    nice = os.getpriority(os.PRIO_PROCESS, 0)
    adjusted = int(Path("/proc/self/oom_score_adj").read_text())
    with target(GRANTED.replace("ADJUSTED", str(adjusted)), tmp_path) as process:
        done = crtool("checkpoint", process.pid, "--kill", "-o", tmp_path / "image")
        assert 0 == done.returncode, done.stderr
    own = Path("/proc/self/oom_score_adj")
    own.write_text(str(adjusted + 5))  # less than that takes a capability; more does not
    try:
        command = [sys.executable, "-m", "crtool", "restart", "--dry-run", "--json", tmp_path / "image"]
        found = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)  # by a child of ours
    finally:
        own.write_text(str(adjusted))

    assert {f"/proc/{process.pid}/comm", f"/proc/{process.pid}/mem"} <= set(found["written"])
    port = (tmp_path / "port").read_text()
    assert {f"netlink ROUTE port {port}, groups 1", "raw icmp *", "packet *"} == set(found["bound"])
    assert {
        f"nice {nice - 3}, that of crtool is {nice}",
        f"oom_score_adj {adjusted}, that of crtool is {adjusted + 5}",
    } == set(found["raised"])


@pytest.mark.parametrize("name", ["nowhere/pid", "", "log/pid"], ids=["no folder", "a folder", "a file for a folder"])
def test_a_pidfile_that_cannot_be(name: str, saved: Saved) -> None:
    options = ("-d", "--pidfile", saved.folder / name, saved.image)

    endings = [crtool("restart", *option, *options) for option in ([], ["--dry-run"])]

    assert [126, 126] == [ending.returncode for ending in endings]
    assert f"{saved.folder / name} cannot be written: " in endings[1].stderr
    assert endings[0].stderr == endings[1].stderr


QUEUE = """
import ctypes, os
libc = ctypes.CDLL(None)
queue = libc.mq_open(NAME, os.O_CREAT | os.O_RDWR, 0o600, None)
assert queue >= 0 and not libc.mq_send(queue, b"message", 7, 0)
"""


def test_a_message_queue_that_is_gone(tmp_path: Path) -> None:
    """The dry run refuses it as the restart does."""
    name = f"/crtool-dry-run-{os.getpid()}"
    libc = ctypes.CDLL(None)
    try:
        with target(QUEUE.replace("NAME", repr(name.encode())), tmp_path) as process:
            done = crtool("checkpoint", process.pid, "--kill", "-o", tmp_path / "image")
            assert 0 == done.returncode, done.stderr
        there = crtool("restart", "--dry-run", "--json", tmp_path / "image")
    finally:
        libc.mq_unlink(name.encode())
    assert f"message queue {name[1:]}" in json.loads(there.stdout)["bound"]

    endings = [crtool("restart", *option, "-d", tmp_path / "image") for option in ([], ["--dry-run"])]

    assert [126, 126] == [ending.returncode for ending in endings]
    assert f"the message queue {name}, which held a message, is gone" in endings[1].stderr
    assert endings[0].stderr == endings[1].stderr


def test_a_socket_whose_place_is_taken_by_another_file(saved: Saved) -> None:
    os.unlink(saved.folder / "name")
    (saved.folder / "name").write_bytes(b"")

    endings = [crtool("restart", *option, "-d", saved.image) for option in ([], ["--dry-run"])]

    assert [126, 126] == [ending.returncode for ending in endings]
    assert endings[0].stderr == endings[1].stderr
    assert f"{saved.folder / 'name'} was a unix socket and is another file now" in endings[1].stderr
