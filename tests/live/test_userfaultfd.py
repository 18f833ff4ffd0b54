"""Userfaultfds of programs beyond what their specimens show: other ways of restarting, and who stands in the way."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from .harness.catalogue import Specimen, catalogue
from .harness.command import crtool
from .harness.processes import all_ended, holding
from .harness.run import Run, Skipped

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root"),
    pytest.mark.machine("userfaultfd", "bpf"),
]

WAITING = """
import ctypes, mmap, os, signal, struct, sys, threading
from crtool.abi import userfaultfd as abi
from crtool.kernel.syscall import memory_address, syscall
import fcntl
fd = syscall("userfaultfd", os.O_CLOEXEC)
fcntl.ioctl(fd, abi.UFFDIO_API, abi.API.pack(abi.UFFD_API, 0, 0))
room = mmap.mmap(-1, 4096, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
at = memory_address(memoryview(room))
fcntl.ioctl(fd, abi.UFFDIO_REGISTER, abi.REGISTER.pack(at, 4096, abi.REGISTER_MODE_MISSING, 0))
zero = os.open("/dev/zero", os.O_RDONLY)
args = zero, ctypes.c_void_p(at), ctypes.c_size_t(1)
threading.Thread(target=ctypes.CDLL(None).read, args=args, daemon=True).start()
os.read(fd, 32)
print(flush=True)
sys.stdin.read()
fcntl.ioctl(fd, abi.UFFDIO_ZEROPAGE, bytearray(abi.ZEROPAGE.pack(at, 4096, 0, 0)), True)
print("given", flush=True)
signal.pause()
"""


def specimen(name: str) -> Specimen:
    return next(each for each in catalogue() if each.name == name)


@pytest.fixture
def run(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Run]:
    """A specimen that waits."""
    found = Run(specimen(request.param), tmp_path)
    try:
        found.await_ready()
    except Skipped as skipped:
        pytest.skip(str(skipped))
    try:
        yield found
    finally:
        found.end()


@pytest.mark.parametrize("run", ["userfaultfd_large", "userfaultfd_forked"], indirect=True)
def test_memory_that_comes_later(run: Run) -> None:
    """Only what the program does not give out itself does so."""
    run.restart(run.checkpoint("--kill"), "--lazy")
    run.pass_judgement()


@pytest.mark.parametrize("run", ["userfaultfd_forked", "userfaultfd_waiting"], indirect=True)
def test_numbers_of_their_own(run: Run) -> None:
    run.restart(run.checkpoint("--kill"), "--pidns")
    run.pass_judgement()


@pytest.mark.parametrize("run", ["userfaultfd_large"], indirect=True)
def test_who_gives_out_memory_is_not_forked(run: Run) -> None:
    done = crtool("checkpoint", str(run.root), "-o", str(run.folder / "image"))
    assert done.returncode == 0
    assert f"PID {run.root} is not forked (it gives out memory by a userfaultfd)" in done.stderr
    run.pass_judgement()
    run.restart(run.folder / "image")
    run.pass_judgement()


@pytest.mark.parametrize("run", ["userfaultfd_several"], indirect=True)
def test_a_userfaultfd_is_shown(run: Run) -> None:
    image = str(run.checkpoint())
    run.crtool("verify", image)
    done = crtool("show", "--json", image)
    assert done.returncode == 0
    assert '"userfaultfd"' in done.stdout
    run.pass_judgement()


def test_one_that_is_open_outside_is_refused(tmp_path: Path) -> None:
    from crtool.kernel.syscall import syscall

    fd = syscall("userfaultfd", os.O_CLOEXEC)
    with holding(fd) as pid:
        done = crtool("checkpoint", str(pid), "-o", str(tmp_path / "image"), "--stdio", "inherit")
        os.close(fd)
        assert done.returncode == 122
        assert f"fd {fd}: a userfaultfd that PID {os.getpid()} (" in done.stderr
        assert f"fd {fd}: a userfaultfd that watches a process outside the tree" in done.stderr


def test_a_call_that_waits_for_a_page_is_awaited(tmp_path: Path) -> None:
    """Nobody could stop that thread, nor let it go."""
    with all_ended(), open(tmp_path / "said", "w+", encoding="utf-8") as said:
        child = subprocess.Popen(
            [sys.executable, "-c", WAITING], stdin=subprocess.PIPE, stdout=said, stderr=subprocess.DEVNULL,
            start_new_session=True,
        )  # fmt: skip
        assert child.stdin is not None
        while not os.fstat(said.fileno()).st_size:
            assert child.poll() is None
            os.sched_yield()
        done = crtool("checkpoint", str(child.pid), "-o", str(tmp_path / "image"), "--stdio", "inherit")
        assert done.returncode == 121
        assert "waits, within a system call, for memory that a userfaultfd gives out or protects" in done.stderr
        child.stdin.close()
        while os.fstat(said.fileno()).st_size < len("\ngiven\n"):
            assert child.poll() is None
            os.sched_yield()
        done = crtool("checkpoint", str(child.pid), "-o", str(tmp_path / "image"), "--stdio", "inherit", "--kill")
        assert done.returncode == 0, done.stderr
        child.wait()


def test_nobody_is_told_of_one_without_rights(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where BPF is not allowed, the cause says so."""
    from crtool.kernel import userfault
    from crtool.resources.files import userfaultfd

    def refuse(_fd: int) -> None:
        raise PermissionError(1, os.strerror(1))

    monkeypatch.setattr(userfault, "context", refuse)

    class File:
        pid, local = 7, 3

    found = userfaultfd.obstacle(File(), "fd 3")  # type: ignore[arg-type]

    assert found is not None
    assert "nothing tells of it: Operation not permitted" in found.cause
