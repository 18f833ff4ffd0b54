"""Waits for a limited time that a checkpoint interrupts: what is left of them is waited for, not all of it anew."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest

from crtool.engine.checkpoint import checkpoint
from crtool.engine.restart import restart
from crtool.kernel import run_clock
from crtool.kernel.run_clock import RunClock
from crtool.procfs import stat as stat_file
from crtool.procfs.read import read

from .harness.processes import Deadline, all_ended, reap_all

SECONDS, PAUSE, GOING_ON = 20, 2.5, 3
SLACK = 4.0  # seconds; less than one pause that would be waited for again
WAYS = {
    "poll", "epoll_wait", "epoll_pwait", "epoll_pwait2",
    "nanosleep", "nanosleep_left", "clock_nanosleep", "clock_nanosleep_left",
}  # fmt: skip


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    program = tmp_path_factory.mktemp("waits") / "waits"
    source = Path(__file__).with_name("waits.c")
    subprocess.run(["gcc", "-std=gnu11", "-O1", "-Wall", "-Werror", "-pthread", "-o", program, source], check=True)
    return program


def begin(program: Path, out: Path) -> tuple[subprocess.Popen[bytes], float]:
    with out.open("wb") as file:
        null = subprocess.DEVNULL
        target = subprocess.Popen(
            [program, str(SECONDS)], stdin=null, stdout=file, stderr=file, start_new_session=True, close_fds=True
        )
    Deadline(10, "ready").wait_until(lambda: out.read_bytes().startswith(b"ready\n"))
    return target, time.monotonic()


def said(out: Path) -> set[str]:
    return set(out.read_text().splitlines()) - {"ready"}


def test_a_program_that_goes_on_does_not_wait_longer(program: Path, tmp_path: Path) -> None:
    """However often it is saved: each time it would begin anew."""
    out = tmp_path / "out"
    with all_ended():
        target, began = begin(program, out)
        for _ in range(GOING_ON):
            time.sleep(PAUSE)
            checkpoint(target.pid, tmp_path / "image", force=True)
        assert not said(out)
        target.wait(SECONDS * 2)
        took = time.monotonic() - began

    assert said(out) == WAYS
    assert SECONDS - 1 < took < SECONDS + SLACK


def test_a_restarted_program_waits_for_what_is_left(program: Path, tmp_path: Path) -> None:
    out, image = tmp_path / "out", tmp_path / "image"
    with all_ended():
        target, began = begin(program, out)
        time.sleep(PAUSE)
        checkpoint(target.pid, image)  # what is left of a wait that was interrupted already
        time.sleep(3 * PAUSE)
        before = time.monotonic() - began
        checkpoint(target.pid, image, leave="killed", force=True)
        saved = time.monotonic() - began
        reap_all({target.pid})
        target.returncode = 0
        back = time.monotonic()
        restart(image, detach=True)
        assert not said(out)
        Deadline(SECONDS * 2, "the end").wait_until(lambda: not os.path.exists(f"/proc/{target.pid}/exe"))
        after = time.monotonic() - back
        reap_all({target.pid})

    assert said(out) == WAYS
    assert SECONDS - saved < after < SECONDS - before + PAUSE + SLACK


def test_the_clock_of_the_scheduler_tells_when_somebody_ran_last() -> None:
    with all_ended():
        target = subprocess.Popen(["sleep", "60"], close_fds=True)
        Deadline(10, "asleep").wait_until(lambda: stat_file.parse(read(target.pid, "stat")).state == "S")
        asleep = time.monotonic_ns()
        time.sleep(0.5)
        moment = run_clock.parse(read(target.pid, "sched"))
        assert moment is not None
        since = RunClock().monotonic(stat_file.parse(read(target.pid, "stat")).processor, moment)
        target.kill()
        target.wait()

    assert since is not None
    assert abs(since - asleep) < 300_000_000
