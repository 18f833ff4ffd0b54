"""Processes with several threads of which one executes a program, again and again: that ends all others.

Whoever traces these has to wait for them, before the execve(2) is over; and as long as it is not, no other thread of
the process can be seized, nor can anything but SIGKILL end the wait for that. So it is all done under a watchdog.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import crtool
from crtool.engine.freeze import Frozen
from crtool.tree.walk import Walk

from .harness import processes
from .harness.command import REPOSITORY

LONG = bool(os.environ.get("CRTOOL_LONG"))
FREEZES = 2000 if LONG else 300
CHECKPOINTS = 200 if LONG else 30
WATCHDOG = 200 if LONG else 60  # seconds

# Each time a thread executes it anew, and a byte is added to the file.
SOURCE = """
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static char **arguments;

static void *rest(void *unused) { for (;;) pause(); return unused; }

static void *execute(void *unused)
{
    struct timespec now, moment = {0, 0};
    clock_gettime(CLOCK_MONOTONIC, &now);
    moment.tv_nsec = now.tv_nsec % 300000;
    nanosleep(&moment, 0);
    execv("/proc/self/exe", arguments);
    return unused;
}

int main(int count, char **all)
{
    pthread_t thread;
    arguments = all;
    int log = open(all[1], O_WRONLY | O_APPEND);
    if (write(log, "x", 1) != 1) _exit(1);
    close(log);
    if (count == 3) {  /* one of a tree */
        all[2] = 0;
        if (fork()) for (;;) wait(0);
    }
    for (int number = 0; number < 12; number++)
        pthread_create(&thread, 0, number == 6 ? execute : rest, 0);
    for (;;) pause();
}
"""


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exec")
    (folder / "exec.c").write_text(SOURCE)
    subprocess.run(["gcc", "-O1", "-pthread", "-o", folder / "exec", folder / "exec.c"], check=True)
    return folder / "exec"


@contextmanager
def running(program: Path, log: Path, *more: str) -> Iterator[int]:
    """The PID of the program, which is seen to go on in the end, with nobody stopped."""
    null = subprocess.DEVNULL
    log.touch()
    with processes.all_ended():
        root = subprocess.Popen([program, log, *more], stdin=null, stdout=null, stderr=null).pid
        processes.Deadline(20, "some turns").wait_until(lambda: log.stat().st_size > 9)
        yield root
        before = log.stat().st_size
        processes.Deadline(20, "more turns").wait_until(lambda: log.stat().st_size > before + 9)
        assert not processes.is_traced(root)


def freeze(root: int, times: int) -> None:
    """In a crtool of its own: stops a tree and lets it go, many times; everybody is found alive."""
    walk = Walk()
    for _ in range(times):
        with Frozen(root, walk, None, {}) as frozen:
            assert all(process.held is not None for process in frozen.processes.values())


def under_watchdog(call: str) -> None:
    command = [sys.executable, "-c", f"from tests.live.test_exec import freeze, save; {call}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=WATCHDOG, cwd=REPOSITORY, check=False)

    assert 0 == done.returncode, done.stderr


@pytest.mark.timeout(3 * WATCHDOG)
def test_it_is_stopped_at_any_instant(program: Path, tmp_path: Path) -> None:
    with running(program, tmp_path / "log") as root:
        under_watchdog(f"freeze({root}, {FREEZES})")


@pytest.mark.timeout(3 * WATCHDOG)
def test_it_is_stopped_as_somebodys_child(program: Path, tmp_path: Path) -> None:
    """Not taken for a zombie because of a moment in which no thread of it can be seen."""
    with running(program, tmp_path / "log", "child") as root:
        under_watchdog(f"freeze({root}, {FREEZES})")


def save(root: int, image: str, times: int) -> None:
    for _ in range(times):
        crtool.checkpoint(root, image, force=True)


@pytest.mark.timeout(3 * WATCHDOG)
def test_it_is_saved_at_any_instant(program: Path, tmp_path: Path) -> None:
    with running(program, tmp_path / "log") as root:
        under_watchdog(f"save({root}, {str(tmp_path / 'image')!r}, {CHECKPOINTS})")
