"""Puppets for the twins of resources: a small C program that is held, and a blank process that becomes it.

A round trip is: run a program, hold it, dump; end it; bear a blank process with the same PID, restore; ask the kernel.
"""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from crtool.abi import clone as clone_abi
from crtool.kernel.wait import WALL
from crtool.procfs import maps
from crtool.procfs.read import read
from crtool.procfs.status import Status
from crtool.procfs.status import parse as parse_status
from crtool.puppet.batch import Batch
from crtool.puppet.birth import Newborn, Space, bear_root
from crtool.puppet.hold import HeldProcess
from crtool.puppet.puppet import Puppet
from crtool.puppet.thread import HeldThread, seize

__all__ = ["Program", "answer", "bytes_of", "hold", "newborn", "program", "run", "status_of", "tasks", "thread"]

# Far from where the kernel puts the stack and the vDSO of a program.
_SPACE = Space(0x3000_0000_0000)
_THREAD = (
    clone_abi.CLONE_VM
    | clone_abi.CLONE_FS
    | clone_abi.CLONE_FILES
    | clone_abi.CLONE_SIGHAND
    | clone_abi.CLONE_THREAD
    | clone_abi.CLONE_SYSVSEM
)
_PRELUDE = """
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>
#define MUST(call) do { if ((long)(call) < 0) { perror(#call); _exit(1); } } while (0)
static void ready(void) { puts("ready"); fflush(stdout); }
"""

Answer = TypeVar("Answer")


class Program:
    """A running C program: *pid*, and *said*, the words that it printed before "ready"."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self.pid = process.pid
        self.said: list[str] = []
        assert process.stdout is not None
        for line in process.stdout:
            if line == b"ready\n":
                return
            self.said += line.decode().split()
        raise AssertionError(f"the program ended with {process.wait()} after it said {self.said}")

    def line(self) -> str:
        """The next line that it prints."""
        assert self._process.stdout is not None
        return self._process.stdout.readline().decode().strip()

    def end(self) -> None:
        """Kills it and waits for that, so that its PID is free."""
        self._process.kill()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()


@contextmanager
def program(source: str, *, under: Sequence[str] = ()) -> Iterator[Program]:
    """Compiles and runs a C program that calls ``ready()`` once it is; *under*: a command that starts it."""
    with tempfile.TemporaryDirectory() as folder:
        binary = Path(folder) / "program"
        (Path(folder) / "program.c").write_text(_PRELUDE + source)
        command = ["gcc", "-O1", "-w", "-pthread", "-o", os.fspath(binary), os.fspath(binary.with_suffix(".c")), "-lrt"]
        subprocess.run(command, check=True)
        process = subprocess.Popen([*under, os.fspath(binary)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        try:
            running = Program(process)
            yield running
        finally:
            process.kill()
            process.wait()


def tasks(pid: int) -> list[int]:
    """The TIDs of a process, the main thread first."""
    return sorted(map(int, os.listdir(f"/proc/{pid}/task")), key=lambda tid: (tid != pid, tid))


def status_of(pid: int, tid: int | None = None) -> Status:
    """/proc/PID/status, or that of a thread."""
    return parse_status(read(pid, "status", tid))


def held(pid: int, threads: list[HeldThread]) -> HeldProcess:
    """A process all *threads* of which have come to rest."""
    return HeldProcess(pid, threads, {thread.tid: status_of(pid, thread.tid) for thread in threads})


@contextmanager
def hold(pid: int) -> Iterator[HeldProcess]:
    """A held process, ready for batches, which is let go at the end."""
    tids = tasks(pid)
    for tid in tids:
        seize(tid)
    process = held(pid, [HeldThread.settle(tid, None) for tid in tids])
    process.prepare(maps.parse(read(pid, "maps")))
    try:
        yield process
    finally:
        process.retire()
        process.let_go()


@contextmanager
def newborn(pid: int | None = None) -> Iterator[Newborn]:
    """A blank process, with *pid* if it is given, which is killed at the end."""
    puppet = bear_root(_SPACE, () if pid is None else (pid,))
    try:
        yield puppet
    finally:
        others = [tid for tid in tasks(puppet.pid) if tid != puppet.pid]
        os.kill(puppet.pid, signal.SIGKILL)
        for tid in (*others, puppet.pid):  # the main thread of a traced process can be waited for when the others were
            os.waitpid(tid, WALL)
        os.close(puppet.memory)


def thread(puppet: Newborn, tid: int) -> Newborn:
    """One more thread of a blank process."""
    while True:
        batch = Batch()
        call = puppet.clone(batch, _THREAD, 0, (tid,), must=False)
        puppet.run(batch)
        # The kernel lets the parent of a dead process go on a moment before it gives the numbers of its threads free.
        if call.errno != errno.EEXIST:
            assert call.value
            return Newborn.attached(puppet.born.pop(), puppet, thread=True)


def run(puppet: Puppet, add: Callable[[Batch], object]) -> None:
    """Runs what *add* adds to a batch."""
    batch = Batch()
    add(batch)
    puppet.run(batch)


def answer(puppet: Puppet, ask: Callable[[Batch], Callable[[], Answer]]) -> Answer:
    """Runs the questions that *ask* adds to a batch, and gives the answer."""
    batch = Batch()
    result = ask(batch)
    puppet.run(batch)
    return result()


def bytes_of(puppet: Puppet, size: int, name: str, *args: int | bytes | None) -> bytes:
    """What a system call writes to its argument that is given as None."""
    batch = Batch()
    buffer = batch.buffer(size)
    batch.call(name, *(buffer if arg is None else arg for arg in args))
    puppet.run(batch)
    return buffer.read()
