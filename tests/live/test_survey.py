"""Looking at a tree of which somebody is about to end: who is on his way out lives no more, and stands in nobody's way.

The kernel takes down the memory and the namespaces of a process, then what it had open, and only then it is a zombie
(do_exit() in kernel/exit.c). A big file in memory makes that last.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import crtool
from crtool.engine.preflight import survey
from crtool.procfs import stat as stat_file
from crtool.procfs.read import alive, read
from crtool.procfs.stat import PF_EXITING

from .harness import processes
from .test_without_root import as_user, user

MIB = 256
ATTEMPTS = 6
LOOKS = 100

# Has a child with a big file, which ends when it is told to; says its number.
PARENT = """
import os, signal, sys
pid = os.fork()
if pid == 0:
    file = os.memfd_create('big')
    os.posix_fallocate(file, 0, int(sys.argv[1]) << 20)
    print(os.getpid(), flush=True)
    os.close(1)
    while True: signal.pause()
os.close(1)
while True: signal.pause()
"""

# Its main thread has ended; the others do so after a moment, each after having begun another.
THREADS = """
import ctypes, os, threading, time
def work():
    time.sleep(0.05)
    threading.Thread(target=work).start()
for _ in range(8):
    threading.Thread(target=work).start()
os.write(1, b'ready\\n')
os.close(1)
ctypes.CDLL(None).syscall(60, 0)
"""


@contextmanager
def parent() -> Iterator[tuple[int, int]]:
    """The PID of a parent, and that of its child."""
    with processes.all_ended(), subprocess.Popen(
        [sys.executable, "-c", PARENT, str(MIB)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        child = int(process.stdout.readline())
        try:
            yield process.pid, child
        finally:
            process.kill()


def is_exiting(pid: int) -> bool:
    stat = stat_file.parse(read(pid, "stat"))
    return stat.state != "Z" and bool(stat.flags & PF_EXITING)


def test_a_child_on_its_way_out_is_not_alive() -> None:
    with parent() as (_, child):
        assert alive(child)
        os.kill(child, signal.SIGKILL)
        processes.Deadline(30, "the beginning of the end").wait_until(lambda: not alive(child))
        assert b" Z " not in read(child, "stat")  # still busy with the file


def look_at_the_end() -> int:
    """Surveys trees of which a child is just ending; returns how often that was seen while it was on its way out."""
    processes.become_subreaper()
    met = 0
    for _ in range(ATTEMPTS):
        with parent() as (root, child):
            survey(root)
            os.kill(child, signal.SIGKILL)
            while b" Z " not in read(child, "stat"):
                exiting = is_exiting(child)
                report = survey(root)
                met += exiting and is_exiting(child)
                assert [] == report.obstacles
                assert [] == report.warnings
    return met


def test_a_child_on_its_way_out_is_passed_over() -> None:
    """Neither an obstacle nor a failure, at whatever point of its end it is looked at."""
    assert look_at_the_end()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become somebody else")
def test_an_ordinary_user_passes_over_it_too() -> None:
    """What has no memory any more belongs to root, and so do its folders in /proc."""
    script = "from tests.live.test_survey import look_at_the_end; assert look_at_the_end()"
    options = as_user(user().python, "-c", script, cwd="/", capture_output=True, text=True)
    done = subprocess.run(**options, timeout=60, check=False)

    assert 0 == done.returncode, done.stderr


def test_a_tree_with_a_child_on_its_way_out_is_saved(tmp_path: Path) -> None:
    with parent() as (root, child):
        os.kill(child, signal.SIGKILL)
        result = crtool.checkpoint(root, tmp_path / "image")

        assert 2 == result.processes  # the child is a zombie by then
        assert [] == [*result.warnings]


def test_the_end_of_a_thread_is_not_that_of_its_process() -> None:
    """Also not if it is the one by which the process is looked at, since the main thread has ended."""
    with processes.all_ended(), subprocess.Popen(
        [sys.executable, "-c", THREADS], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
    ) as process:
        try:
            assert process.stdout is not None
            assert b"ready\n" == process.stdout.readline()
            for _ in range(LOOKS):
                assert [] == survey(process.pid).obstacles
        finally:
            process.kill()


# Goes down, folder by folder, until no path is long enough for it.
DEEP = """
import os, time
for _ in range(20):
    os.mkdir('d' * 250)
    os.chdir('d' * 250)
held = open('held', 'w')
print(held.fileno(), flush=True)
while True: time.sleep(1000)
"""


def test_what_no_path_leads_to_is_an_obstacle(tmp_path: Path) -> None:
    with processes.all_ended(), subprocess.Popen(
        [sys.executable, "-c", DEEP], cwd=tmp_path, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as process:  # fmt: skip
        try:
            assert process.stdout is not None
            fd = int(process.stdout.readline())
            found = {obstacle.what for obstacle in survey(process.pid).obstacles if "path" in obstacle.cause}
        finally:
            process.kill()
            shutil.rmtree(tmp_path)

    assert {"current folder", f"fd {fd}"} == found
