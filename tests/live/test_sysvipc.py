"""System V IPC of the machine: refused by name, or saved if it is asked for; objects that are still there, or taken."""

from __future__ import annotations

import ctypes
import errno
import os
import signal
import struct
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from crtool.abi.clone import CLONE_NEWIPC
from crtool.engine.ipc import IpcObjects
from crtool.engine.snapshot import IpcRecord
from crtool.errors import EnvironmentDiffers
from crtool.kernel import sysvipc
from crtool.kernel.sweeper import Sweeper
from crtool.kernel.syscall import syscall
from crtool.kernel.sysvipc import Kind, Permissions
from crtool.resources.ipc import queues, undo
from crtool.resources.ipc.queues import MessageRecord, QueueRecord
from crtool.resources.ipc.semaphores import SetRecord

from .harness import processes
from .harness.command import cold  # in our namespace
from .harness.processes import holding
from .test_changed_files import target
from .test_pidns import finish

SHM = """
import ctypes, os
libc = ctypes.CDLL(None)
libc.shmat.restype = ctypes.c_void_p
number = libc.shmget(0, 4096, 0o1600)
assert libc.shmat(number, None, 0) != ctypes.c_void_p(-1).value
libc.shmctl(number, 0, None)
"""
SEM = """
import ctypes, struct
libc = ctypes.CDLL(None)
number = libc.semget(0, 1, 0o1600)
libc.semop(number, struct.pack('<Hhh', 0, 1, 0x1000), 1)
print(number, file=open('number', 'w'))
"""



UNDO = "struct.pack('<Hhh', 0, -1, 0x1000)"
ALL = """
import ctypes, os, signal, struct
libc = ctypes.CDLL(None)
libc.shmat.restype = ctypes.c_void_p
segment = libc.shmget(0, 4096, 0o1600)
at = libc.shmat(segment, None, 0)
ctypes.memmove(at, b'content', 7)
semaphores = libc.semget(0, 2, 0o1600)
libc.semop(semaphores, struct.pack('<Hhh', 0, 6, 0), 1)
libc.semop(semaphores, struct.pack('<Hhh', 0, -1, 0x1000), 1)
queue = libc.msgget(0, 0o1600)
libc.msgsnd(queue, struct.pack('<q', 3) + b'message', 7, 0)
def tell(*_):
    open('told.new', 'wb').write(ctypes.string_at(at, 7))
    os.rename('told.new', 'told')
signal.signal(signal.SIGUSR1, tell)
print(segment, semaphores, queue, file=open('number', 'w'))
"""
libc = ctypes.CDLL(None)
pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, for an IPC namespace")


@pytest.fixture(autouse=True)
def namespace() -> Iterator[None]:
    """For each test one that starts empty, with "the machine" in it; the tests beside it have another one."""
    home = os.open("/proc/thread-self/ns/ipc", os.O_RDONLY)
    syscall("unshare", CLONE_NEWIPC)
    try:
        yield
    finally:
        syscall("setns", home, CLONE_NEWIPC)
        os.close(home)


@dataclass(frozen=True)
class Saved:
    image: Path
    folder: Path
    pid: int
    segment: int
    semaphores: int
    queue: int

    def restart(self, *options: str) -> subprocess.CompletedProcess[str]:
        return cold("restart", str(self.image), "--detach", *options)

    def told(self, pid: int) -> bytes:
        (self.folder / "told").unlink(missing_ok=True)
        os.kill(pid, signal.SIGUSR1)
        processes.Deadline(30, "told").wait_until((self.folder / "told").exists)
        return (self.folder / "told").read_bytes()

    def change(self) -> None:
        """What somebody does to the objects when the processes are gone."""
        with sysvipc.attached(self.segment, 4096, writable=True) as (_, view), view:
            view[:7] = b"changed"
        sysvipc.set_values(self.semaphores, (9, 9))
        sysvipc.receive(self.queue, 100)
        sysvipc.send(self.queue, 8, b"another")

    def remove(self) -> None:
        for kind, number in (("shm", self.segment), ("sem", self.semaphores), ("msg", self.queue)):
            try:
                sysvipc.remove(kind, number)
            except OSError:
                pass

    def assert_as_saved(self) -> None:
        assert (5, 0) == sysvipc.values(self.semaphores, 2)
        assert (3, b"message") == sysvipc.peek(self.queue, 0, 100)
        assert sysvipc.peek(self.queue, 1, 100) is None
        assert self.told(self.pid) == b"content"


def start(tmp_path: Path, *options: str) -> Iterator[Saved]:
    path = tmp_path / "image"
    before = processes.descendants()
    with target(ALL, tmp_path) as process:
        done = cold("checkpoint", str(process.pid), "-o", str(path), *options)
        numbers = map(int, (tmp_path / "number").read_text().split())
        saved = Saved(path, tmp_path, process.pid, *numbers)
        try:
            assert done.returncode == 0, done.stderr
            if "--kill" in options:
                assert process.wait(30) == -signal.SIGKILL
            yield saved
        finally:
            processes.end(processes.descendants() - before)
            saved.remove()


@pytest.fixture
def saved(tmp_path: Path) -> Iterator[Saved]:
    """Killed; its objects are there."""
    yield from start(tmp_path, "--sysvipc", "--kill")


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Saved]:
    """It has gone on."""
    yield from start(tmp_path, "--sysvipc")


def test_unused_objects(tmp_path: Path) -> None:
    """Nothing tells whose they are: they are made anew, but one that is there is left alone."""
    program = """
import ctypes
libc = ctypes.CDLL(None)
print(libc.semget(0, 1, 0o1600), libc.msgget(0, 0o1600), file=open('number', 'w'))
"""
    with target(program, tmp_path) as process:
        semaphores, queue = map(int, (tmp_path / "number").read_text().split())
        done = cold("checkpoint", str(process.pid), "-o", str(tmp_path / "image"), "--sysvipc", "--kill")
        assert done.returncode == 0, done.stderr
        process.wait(30)
        sysvipc.remove("sem", semaphores)
        sysvipc.send(queue, 8, b"of others")
        try:
            with processes.all_ended():
                done = cold("restart", str(tmp_path / "image"), "--detach")
            assert done.returncode == 0, done.stderr
            assert sysvipc.values(semaphores, 1) == (0,)
            assert sysvipc.peek(queue, 0, 100) == (8, b"of others")
        finally:
            sysvipc.remove("msg", queue)
            sysvipc.remove("sem", semaphores)


@pytest.mark.parametrize("removed", [False, True])
def test_objects_come_back(saved: Saved, removed: bool) -> None:
    saved.remove() if removed else saved.change()
    done = saved.restart("--no-pidns")
    assert done.returncode == 0, done.stderr
    saved.assert_as_saved()
    processes.end({saved.pid})
    assert (6, 0) == sysvipc.values(saved.semaphores, 2)  # what was to be undone is


def test_failure_leaves_nothing(saved: Saved) -> None:
    saved.remove()
    before = [Path(f"/proc/sysvipc/{kind}").read_text() for kind in ("shm", "sem", "msg")]
    assert saved.restart("--pidfile", "/no/such/folder/file").returncode != 0
    assert before == [Path(f"/proc/sysvipc/{kind}").read_text() for kind in ("shm", "sem", "msg")]


def test_failure_changes_nothing(saved: Saved) -> None:
    saved.change()
    assert saved.restart("--pidfile", "/no/such/folder/file").returncode != 0
    assert (9, 9) == sysvipc.values(saved.semaphores, 2)
    assert (8, b"another") == sysvipc.peek(saved.queue, 0, 100)
    with sysvipc.attached(saved.segment, 4096, writable=False) as (_, view), view:
        assert view[:7] == b"changed"


def test_segment_in_use(saved: Saved) -> None:
    with sysvipc.attached(saved.segment, 4096, writable=False):
        done = saved.restart("--no-pidns")
    assert done.returncode == 126
    assert f"System V shared memory with id {saved.segment} is in use" in done.stderr
    assert "--pidns" in done.stderr
    assert saved.pid not in processes.descendants()


def test_key_taken(tmp_path: Path) -> None:
    key = 0x51A7 << 16 | os.getpid() & 0xFFFF
    program = f"""
import ctypes
libc = ctypes.CDLL(None)
queue = libc.msgget({key}, 0o1600)
libc.msgsnd(queue, b'12345678', 0, 0)
print(queue, file=open('number', 'w'))
"""
    other = -1
    with target(program, tmp_path) as process:
        number = int((tmp_path / "number").read_text())
        done = cold("checkpoint", str(process.pid), "-o", str(tmp_path / "image"), "--sysvipc", "--kill")
        assert done.returncode == 0, done.stderr
        sysvipc.remove("msg", number)
        process.wait(30)
        try:
            other = libc.msgget(key, 0o1600)
            done = cold("restart", str(tmp_path / "image"), "--detach", "--no-pidns")
        finally:
            sysvipc.remove("msg", other)
    assert done.returncode == 126
    assert f"its key {key:#x} is now that of id {other}" in done.stderr


def test_copy_beside_the_original(running: Saved) -> None:
    """The copy has a PID namespace and objects of its own."""
    done = running.restart("--pidfile", str(running.folder / "pid"))
    assert done.returncode == 0, done.stderr
    copy = int((running.folder / "pid").read_text())
    try:
        assert os.readlink(f"/proc/{copy}/ns/ipc") != os.readlink("/proc/self/ns/ipc")
        running.change()
        assert running.told(copy) == b"content"
        assert running.told(running.pid) == b"changed"
        with sysvipc.entered(copy):
            assert (5, 0) == sysvipc.values(running.semaphores, 2)
            assert (3, b"message") == sysvipc.peek(running.queue, 0, 100)
    finally:
        finish(copy)


def test_shared_memory_of_system_v(tmp_path: Path) -> None:
    with target(SHM, tmp_path) as process:
        done = cold("checkpoint", str(process.pid), "-o", str(tmp_path / "image"))
        assert process.poll() is None
    assert done.returncode == 122
    assert "has System V shared memory attached (id " in done.stderr


def owner(number: int) -> Permissions:
    return Permissions(number, 0, 0, 0, 0, 0, 0o600)


def refuse(*_: object) -> None:
    raise PermissionError(errno.EPERM, "refused")


def next_number(kind: Kind, make: Callable[[], int]) -> int:
    """An id that is free, and that the next object would not get by itself."""
    sysvipc.remove(kind, number := make())
    return number + (100 << 15)


def test_what_is_there_is_changed_last_and_put_back() -> None:
    """Nothing before settle(); after abandon() everything is as it was, for a queue that was full, too."""
    semaphores, queue = libc.semget(0, 2, 0o1600), libc.msgget(0, 0o1600)
    try:
        sysvipc.set_values(semaphores, (9, 9))
        other = Permissions(queue, 0, 0, 0, 0, 0, 0o640)
        sysvipc.set_limit(other, 4)
        for text in (b"ab", b"", b"cd"):
            sysvipc.send(queue, 7, text)
        record = IpcRecord(
            own=False,
            segments=(),
            semaphores=(SetRecord(owner(semaphores), (5, 0), True),),
            queues=(QueueRecord(owner(queue), 16, (MessageRecord(3, b"message"),), True),),
            adjustments=(),
        )

        def state() -> tuple[object, ...]:
            messages = [sysvipc.peek(queue, index, 100) for index in range(4)]
            limits = sysvipc.queue_limits(queue)
            return sysvipc.values(semaphores, 2), sysvipc.stat("msg", queue)[0], limits, messages

        before = state()
        objects = IpcObjects(record, lambda warning: None, Sweeper())
        objects.make(os.getpid(), own=False)
        assert before == state()
        objects.settle({})
        assert ((5, 0), owner(queue), (7, 1, 16), [(3, b"message"), None, None, None]) == state()
        sysvipc.send(queue, 8, b"later")
        objects.abandon()

        messages = [(7, b"ab"), (7, b""), (7, b"cd"), (8, b"later")]
        assert ((9, 9), other, (9, 4, 4), messages) == state()
    finally:
        sysvipc.remove("sem", semaphores)
        sysvipc.remove("msg", queue)


def test_values_change_and_adjustments_stay() -> None:
    number = libc.semget(0, 2, 0o1600)
    try:
        pid = os.fork()
        if pid == 0:
            libc.semop(number, struct.pack("<Hhh", 1, 3, 0x1000), 1)
            sysvipc.change_values(number, (32767, 9))
            os._exit(0)
        assert os.waitpid(pid, 0)[1] == 0
        assert (32767, 6) == sysvipc.values(number, 2)
        sysvipc.change_values(number, (0, 6))
        assert (0, 6) == sysvipc.values(number, 2)
    finally:
        sysvipc.remove("sem", number)


def test_a_failure_leaves_no_object_and_no_wish(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of one that cannot be made whole, and of an id that was asked for in vain."""
    wanted = owner(next_number("msg", lambda: int(libc.msgget(0, 0o1600))))
    with monkeypatch.context() as patch, pytest.raises(EnvironmentDiffers):
        patch.setattr(sysvipc, "set_limit", refuse)
        queues.restore(QueueRecord(wanted, 16384, (MessageRecord(1, b"text"),), True))
    with pytest.raises(OSError, match="Invalid argument"):
        sysvipc.stat("msg", wanted.id)

    taken = libc.msgget(key := 0x51A8 << 16 | os.getpid() & 0xFFFF, 0o1600)
    with pytest.raises(sysvipc.Taken):
        sysvipc.create("msg", Permissions(wanted.id, key, 0, 0, 0, 0, 0o600))
    other = libc.msgget(0, 0o1600)
    for number in (taken, other):
        sysvipc.remove("msg", number)
    assert wanted.id != other


def test_a_clone_has_segments_of_its_own(tmp_path: Path) -> None:
    with target(ALL, tmp_path) as process:
        saved = Saved(tmp_path, tmp_path, process.pid, *map(int, (tmp_path / "number").read_text().split()))
        try:
            assert cold("check", str(process.pid), "-q").returncode == 2
            assert cold("check", str(process.pid), "-q", "--sysvipc").returncode < 2
            done = cold("clone", str(process.pid), "--detach", "--sysvipc")
            assert done.returncode == 0, done.stderr
            copy = int(done.stdout)
            try:
                saved.change()
                assert saved.told(copy) == b"content"
            finally:
                finish(copy)
        finally:
            saved.remove()


def test_adjustments_of_semaphores(tmp_path: Path) -> None:
    with target(SEM, tmp_path) as process:
        number = int((tmp_path / "number").read_text())
        try:
            done = cold("checkpoint", str(process.pid), "-o", str(tmp_path / "image"))
            assert process.poll() is None
        finally:
            subprocess.run(["ipcrm", "-s", str(number)], check=True)
    assert done.returncode == 122
    assert "SEM_UNDO" in done.stderr
    assert os.path.exists(tmp_path / "ready")


def test_who_looks_has_threads_and_so_a_list_itself() -> None:
    """A target of one thread has none, and is told from one that has: crtool makes threads before it looks."""
    said: list[bool] = []
    with holding() as pid:
        started = threading.Thread(target=lambda: said.append(undo.has_list(pid)))
        started.start()
        started.join()
        said.append(undo.has_list(pid))
    with holding_list() as pid:
        said.append(undo.has_list(pid))
    assert said == [False, False, True]


@contextmanager
def holding_list() -> Iterator[int]:
    """A process that has something to be undone."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        number = libc.semget(0, 1, 0o1600)
        libc.semop(number, struct.pack("<Hhh", 0, 1, 0x1000), 1)
        os.write(writing, b"x")
        signal.pause()
    try:
        os.read(reading, 1)
        yield pid
    finally:
        os.close(reading)
        os.close(writing)
        processes.end([pid])


HAD_THREADS = """
import ctypes, struct, threading
libc = ctypes.CDLL(None)
number = libc.semget(0, 1, 0o1600)
libc.semop(number, struct.pack('<Hhh', 0, 5, 0), 1)
thread = threading.Thread(target=lambda: {work})
thread.start()
thread.join()
print(number, file=open('number', 'w'))
"""


@pytest.mark.parametrize(
    ("work", "status"), [("None", 0), (f"libc.semop(number, {UNDO}, 1)", 122)], ids=["nothing", "something"]
)
def test_who_has_had_threads_is_asked_what_it_will_have_undone(work: str, status: int, tmp_path: Path) -> None:
    """It has a list, which may be empty; somebody else was the last to change the semaphore."""
    with target(HAD_THREADS.format(work=work), tmp_path) as process:
        number = int((tmp_path / "number").read_text())
        try:
            sysvipc.change_values(number, (9,))
            done = cold("checkpoint", str(process.pid), "-o", str(tmp_path / "image"))
            assert done.returncode == status, done.stderr
            assert ("has adjustments of System V semaphores" in done.stderr) is (status == 122)
            assert sysvipc.values(number, 1) == (9,)
        finally:
            sysvipc.remove("sem", number)
