"""Open files of a tree that this process, which is not in it, has open as well."""

from __future__ import annotations

import mmap
import os
import select
import signal
import socket
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from crtool.kernel import inotify, signalfd, timerfd
from crtool.kernel.syscall import memory_address

from .harness.command import crtool
from .harness.processes import end, holding

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


def _deleted() -> int:
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


def _listening() -> int:
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    return listener.detach()


def _netlink() -> int:
    return socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0).detach()


def _datagram() -> int:
    return socket.socket(socket.AF_INET, socket.SOCK_DGRAM).detach()


def _epoll() -> int:
    with select.epoll() as instance:
        return os.dup(instance.fileno())


KINDS: dict[str, tuple[Callable[[], int], str]] = {
    "eventfd": (lambda: os.eventfd(3), "an eventfd"),
    "epoll": (_epoll, "an epoll instance"),
    "signalfd": (lambda: signalfd.create(1 << signal.SIGUSR1 - 1, 0), "a signalfd"),
    "timerfd": (lambda: timerfd.create(1, 0), "a timerfd"),
    "inotify": (lambda: inotify.create(0), "an inotify instance"),
    "memfd": (lambda: os.memfd_create("x"), "a memfd"),
    "deleted": (_deleted, "a deleted file"),
    "tcp": (_listening, "a TCP socket"),
    "udp": (_datagram, "an IP socket"),
    "netlink": (_netlink, "a netlink socket"),
}


def checked(pid: int, *options: str) -> str:
    """What a checkpoint would say."""
    done = crtool("check", str(pid), "--stdio", "inherit", *options)
    return done.stdout + done.stderr


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_shared_no_more_is_said(kind: str, tmp_path: Path) -> None:
    make, what = KINDS[kind]
    with ExitStack() as opened:
        fds = [make() for _ in range(3)]
        for fd in fds:
            opened.callback(os.close, fd)
        with holding(*fds) as pid:
            os.close(fds[0])
            opened.pop_all()
            os.close(fds[2])
            try:
                done = crtool("checkpoint", str(pid), "-o", str(tmp_path / "image"), "--stdio", "inherit")
            finally:
                os.close(fds[1])
            assert done.returncode == 0, done.stderr
            said = f"PID {pid} fd {fds[1]}: {what} that PID {os.getpid()} ("
            assert done.stderr.count(said) == 1, done.stderr
            assert "after a restart they do not share it" in done.stderr
            for fd in (fds[0], fds[2]):
                assert f"fd {fd}: " not in done.stderr
            assert "has open too" not in checked(pid)


def test_ends_of_pipes_and_pairs() -> None:
    reading, writing = os.pipe()
    here, there = (side.detach() for side in socket.socketpair())
    fds = {reading: "a pipe", writing: "a pipe", here: "a unix socket", there: "a unix socket"}
    with holding(*fds) as pid:
        os.close(here)
        said = checked(pid)
        assert f"fd {here}: " not in said
        for fd in (reading, writing, there):
            os.close(fd)
        assert f"fd {there}: a unix socket that PID {os.getpid()} (" in said
        assert f"fd {min(reading, writing)}: a pipe that PID {os.getpid()} (" in said
        assert "has open too" not in checked(pid)


def test_files_with_names_and_streams_are_not_spoken_of(tmp_path: Path) -> None:
    with open(tmp_path / "log", "wb") as log, holding(log.fileno()) as pid:
        assert "has open too" not in checked(pid)


def test_memory_that_is_shared_by_mapping_alone() -> None:
    with mmap.mmap(-1, 8192) as memory:
        what = f"mapping {memory_address(memory):x}: shared memory that PID {os.getpid()} ("
        pid = os.fork()
        if pid == 0:
            os.closerange(3, 100)
            memory[0] = 1
            while True:
                signal.pause()
        try:
            while not memory[0]:
                time.sleep(0.001)
            first = checked(pid)
            memory.close()
            second = checked(pid)
        finally:
            end([pid])
    assert f"PID {pid} {what}" in first
    assert what not in second
