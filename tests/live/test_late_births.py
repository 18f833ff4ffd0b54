"""Who is born while memory is still to come gets what he asks for, and the rest only if he lives for long."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

import pytest

from crtool.engine.lazy import _Door, _serve
from crtool.image.reader import ImageReader
from crtool.image.verified import VerifiedReader
from crtool.image.writer import ImageWriter
from crtool.resources.memory.pages import Piece, present

from .harness.processes import Deadline, all_ended
from .lazy_child import PAGE, PAGES, LazyChild, lazy_child

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to hear of forks by a userfaultfd")

DATA = b"".join(bytes([1 + number % 250]) * PAGE for number in range(PAGES))


@pytest.fixture(autouse=True)
def everybody_ends() -> Iterator[None]:
    with all_ended():
        yield


def parent(memory: memoryview, said: int) -> None:
    """Bears somebody who looks at one page, and waits for a signal to look at all of them."""
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
    if os.fork() == 0:
        os.write(said, b"%d %d\n" % (os.getpid(), memory[PAGE]))
        signal.sigwait([signal.SIGUSR1])
        os.write(said, b"right\n" if bytes(memory) == DATA else b"wrong\n")
        os._exit(0)
    signal.pause()


@contextmanager
def served(child: LazyChild, image: Path, patience: float) -> Iterator[Thread]:
    """A thread that brings to *child* what is in an image."""
    with ImageWriter.create(image) as writer:
        writer.begin(cpu="x86_64", page_size=PAGE, records=b"", data_length=len(DATA))
        writer.append(DATA)
        writer.finish()
    time.sleep(0.3)  # the fork is to be heard of before anything is brought
    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    held, holding = os.pipe()
    os.close(holding)  # everybody runs
    with ImageReader.open(image) as reader, here, there:
        door = _Door(child.pid, os.dup(child.door), (Piece(child.start, len(DATA), 0),))
        thread = Thread(target=_serve, args=(VerifiedReader(reader), [door], there, held, patience), daemon=True)
        thread.start()
        yield thread
        thread.join(10)
        assert not thread.is_alive()
    os.close(held)


def area(child: LazyChild, pid: int) -> int:
    """How many pages of the memory process *pid* has."""
    return present(pid, child.start, child.start + len(DATA)) // PAGE


def test_only_what_is_asked_for_is_brought_to_who_is_born(tmp_path: Path) -> None:
    with lazy_child(parent) as child, served(child, tmp_path / "image.crt", 1000):
        pid, byte = map(int, child.line().split())
        Deadline(10, "the parent's memory").wait_until(lambda: area(child, child.pid) == PAGES)
        time.sleep(0.5)
        few = area(child, pid)
        os.kill(pid, signal.SIGUSR1)

        assert child.line() == b"right\n"
        assert byte == 2
        assert 0 < few <= 64


def test_who_ends_before_is_forgotten(tmp_path: Path) -> None:
    with lazy_child(parent) as child, served(child, tmp_path / "image.crt", 1000):
        pid = int(child.line().split()[0])
        os.kill(pid, signal.SIGKILL)


def test_who_lives_for_long_gets_all(tmp_path: Path) -> None:
    with lazy_child(parent) as child:
        with served(child, tmp_path / "image.crt", 0.5):
            pid = int(child.line().split()[0])
        assert area(child, pid) == PAGES
        os.kill(pid, signal.SIGUSR1)
        assert child.line() == b"right\n"
