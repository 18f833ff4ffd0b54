"""A signal that comes when the work is done, but crtool has not ended yet, changes nothing: all verbs alike."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ..live.harness import command, processes
from .test_restart_order import alive

CRTOOL = [sys.executable, "-m", "crtool"]
NUMBERS = ("SIGINT", "SIGTERM")


def crtool(fault: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Runs one verb, with a fault."""
    return command.crtool(*arguments, environment={**os.environ, "CRTOOL_FAULT": fault})


@pytest.fixture
def image(sleeper: subprocess.Popen[bytes], tmp_path: Path) -> Path:
    """That of the sleeper, which has ended."""
    path = tmp_path / "image"
    done = crtool("", "checkpoint", sleeper.pid, "-k", "-o", path)
    assert 0 == done.returncode, done.stderr
    sleeper.wait()
    return path


@pytest.fixture(autouse=True)
def nobody_stays() -> Iterator[None]:
    """Ends what has come back."""
    with processes.all_ended():
        yield


@pytest.mark.parametrize("number", [*NUMBERS, "SIGHUP"])
def test_a_checkpoint_is_done_when_the_image_is_safe(
    number: str, sleeper: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    for point in ("named 1", "finish 1"):
        for kept in (tmp_path / "fork", tmp_path / "kill"):
            end = ("--kill",) if kept.name == "kill" and point == "finish 1" else ()
            done = crtool(f"{point}={number}", "checkpoint", sleeper.pid, "--force", *end, "-o", kept)
            assert (0, "") == (done.returncode, done.stderr), point
            assert "saved and" in done.stdout
    assert -signal.SIGKILL == sleeper.wait(10)


@pytest.mark.parametrize("number", NUMBERS)
def test_an_image_in_a_pipe(number: str, sleeper: subprocess.Popen[bytes], tmp_path: Path) -> None:
    words = shlex.join([*CRTOOL, "checkpoint", str(sleeper.pid), "--kill", "-o", "-"])
    script = f"(CRTOOL_FAULT='finish 1={number}' {words}; echo $? >status) | cat >image"
    subprocess.run(["sh", "-c", script], cwd=tmp_path, stderr=subprocess.DEVNULL, check=False, timeout=60)

    assert "0\n" == (tmp_path / "status").read_text()
    assert -signal.SIGKILL == sleeper.wait(10)
    assert 0 == crtool("", "verify", tmp_path / "image").returncode


@pytest.mark.parametrize("number", NUMBERS)
def test_restarts_and_copies(number: str, image: Path, tmp_path: Path) -> None:
    done = crtool(f"finish 1={number}", "restart", "--detach", image)
    assert 0 == done.returncode, done.stderr
    root = int(done.stdout.split()[1])
    assert alive(root)

    done = crtool(f"finish 1={number}", "clone", "--detach", "-n", 2, root)
    assert 0 == done.returncode, done.stderr
    copies = [int(line) for line in done.stdout.split()]
    assert 2 == len(copies)
    assert all(map(alive, copies))


@pytest.mark.parametrize("number", NUMBERS[1:])
def test_the_status_is_that_of_who_was_waited_for(number: str, tmp_path: Path) -> None:
    """Not that of a signal that comes when he has ended."""
    program = ["sh", "-c", "trap 'exit 7' USR1; while :; do sleep 0.05; done"]
    assert 7 == crtool(f"finish 1={number}", "eclone", "--", "sh", "-c", "exit 7").returncode
    assert 7 == crtool(f"finish 1={number}", "run", "--image", tmp_path / "none", "--", "sh", "-c", "exit 7").returncode

    null = subprocess.DEVNULL
    with subprocess.Popen(program, stdin=null, stdout=null, stderr=null, start_new_session=True) as shell:
        try:
            awaited_trap(shell.pid)
            status = waited_for(f"finish 1={number}", tmp_path / "clone", "clone", shell.pid)
            assert 7 == status, (tmp_path / "clone").read_text()
            done = crtool("", "checkpoint", "--kill", shell.pid, "-o", tmp_path / "image")
            assert 0 == done.returncode, done.stderr
        finally:
            shell.kill()
    status = waited_for(f"finish 1={number}", tmp_path / "restart", "restart", "--pidns", tmp_path / "image")
    assert 7 == status, (tmp_path / "restart").read_text()


def awaited_trap(pid: int) -> None:
    """Returns when the process handles SIGUSR1."""

    def caught() -> bool:
        status = Path(f"/proc/{pid}/status").read_text()
        return bool(int(status.split("SigCgt:\t")[1].split()[0], 16) >> signal.SIGUSR1 - 1 & 1)

    processes.Deadline(20, "a trap").wait_until(caught)


def waited_for(fault: str, log: Path, *arguments: object) -> int:
    """The status of a crtool whose program is ended by SIGUSR1 as soon as it runs."""
    with open(log, "w") as out:
        words = [*CRTOOL, *map(str, arguments)]
        environment = {**os.environ, "CRTOOL_FAULT": fault}
        with subprocess.Popen(
            words, env=environment, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True
        ) as process:
            processes.Deadline(30, "its word").wait_until(lambda: "PID" in log.read_text())
            time.sleep(0.1)  # until it passes signals on
            process.send_signal(signal.SIGUSR1)
            return process.wait(30)


@pytest.mark.parametrize("number", NUMBERS)
def test_what_is_sent_while_copies_are_made_ends_all_of_them(number: str, image: Path) -> None:
    """Heard after the first copy, of which nothing stays."""
    done = crtool("", "restart", "--detach", image)
    root = int(done.stdout.split()[1])
    before = processes.descendants()
    done = crtool(f"release begin 1={number}", "clone", "--detach", "-n", 3, root)
    assert -signal.Signals[number] == done.returncode, done.stderr
    assert "" == done.stdout
    processes.Deadline(20, "the end of the copy").wait_until(lambda: processes.descendants() <= before)


@pytest.mark.parametrize("make", ["squash", "core", "extract"])
def test_files_that_are_made_of_images(make: str, image: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    words: dict[str, Callable[[], tuple[object, ...]]] = {
        "squash": lambda: (image, "-o", out),
        "core": lambda: (image, "-o", out),
        "extract": lambda: (image, "--memory", "[stack]", "-o", out),
    }
    done = crtool("finish 1=SIGTERM", make, *words[make]())
    assert 0 == done.returncode, done.stderr
    assert out.stat().st_size
