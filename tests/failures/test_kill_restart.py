"""Half a restart never survives: crtool is killed at any instant of it, and nothing is left, or everything runs."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from crtool.engine.restart import restart

from ..live.harness.catalogue import catalogue
from ..live.harness.processes import Deadline, descendants, end, family
from ..live.harness.run import Run
from .test_kill_checkpoint import about

LONG = bool(os.environ.get("CRTOOL_LONG"))
KILLS = 175 if LONG else 50  # of each specimen, in each part
NAMESPACE_KILLS = 150 if LONG else 40
SETTLED = 20.0  # seconds that the kernel may take to end or to let go of everybody on a busy machine


@pytest.mark.timeout(900)
@pytest.mark.parametrize("part", range(2))
@pytest.mark.parametrize(
    ("name", "kills"), [("tree_victim", KILLS), ("tree_grandchildren", KILLS), ("unix_listening_relative", 25)]
)
def test_nothing_is_left_of_a_restart_that_was_killed(name: str, kills: int, part: int, tmp_path: Path) -> None:
    """The last one binds a path, for which a folder is made for a moment."""
    specimen = next(specimen for specimen in catalogue() if specimen.name == name)
    random.seed(f"{name} {part}")
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
        for _ in range(kills):
            child = os.fork()
            if child == 0:
                once(image)
            time.sleep(random.random() * length)
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            await_decision(run, lambda: settled(run, whole))
            end(descendants() - run.before)
            Deadline(SETTLED, "no file more").wait_until(lambda: files == sorted(tmp_path.rglob("*")))
        run.restart(image)
        run.pass_judgement()
    finally:
        run.end()


@pytest.mark.timeout(900)
@pytest.mark.parametrize("part", range(2))
def test_nothing_is_left_of_a_namespace_either(part: int, tmp_path: Path) -> None:
    """Neither its processes, nor the one that keeps the PID namespace, nor the one that made it."""
    run = Run(next(specimen for specimen in catalogue() if specimen.name == "tree_grandchildren"), tmp_path)
    random.seed(part)
    try:
        run.await_ready()
        image = run.checkpoint("--kill")
        whole = len(restarted := family(restart(image, detach=True, pidns=True).pid)) + 1
        end(restarted)
        end(descendants() - run.before)
        start = time.monotonic()
        end(family(restart(image, detach=True, pidns=True).pid))
        length = time.monotonic() - start
        for _ in range(NAMESPACE_KILLS):
            Deadline(SETTLED, "nobody").wait_until(lambda: not left_over(run))
            child = os.fork()
            if child == 0:
                once(image, pidns=True)
            time.sleep(random.random() * length)
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            await_decision(run, lambda: _all_or_none(run, whole))
            end(left_over(run))
    finally:
        run.end()


def await_decision(run: Run, decided: Callable[[], bool]) -> None:
    """Everything or nothing, after a moment; else the test fails, and says who is there."""
    try:
        Deadline(SETTLED, "everything or nothing").wait_until(decided)
    except TimeoutError as error:
        pytest.fail(f"{error}: {[about(pid) for pid in sorted(left_over(run))]}")


def left_over(run: Run) -> set[int]:
    """Who is there; the dead that are ours are waited for."""
    left = descendants() - run.before
    for pid in set(left):
        with suppress(ChildProcessError):
            if os.waitpid(pid, os.WNOHANG)[0] == pid:
                left.discard(pid)
    return left


def _all_or_none(run: Run, whole: int) -> bool:
    left = left_over(run)
    try:
        return not left or (whole == len(left) and not any(map(traced, left)))
    except (FileNotFoundError, ProcessLookupError):
        return False


def once(image: Path, pidns: bool | None = None) -> None:
    """In a child: one restart, and then nothing until somebody kills it."""
    try:
        restart(image, detach=True, pidns=pidns)
        signal.pause()
    finally:
        os._exit(1)


def settled(run: Run, whole: dict[int, tuple[int, ...]]) -> bool:
    """Whether either nothing is left, or everything is there, and nobody who holds it or cleans up."""
    if not (left := left_over(run)):
        return True
    try:
        return left == set(whole) and whole == census(run.root) and not any(traced(pid) for pid in whole)
    except (FileNotFoundError, ProcessLookupError):
        return False


def census(root: int) -> dict[int, tuple[int, ...]]:
    """The processes of a tree, each with its threads."""
    return {pid: tuple(sorted(map(int, os.listdir(f"/proc/{pid}/task")))) for pid in below(root)}


def below(root: int) -> set[int]:
    return family(root) if os.path.exists(f"/proc/{root}") else set()


def traced(pid: int) -> bool:
    return "\nTracerPid:\t0\n" not in Path(f"/proc/{pid}/status").read_text()
