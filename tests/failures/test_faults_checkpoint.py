"""The fault matrix of the checkpoint: whatever happens at whatever point, the target is unharmed and goes on.

The victim checks memory, registers, FPU, descriptors, signals, timers and children all the time; what can be seen from
outside is compared here, after each cell. Its helper does what a program may do at any instant.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from crtool.engine.checkpoint import checkpoint
from crtool.engine.live import LiveMode
from crtool.errors import TargetDied
from crtool.procfs import status as status_file
from crtool.procfs.read import read
from crtool.procfs.tasks import threads
from tests.below import children

from ..live.harness.catalogue import catalogue
from ..live.harness.processes import Deadline
from ..live.harness.run import Run
from .matrix import CRTOOL_FAULTS, DONE, NOT_REACHED, UNUSED, points_of, record, run_with, share
from .test_kill_checkpoint import reap_orphans

DEEDS = {
    "thread ends": signal.SIGUSR1,
    "thread execs": signal.SIGUSR2,
    "forks": signal.SIGRTMIN,
    "no answer": signal.SIGRTMIN + 1,
    "killed": signal.SIGKILL,
}
COLUMNS = (*CRTOOL_FAULTS, *DEEDS)
LEGEND = (
    "u: target unharmed; w: target unharmed, and what the target was to do it did when it was let go, "
    "since it stood still at that point; m: missed, as no call was left that the error could have met; "
    "-: point not reached this time"
)
AT_ONCE = 0.004  # seconds in which a thread that does not stand still does what it is told to
SETTLED = 20.0
VFORK = 0.15  # seconds for which the helper does not answer
PARTS = 8


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("live", ["off", "fork"])
def test_no_fault_harms_the_target(
    live: LiveMode, part: int, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    victim = Victim(tmp_path)
    image = str(tmp_path / "image")
    cells: dict[tuple[str, str], str] = {}

    def story(timeout: float | None = None) -> None:
        checkpoint(victim.run.root, image, force=True, live=live, timeout=timeout)

    try:
        story()  # imports everything that the copies will need
        victim.await_unharmed("the first")
        points = points_of(story)
        victim.await_unharmed("the points")
        for point in share(points, part, PARTS):
            for fault in CRTOOL_FAULTS:
                ending = run_with(story, point, fault)
                victim.await_unharmed(f"{fault} at {point}")
                cells[point, fault] = {NOT_REACHED: "-", UNUSED: "m"}.get(ending, "u")
            for deed in DEEDS:
                cells[point, deed] = victim.cell(story, point, deed)
        assert sorted({*tmp_path.iterdir()}) == sorted({*tmp_path.iterdir()} - set(tmp_path.glob(".*")))
        victim.run.pass_judgement()
    finally:
        victim.run.end()
    record_property(*record(f"checkpoint --live={live}", cells, COLUMNS, LEGEND, (part, PARTS), points))

    assert len(points) > 120
    assert len(cells) * 0.8 < sum(cell not in "-m" for cell in cells.values())


@pytest.mark.parametrize("point", ["way laid 2", "on the way 1", "on the way 2", "away 1", "away 2", "nearly home 1"])
def test_a_call_that_fails_while_one_thread_takes_over_from_another(point: str, tmp_path: Path) -> None:
    """Both are brought home, before what was below their stacks is put back."""
    victim = Victim(tmp_path)
    image = str(tmp_path / "image")
    try:
        assert run_with(lambda: checkpoint(victim.run.root, image, live="off"), point, "EINTR") not in (DONE, UNUSED)
        victim.await_unharmed(point)
        victim.run.pass_judgement()
    finally:
        victim.run.end()


class Victim:
    """The specimen, and how it is seen from outside."""

    def __init__(self, folder: Path) -> None:
        self.run = Run(next(one for one in catalogue() if one.name == "tree_victim"), folder)
        self.run.await_rest()
        self._deeds = self.run.work / "deeds"
        first, second = children(self.run.root)
        self._steady = first if b"helper" not in read(first, "cmdline") else second
        self._before = self._look()

    @property
    def helper(self) -> int:
        return next(pid for pid in children(self.run.root) if pid != self._steady)

    def _look(self) -> tuple[object, ...]:
        """What must not change of the two that check themselves, and whether all others are at rest."""
        born = children(self.run.root)
        looks: list[object] = [self._steady in born, len(born), children(self._steady)]
        for pid in (self.run.root, self._steady):
            tasks = threads(pid)
            statuses = [status_file.parse(read(pid, "status", tid)) for tid in tasks]
            looks.append(
                (
                    [line.split()[:2] for line in read(pid, "maps").splitlines()],
                    sorted((fd, os.readlink(f"/proc/{pid}/fd/{fd}")) for fd in os.listdir(f"/proc/{pid}/fd")),
                    tasks,
                    [(task.blocked, task.pending, task.tracer_pid, task.state in "tTZ") for task in statuses],
                    (statuses[0].shared_pending, statuses[0].caught, statuses[0].ignored),
                )
            )
        for pid in {*born} - {self._steady}:
            rest = [status_file.parse(read(pid, "status", tid)) for tid in threads(pid)]
            looks.append([(task.tracer_pid, task.state in "tTZ") for task in rest])
        return tuple(looks)

    def done(self) -> int:
        """How many deeds the helpers have done."""
        return self._deeds.stat().st_size

    def await_unharmed(self, what: str) -> None:
        """Everybody is as before, in the end: who was held may be on his way home for a moment."""
        until = time.monotonic() + SETTLED
        while True:
            alone = reap_orphans(self.run.root)
            now: tuple[object, ...]
            try:
                now = self._look()
            except (OSError, TargetDied) as error:  # somebody ends in this moment, or has ended for good
                now = (error,)
            if alone and now == self._before:
                break
            assert time.monotonic() < until, f"{what}: {self.run.printed()!r}\n{self._before}\n{now}"
            time.sleep(0.001)
        assert b"ready\n" == self.run.printed(), what

    def cell(self, story: Callable[[float | None], None], point: str, deed: str) -> str:
        """One of the faults that the target makes itself."""
        count, helper = self.done(), self.helper

        def act(_: str) -> None:
            os.kill(helper, DEEDS[deed])
            until = time.monotonic() + AT_ONCE
            while self.done() == count and time.monotonic() < until:
                time.sleep(0.0002)

        # Sometimes crtool gives up, sometimes the helper answers in time.
        timeout = VFORK if deed == "no answer" and point_is_early(point) else None
        try:
            ending = run_with(lambda: story(timeout), point, act)
        except TimeoutError:
            pytest.fail(f"crtool hangs: {deed} at {point}")
        if ending == NOT_REACHED:
            return "-"
        at_once = self.done() > count and point_is_early(point)
        Deadline(SETTLED, f"{deed} at {point}").wait_until(lambda: self.done() > count)
        self.await_unharmed(f"{deed} at {point}")
        return "u" if at_once or deed == "killed" else "w"


def point_is_early(point: str) -> bool:
    """Before anybody stands still."""
    return point.startswith(("preflight", "seize", "settle"))
