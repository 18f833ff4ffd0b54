"""crtool is killed while the target is on the way into, or out of, a call of crtool's: also the fork of a twin.

Such a call is made after all, some time after crtool's death. The guardian has to wait for that.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from crtool.engine.checkpoint import checkpoint
from crtool.procfs import stat as stat_file
from crtool.procfs.read import read

from ..live.harness.processes import Deadline
from ..live.victim import sleeper
from .matrix import points_of, run_with
from .test_kill_checkpoint import await_equal, reap_orphans, seen

CALL = "call entered or left"
SETTLED = 20.0


def test_a_target_that_is_stopped_makes_its_call_when_it_goes_on(tmp_path: Path) -> None:
    """For that long the guardian stays."""
    with sleeper(lambda: True) as pid:
        before = seen(pid)

        def stop(_: object = None) -> None:
            os.kill(pid, signal.SIGSTOP)
            Deadline(SETTLED, "a stop").wait_until(lambda: stat_file.parse(read(pid, "stat")).state == "T")

        def story() -> None:
            checkpoint(pid, tmp_path / "image", live="fork", force=True)

        stop()
        points = [point for point in points_of(story) if point.startswith(CALL)]
        reap_orphans(pid)
        for point in points:
            stop()

            assert -signal.SIGKILL == run_with(story, point, "SIGKILL")
            time.sleep(0.02)  # the guardian looks
            os.kill(pid, signal.SIGCONT)
            Deadline(SETTLED, "the end of the guardian").wait_until(lambda: reap_orphans(pid))
            await_equal(pid, before)

        assert len(points) >= 8


def test_a_target_that_hardly_gets_the_cpu_makes_its_call_late(tmp_path: Path) -> None:
    with sleeper(lambda: True) as pid, busy() as (cpu, hog):
        before = seen(pid)

        def story() -> None:
            checkpoint(pid, tmp_path / "image", live="fork", force=True)

        def starve(_: str) -> None:
            os.sched_setscheduler(pid, os.SCHED_IDLE, os.sched_param(0))
            os.kill(os.getpid(), signal.SIGKILL)

        points = points_of(story)
        fork = next(point for point in points[points.index("batch made 1") :] if point.startswith(CALL))
        os.sched_setaffinity(pid, {cpu})
        for _ in range(4):
            assert -signal.SIGKILL == run_with(story, fork, starve)
            time.sleep(0.1)
            os.sched_setscheduler(pid, os.SCHED_OTHER, os.sched_param(0))
            Deadline(SETTLED, "the end of the guardian").wait_until(lambda: reap_orphans(pid, hog))
            await_equal(pid, before)


@contextmanager
def busy() -> Iterator[tuple[int, int]]:
    """The number of a CPU, and the PID of somebody who computes on it all the time."""
    cpu = max(os.sched_getaffinity(0))
    hog = subprocess.Popen(["sh", "-c", "while :; do :; done"])
    os.sched_setaffinity(hog.pid, {cpu})
    try:
        yield cpu, hog.pid
    finally:
        hog.kill()
        hog.wait()
