"""The fault matrix of the restart: whatever happens at whatever point, everything runs, or nothing is left behind."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from crtool.engine.restart import restart
from tests.below import below

from ..live.harness.catalogue import catalogue
from ..live.harness.folder import FolderState
from ..live.harness.processes import Deadline, end
from ..live.harness.run import Run
from .matrix import CRTOOL_FAULTS, DONE, INTERRUPTED, NOT_REACHED, UNUSED, points_of, record, run_with, share

COLUMNS = (*CRTOOL_FAULTS, "killed", "SIGINT", "SIGTERM")
LEGEND = (
    "n: nothing left behind; r: everything runs; s: nobody was born yet whom a signal could kill; "
    "m: missed, as no call was left that the error could have met; -: point not reached"
)
SETTLED = 20.0
PARTS = 8
PROCESSES, THREADS = 3, 8  # of the tree


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("pidns", [None, True], ids=["here", "pidns"])
def test_all_or_nothing(
    part: int, pidns: bool | None, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    run = Run(next(one for one in catalogue() if one.name == "tree_victim"), tmp_path)
    cells: dict[tuple[str, str], str] = {}
    try:
        run.await_ready()
        image = run.checkpoint("--kill")
        surroundings = Surroundings(run)

        def story() -> None:
            restart(image, detach=True, pidns=pidns)

        story()  # imports everything that the copies will need
        surroundings.end_all()
        points = points_of(story)
        surroundings.end_all()
        for point in share(points, part, PARTS):
            for fault in COLUMNS:
                cells[point, fault] = _cell(surroundings, story, point, fault)
        run.restart(image)
        run.pass_judgement()
    finally:
        run.end()
    where = "in a PID namespace of its own" if pidns else "here"
    record_property(*record(f"restart {where}", cells, COLUMNS, LEGEND, (part, PARTS), points))

    assert len(points) > 120
    assert "n" in cells.values()


def _cell(surroundings: Surroundings, story: object, point: str, fault: str) -> str:
    somebody = False

    def kill(_: str) -> None:
        members = below(os.getpid())
        if members:
            os.kill(next(filter(is_helper, members), members[-1]), signal.SIGKILL)
            os.write(told, b"!")

    assert callable(story)
    heard, told = os.pipe2(os.O_NONBLOCK)
    try:
        ending = run_with(story, point, kill if fault == "killed" else fault)
        with suppress(BlockingIOError):
            somebody = os.read(heard, 1) == b"!"
    except TimeoutError:
        pytest.fail(f"crtool hangs: {fault} at {point}")
    finally:
        os.close(heard)
        os.close(told)
    what = f"{fault} at {point}"
    done = ending in (DONE, NOT_REACHED, UNUSED)
    found = surroundings.all_or_nothing(what, may_run=done or ending in (-signal.SIGKILL, INTERRUPTED))
    surroundings.end_all()
    surroundings.compare(what)
    if not done:
        return found
    assert ending == NOT_REACHED or found == "r", what
    if ending != DONE:
        return "-" if ending == NOT_REACHED else "m"
    return "s" if fault == "killed" and not somebody else "r"


def is_helper(pid: int) -> bool:
    """Whether that is the process whose death the tree makes good. Until it is rebuilt, nobody runs who could miss
    another one.
    """
    with suppress(OSError):
        return b"helper" in Path(f"/proc/{pid}/cmdline").read_bytes()
    return False


def is_init(pid: int) -> bool:
    """Whether that is the first process of the tree's PID namespace, which is crtool's."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/comm").read_text() == "crtool-init\n"
    return False


class Surroundings:
    """What is there besides the tree: it has to be the same after each cell."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._files = self._state()
        self._seen = self._look()

    def _look(self) -> tuple[object, ...]:
        mounts = Path("/proc/self/mountinfo").read_text().splitlines()  # of which others have made some
        return (
            [line for line in mounts if " - proc " in line or str(self._run.folder) in line],
            sorted(os.listdir(self._run.folder)),
            sorted(os.listdir(self._run.work)),
        )

    def compare(self, what: str) -> None:
        """Mounts, temporary files, the program's own files, and that it has found no fault."""
        assert self._run.expected == self._run.printed(), what
        assert self._seen == self._look(), what
        assert vars(self._files) == vars(self._state()), what

    def _state(self) -> FolderState:
        """All files but those that the program itself writes to when it runs."""
        return FolderState(self._run.work, apart={"out", "deeds"})

    def all_or_nothing(self, what: str, *, may_run: bool) -> str:
        """ "n" if nobody is left, "r" if everybody runs, which *may_run* allows: they may have been let go."""

        def decided() -> bool:
            left = self._left()
            return not left or (may_run and self._whole(left))

        Deadline(SETTLED, f"{what}: everything or nothing").wait_until(decided)
        return "r" if self._left() else "n"

    def _left(self) -> list[int]:
        """Who is there; the dead that have come to us are waited for."""
        left = []
        for pid in below(os.getpid()):
            if pid in self._run.before:
                continue
            with suppress(ChildProcessError):
                if os.waitpid(pid, os.WNOHANG)[0] == pid:
                    continue
            left.append(pid)
        return left

    def _whole(self, left: list[int]) -> bool:
        """Whether three processes are there with all their threads, and nobody holds them."""
        members = [pid for pid in left if not is_init(pid)]
        count = 0
        for pid in members:
            with suppress(OSError):
                for tid in os.listdir(f"/proc/{pid}/task"):
                    status = Path(f"/proc/{pid}/task/{tid}/status").read_text()
                    if "\nTracerPid:\t0\n" not in status or "\nState:\tZ" in status:
                        return False
                    count += 1
        return (len(members), count) == (PROCESSES, THREADS)

    def end_all(self) -> None:
        """Ends the tree, if it is there."""
        while left := self._left():
            end(left)
