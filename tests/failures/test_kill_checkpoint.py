"""The invariant: at every instant of a checkpoint, if crtool dies by SIGKILL, the target goes on unharmed."""

from __future__ import annotations

import os
import random
import signal
import time
from contextlib import suppress
from pathlib import Path

import pytest

from crtool.engine.checkpoint import checkpoint
from crtool.engine.live import LiveMode
from crtool.engine.tracker import Tracker
from crtool.engine.verify import verify
from crtool.errors import TargetDied
from crtool.procfs import smaps as smaps_file
from crtool.procfs import stat as stat_file
from crtool.procfs import status as status_file
from crtool.procfs.read import read
from crtool.procfs.tasks import threads
from tests.below import children

from ..live.harness import warm
from ..live.harness.catalogue import catalogue
from ..live.harness.processes import Deadline
from ..live.harness.run import Run
from ..live.victim import victim

LONG = bool(os.environ.get("CRTOOL_LONG"))
PARTS = 8
KILLS = (2000 if LONG else 800) // PARTS  # in each of the parts, which may run side by side
WATCHES = 1000 if LONG else 150
SETTLED = 20.0  # seconds that a target may take to walk home on a busy machine


@pytest.mark.timeout(900)
@pytest.mark.parametrize("part", range(PARTS))
def test_a_target_survives_the_death_of_crtool_at_any_instant(part: int, tmp_path: Path) -> None:
    """Memory, registers, FPU, masks and sleeps are checked by the target itself, all the time; the rest is here.

    Every other part forks it; then nobody may be left who was its child.
    """
    live: LiveMode = "fork" if part % 2 else "auto"
    specimen = next(specimen for specimen in catalogue() if specimen.name == ("tree_victim" if part else "cpu_victim"))
    random.seed(part)
    run = Run(specimen, tmp_path)
    try:
        run.await_rest()
        image = tmp_path / "image"
        before = seen(run.root)
        checkpoint(run.root, str(image), live=live)  # imports everything that the children will need
        start = time.monotonic()
        checkpoint(run.root, str(image), force=True, live=live)
        length = time.monotonic() - start
        for _ in range(KILLS):
            child = os.fork()
            if child == 0:
                endlessly(run.root, str(image), live)
            time.sleep(random.random() * length)
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            Deadline(SETTLED, "the end of the guardian").wait_until(lambda: reap_orphans(run.root))
            await_equal(run.root, before)
        run.pass_judgement()
        without_names_of_a_moment(tmp_path)
    finally:
        run.end()


def without_names_of_a_moment(folder: Path) -> None:
    """Who is killed as he replaces an image can leave the new one under its hidden name; then it is whole."""
    for path in folder.glob(".image.*"):
        verify(path)
        path.unlink()


@pytest.mark.timeout(2400 if LONG else 600)
def test_nothing_stays_of_a_watch_over_what_is_written(tmp_path: Path) -> None:
    """No descriptor, and no mapping that is watched."""
    image = str(tmp_path / "image")
    random.seed(0)
    with victim(4) as pid:
        before, flags = seen(pid), watched(pid)
        start = time.monotonic()
        with Tracker() as tracker:
            checkpoint(pid, image, tracker=tracker)
            length = time.monotonic() - start
            assert "uw" in watched(pid)
        for _ in range(WATCHES):
            child = os.fork()
            if child == 0:
                watching(pid, image)
            time.sleep(random.random() * length)
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            Deadline(SETTLED, "the end of the guardian").wait_until(lambda: reap_orphans(pid))
            await_equal(pid, before)
            assert flags == watched(pid)
    without_names_of_a_moment(tmp_path)


def watching(pid: int, image: str) -> None:
    """In a child: checkpoints of *pid*, each with a watch of its own, until somebody kills it."""
    try:
        while True:
            with Tracker() as tracker:
                checkpoint(pid, image, force=True, tracker=tracker)
    finally:
        os._exit(1)


def watched(pid: int) -> set[str]:
    """The flags that mappings of a process have."""
    return {flag for entry in smaps_file.parse(read(pid, "smaps")) for flag in entry.flags}


def endlessly(pid: int, image: str, live: LiveMode) -> None:
    """In a child: checkpoints of *pid* one after the other, until somebody kills it."""
    try:
        while True:
            checkpoint(pid, image, force=True, live=live)
    finally:
        os._exit(1)


def seen(pid: int) -> tuple[object, ...]:
    """What can be seen of the target from outside and must not change."""
    tasks = threads(pid)
    statuses = [status_file.parse(read(pid, "status", tid)) for tid in tasks]
    return (
        read(pid, "maps"),
        sorted(os.listdir(f"/proc/{pid}/fd")),
        tasks,
        [status.blocked for status in statuses],
        [status.pending for status in statuses],
        statuses[0].shared_pending,
        [status.tracer_pid for status in statuses],
        [status.state in "tT" for status in statuses],
        children(pid),
    )


def reap_orphans(*apart: int) -> bool:
    """Collects the guardians of the crtools that were killed: they come to this process, which is a subreaper.

    Returns whether no child is left but those who stand *apart*.
    """
    left = False
    for pid in children(os.getpid()):
        if pid not in apart and pid not in warm.zygotes():
            with suppress(ChildProcessError):
                left |= os.waitpid(pid, os.WNOHANG)[0] == 0
    return not left


def await_equal(pid: int, before: tuple[object, ...]) -> None:
    """The target may be on its way home for a moment."""
    until = time.monotonic() + SETTLED
    while (now := seen(pid)) != before and time.monotonic() < until:
        time.sleep(0.005)

    assert before == now, [about(child) for child in children(pid)]


def about(pid: int) -> str:
    """What tells who has left a process behind."""
    try:
        stat, tracer = stat_file.parse(read(pid, "stat")), status_file.parse(read(pid, "status")).tracer_pid
    except TargetDied:
        return f"{pid} has ended"
    return f"{pid} ({stat.comm!r}) {stat.state}, child of {stat.ppid}, exit signal {stat.exit_signal}, tracer {tracer}"
