"""Half a restart never survives: crtool is killed at any instant of it, and nothing is left, or everything runs."""

from __future__ import annotations

import os
import random
import signal
import time
from contextlib import suppress
from pathlib import Path

import pytest

from crtool.engine.restart import restart

from ..live.harness.catalogue import catalogue
from ..live.harness.processes import Deadline, descendants, end, family
from ..live.harness.run import Run

KILLS = 50  # of each specimen
SETTLED = 5.0  # seconds that the kernel may take to end or to let go of everybody on a busy machine


@pytest.mark.parametrize("name", ["cpu_victim", "tree_grandchildren"])
def test_nothing_is_left_of_a_restart_that_was_killed(name: str, tmp_path: Path) -> None:
    specimen = next(specimen for specimen in catalogue() if specimen.name == name)
    random.seed(name)
    run = Run(specimen, tmp_path)
    try:
        run.await_ready()
        whole = census(run.root)
        image = run.checkpoint("--kill")
        files = sorted(tmp_path.rglob("*"))
        start = time.monotonic()
        restart(image, detach=True)  # imports everything that the children will need
        length = time.monotonic() - start
        end(family(run.root))
        for _ in range(KILLS):
            child = os.fork()
            if child == 0:
                once(image)
            time.sleep(random.random() * length)
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            Deadline(SETTLED, "everything or nothing").wait_until(lambda: settled(run, whole))
            end(descendants() - run.before)
            assert files == sorted(tmp_path.rglob("*"))
        run.restart(image)
        run.pass_judgement()
    finally:
        run.end()


def once(image: Path) -> None:
    """In a child: one restart, and then nothing until somebody kills it."""
    try:
        restart(image, detach=True)
        signal.pause()
    finally:
        os._exit(1)


def settled(run: Run, whole: dict[int, tuple[int, ...]]) -> bool:
    """Whether either nothing is left, or everything is there and nobody holds it."""
    left = descendants() - run.before
    for pid in set(left):
        with suppress(ChildProcessError):
            if os.waitpid(pid, os.WNOHANG)[0] == pid:
                left.discard(pid)
    if not left:
        return True
    try:
        return whole == census(run.root) and not any(traced(pid) for pid in whole)
    except (FileNotFoundError, ProcessLookupError):
        return False


def census(root: int) -> dict[int, tuple[int, ...]]:
    """The processes of a tree, each with its threads."""
    return {pid: tuple(sorted(map(int, os.listdir(f"/proc/{pid}/task")))) for pid in below(root)}


def below(root: int) -> set[int]:
    return family(root) if os.path.exists(f"/proc/{root}") else set()


def traced(pid: int) -> bool:
    return "\nTracerPid:\t0\n" not in Path(f"/proc/{pid}/status").read_text()
