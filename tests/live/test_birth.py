"""Births by a Python that has other threads: as in a restart from a URL, or in a program that uses the library."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from crtool.kernel.clone import clone3

from .harness.processes import Deadline
from .puppets import newborn

BIRTHS = 60
"""Two of a hundred hang if there is an instruction of Python between the birth and the new locks of the interpreter."""


@contextmanager
def busy_threads() -> Iterator[None]:
    """Threads that want the interpreter all the time, and get it as often as can be."""
    stop = threading.Event()

    def work() -> None:
        while not stop.is_set():
            sum(range(50))

    threads = [threading.Thread(target=work) for _ in range(3)]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(0.000001)
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        sys.setswitchinterval(interval)
        for thread in threads:
            thread.join()


def test_no_child_waits_for_the_lock_of_the_interpreter() -> None:
    """What the child of bear_root does: it closes and reads a descriptor, each of which gives that lock away."""
    ballast = bytearray(os.urandom(1 << 20)) * 64  # more to copy: the births take longer
    with busy_threads():
        for number in range(BIRTHS):
            gate, opener = os.pipe()
            pid = clone3(0, signal.SIGCHLD)
            if pid == 0:
                os.close(opener)
                os.read(gate, 1)
                os._exit(0)
            os.write(opener, b"!")
            for fd in (gate, opener):
                os.close(fd)
            try:
                Deadline(20, f"the end of child {number}").wait_until(lambda pid=pid: os.waitpid(pid, os.WNOHANG)[0])
            except TimeoutError:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
                raise
    assert len(ballast) == 64 << 20


def test_the_first_process_of_a_tree() -> None:
    with busy_threads():
        for _ in range(3):
            with newborn() as puppet:
                assert puppet.pid == puppet.call("getpid").value
