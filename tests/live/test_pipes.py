"""Pipes and FIFOs with an end outside the tree, which is named, or with an end that nobody has."""

from __future__ import annotations

import json
import mmap
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from crtool.engine.checkpoint import checkpoint
from crtool.engine.restart import restart
from crtool.procfs.tasks import processes as all_processes
from crtool.puppet.birth import Newborn

from .harness import processes
from .harness.command import crtool
from .screen import REPOSITORY
from .victim import sleeper

Process = subprocess.Popen[bytes]


@contextmanager
def running(*command: str, stdin: int = subprocess.DEVNULL, stdout: int = subprocess.DEVNULL) -> Iterator[Process]:
    with subprocess.Popen(command, stdin=stdin, stdout=stdout, stderr=subprocess.DEVNULL) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    yield ends
    for fd in ends:
        try:
            os.close(fd)
        except OSError:
            pass


def test_reader_outside(pipe: tuple[int, int], tmp_path: Path) -> None:
    """`program | cat`: the program alone cannot come back, and the reader is named."""
    with running("cat", stdin=pipe[0]) as reader, running("sleep", "60", stdout=pipe[1]) as target:
        for fd in pipe:
            os.close(fd)
        done = crtool("checkpoint", str(target.pid), "-o", str(tmp_path / "image"))
        assert target.poll() is None
    assert done.returncode == 122
    assert f"PID {target.pid} fd 1: a pipe whose reading end PID {reader.pid} (cat) holds" in done.stderr
    assert "checkpoint a parent of both" in done.stderr
    assert not (tmp_path / "image").exists()


def test_writer_outside(pipe: tuple[int, int], tmp_path: Path) -> None:
    with running("sleep", "60", stdout=pipe[1]) as writer, running("cat", stdin=pipe[0]) as target:
        for fd in pipe:
            os.close(fd)
        done = crtool("checkpoint", str(target.pid), "-o", str(tmp_path / "image"))
    assert done.returncode == 122
    assert f"PID {target.pid} fd 0: a pipe whose writing end PID {writer.pid} (sleep) holds" in done.stderr


def test_other_end_of_a_fifo_outside(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    ends = os.open(fifo, os.O_RDWR)
    reading, writing = os.open(fifo, os.O_RDONLY), os.open(fifo, os.O_WRONLY)
    os.close(ends)
    with running("cat", stdin=reading) as target, running("sleep", "60", stdout=writing) as writer:
        os.close(reading)
        os.close(writing)
        done = crtool("checkpoint", str(target.pid), "-o", str(tmp_path / "image"))
    assert done.returncode == 122
    assert f"fd 0: the FIFO {fifo}, whose writing end PID {writer.pid} (sleep) holds" in done.stderr


def test_all_at_once(pipe: tuple[int, int], tmp_path: Path) -> None:
    """Every descriptor that stands in the way is named, each once."""
    second = os.pipe()
    with (
        running("sleep", "60", stdin=second[0], stdout=pipe[1]),
        running("cat", stdin=pipe[0], stdout=second[1]) as target,
    ):
        for fd in (*pipe, *second):
            os.close(fd)
        done = crtool("checkpoint", str(target.pid), "-o", str(tmp_path / "image"))
    assert done.returncode == 122
    assert done.stderr.count(f"PID {target.pid} fd 0: ") == 1
    assert done.stderr.count(f"PID {target.pid} fd 1: ") == 1


def test_both_ends_inside(tmp_path: Path) -> None:
    """A whole pipeline is nothing to complain about, nor that crtool itself writes to a pipe."""
    with running("sh", "-c", "sleep 60 | cat; true") as target:
        processes.Deadline(30, "the pipeline").wait_until(lambda: len(processes.family(target.pid)) == 3)
        family = processes.family(target.pid)
        done = crtool("checkpoint", str(target.pid), "--json", "-o", str(tmp_path / "image"))
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["processes"] == 3
        processes.end(family)


@pytest.mark.parametrize("mine", [0, 1])
def test_nobody_at_the_other_end(pipe: tuple[int, int], tmp_path: Path, mine: int) -> None:
    """It stays half open: what a read or a write says is the same after a restart."""
    program = (
        "import os, signal, sys\n"
        "signal.signal(signal.SIGPIPE, signal.SIG_IGN)\n"
        "signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})\n"
        "open('ready', 'w').close()\n"
        "signal.sigwait({signal.SIGTERM})\n"
        "try:\n"
        "    sys.exit(3 if os.read(0, 9) == b'last' and os.read(0, 9) == b'' else 4)\n"
        "except OSError:\n"
        "    pass\n"
        "try:\n"
        "    os.write(1, b'x')\n"
        "except BrokenPipeError:\n"
        "    sys.exit(5)\n"
    )
    os.write(pipe[1], b"last")
    image, pidfile = tmp_path / "image", tmp_path / "pid"
    ends = {"stdin": pipe[0]} if mine == 0 else {"stdout": pipe[1]}
    if mine == 1:
        ends["stdin"] = os.open(os.path.devnull, os.O_WRONLY)
    target = subprocess.Popen(
        [sys.executable, "-c", program], cwd=tmp_path, stderr=subprocess.DEVNULL, start_new_session=True,
        **({"stdout": subprocess.DEVNULL} | ends),
    )  # fmt: skip
    for fd in pipe:
        os.close(fd)
    try:
        processes.Deadline(30, "ready").wait_until((tmp_path / "ready").exists)
        done = crtool("checkpoint", str(target.pid), "--kill", "-o", str(image))
        assert done.returncode == 0, done.stderr
        assert target.wait(30) == -signal.SIGKILL
        with subprocess.Popen(
            [sys.executable, "-m", "crtool", "restart", str(image), "--pidfile", str(pidfile)],
            cwd=REPOSITORY, stdin=subprocess.DEVNULL, start_new_session=True,
        ) as waiting:  # fmt: skip
            processes.Deadline(30, "restart").wait_until(pidfile.exists)
            os.kill(target.pid, signal.SIGTERM)
            assert waiting.wait(30) == (3 if mine == 0 else 5)
    finally:
        processes.end({target.pid})
        target.poll()
        if mine == 1:
            os.close(ends["stdin"])


@pytest.mark.parametrize("lazy", [False, True])
def test_nobody_else_has_a_pipe_open_when_the_tree_goes_on(
    lazy: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or the program would see the end of its last writer later than it comes."""
    image, first = str(tmp_path / "image.crt"), 5000
    others: list[set[int]] = []
    release = Newborn.release

    def prepare() -> mmap.mmap:
        for number, fd in enumerate(os.pipe(), first):
            os.dup2(fd, number)
        return mmap.mmap(-1, 8 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | mmap.MAP_POPULATE)

    def look_and_release(puppet: Newborn) -> None:
        others.append(holders(os.readlink(f"/proc/{puppet.pid}/fd/{first}")) - {puppet.pid})
        release(puppet)

    with sleeper(prepare) as pid:
        checkpoint(pid, image, leave="killed")
        monkeypatch.setattr(Newborn, "release", look_and_release)
        restart(image, detach=True, lazy=lazy)

    assert [set()] == others


def holders(link: str) -> set[int]:
    """Who has a descriptor that *link* tells of."""
    found = set()
    for pid in all_processes():
        with suppress(OSError):
            for fd in os.listdir(f"/proc/{pid}/fd"):
                with suppress(OSError):
                    if os.readlink(f"/proc/{pid}/fd/{fd}") == link:
                        found.add(pid)
    return found
