"""The invariant: at every instant of a checkpoint, if crtool dies by SIGKILL, the target goes on unharmed."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path

import pytest

from crtool.engine.checkpoint import checkpoint
from crtool.procfs import status as status_file
from crtool.procfs.read import read
from crtool.procfs.tasks import threads

from ..live.harness.catalogue import catalogue
from ..live.harness.run import Run

KILLS = 130  # in each of the four parts, which may run side by side
SETTLED = 2.0  # seconds that a target may take to walk home on a busy machine


@pytest.mark.parametrize("part", range(4))
def test_a_target_survives_the_death_of_crtool_at_any_instant(part: int, tmp_path: Path) -> None:
    """Memory, registers, FPU, masks and sleeps are checked by the target itself, all the time; the rest is here."""
    specimen = next(specimen for specimen in catalogue() if specimen.name == "cpu_victim")
    random.seed(part)
    run = Run(specimen, tmp_path)
    try:
        run.await_ready()
        image = tmp_path / "image"
        before = seen(run.root)
        start = time.monotonic()
        checkpoint(run.root, str(image))  # imports everything that the children will need
        checkpoint(run.root, str(image), force=True)
        length = time.monotonic() - start
        for _ in range(KILLS):
            child = os.fork()
            if child == 0:
                endlessly(run.root, str(image))
            time.sleep(random.random() * length)
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            await_equal(run.root, before)
        run.pass_judgement()
    finally:
        run.end()


def endlessly(pid: int, image: str) -> None:
    """In a child: checkpoints of *pid* one after the other, until somebody kills it."""
    try:
        while True:
            checkpoint(pid, image, force=True)
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
    )


def await_equal(pid: int, before: tuple[object, ...]) -> None:
    """The target may be on its way home for a moment."""
    until = time.monotonic() + SETTLED
    while (now := seen(pid)) != before and time.monotonic() < until:
        time.sleep(0.005)

    assert before == now
