"""A target is let go when it has stood still for as long as --timeout allows, wherever crtool is in that moment."""

from __future__ import annotations

import mmap
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from crtool.engine.checkpoint import Leave, checkpoint
from crtool.engine.verify import verify
from tests.machine import freezer_root

from ..live.harness.processes import Deadline
from ..live.victim import sleeper
from .matrix import DONE, REFUSED, run_with
from .test_kill_checkpoint import await_equal, seen

LIMITS = (0.25, 1.0, 4.0)  # seconds
LATE = 12.0  # seconds that a busy machine may take besides
MEMORY = 8 << 20


def prepare() -> mmap.mmap:
    memory = mmap.mmap(-1, MEMORY, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    for at in range(0, MEMORY, 4096):
        memory[at : at + 8] = (at + 1).to_bytes(8, "little")
    return memory


@pytest.fixture(scope="module", autouse=True)
def everything_is_imported(tmp_path_factory: pytest.TempPathFactory) -> None:
    """The copies of this process have no time for that."""
    with sleeper(prepare) as pid:
        checkpoint(pid, tmp_path_factory.mktemp("images") / "image", live="off")


@contextmanager
def unharmed() -> Iterator[int]:
    """The PID of a target that goes on as before."""
    with sleeper(prepare) as pid:
        before = seen(pid)
        yield pid

        await_equal(pid, before)


def story_of(pid: int, output: Path | int, **options: Any) -> Callable[[float], object]:
    return lambda limit: checkpoint(pid, output, timeout=limit, **options)


def attempt(
    wanted: int, story: Callable[[float], object], point: str, act: Callable[[float], None] = lambda _: None
) -> None:
    """*story*, which gets a limit, ends as *wanted*, and soon, in a copy of this process.

    *act*, at *point*, gets the limit too. On a busy machine that may be over before: then it gets a longer one.
    """
    for limit in LIMITS:

        def with_own_alarm(limit: float = limit) -> None:
            signal.signal(signal.SIGALRM, signal.SIG_DFL)  # pytest has one too
            story(limit)

        start = time.monotonic()
        ending = run_with(with_own_alarm, point, lambda _, limit=limit: act(limit))  # type: ignore[misc]

        assert time.monotonic() - start < limit + LATE
        if ending == wanted:
            return
    pytest.fail(f"ended with {ending}")


@pytest.mark.parametrize("leave", ["running", "stopped", "killed"])
def test_nobody_reads_the_pipe(leave: Leave) -> None:
    reader, writer = os.pipe()
    try:
        with unharmed() as pid:
            attempt(REFUSED, story_of(pid, writer, leave=leave, live="off"), "memory begin 1")
    finally:
        os.close(reader)
        os.close(writer)


@pytest.mark.parametrize("leave", ["running", "killed"])
@pytest.mark.parametrize("point", ["collect begin 1", "memory begin 1"])
def test_crtool_takes_long(point: str, leave: Leave, tmp_path: Path) -> None:
    """In one piece, without asking for the time."""
    with unharmed() as pid:
        attempt(REFUSED, story_of(pid, tmp_path / "image", leave=leave, live="off"), point, lambda _: time.sleep(60))

        assert [] == [*tmp_path.iterdir()]


@pytest.mark.parametrize("point", ["away 1", "batch made 1", "let a process go 1"])
def test_what_is_done_to_a_thread_is_finished_first(point: str, tmp_path: Path) -> None:
    with unharmed() as pid:
        wanted = DONE if point.startswith("let") else REFUSED
        story = story_of(pid, tmp_path / "image", force=True, live="off")
        attempt(wanted, story, point, lambda limit: time.sleep(2 * limit))


def test_an_image_that_is_whole_is_not_given_up(tmp_path: Path) -> None:
    """The target stands still until it is on the disk."""
    with unharmed() as pid:
        story = story_of(pid, tmp_path / "image", leave="stopped")
        attempt(DONE, story, "sync 1", lambda limit: time.sleep(2 * limit))
        verify(tmp_path / "image")
        os.kill(pid, signal.SIGCONT)


@pytest.mark.machine("a freezer")
@pytest.mark.parametrize("point", ["batch 1", "call entered or left 1"])
def test_somebody_freezes_the_target(point: str, tmp_path: Path) -> None:
    """It does not come back from a call of crtool's, and walks home when it thaws."""
    with unharmed() as pid, freezer(pid) as set_frozen:
        attempt(REFUSED, story_of(pid, tmp_path / "image", live="off"), point, lambda _: set_frozen(True))
        set_frozen(False)


@contextmanager
def freezer(pid: int) -> Iterator[Callable[[bool], None]]:
    """What freezes, or thaws, the process by a control group."""
    name = f"crtool-test-{os.getpid()}"
    group = freezer_root() / name
    if group.parent.name == "freezer":
        file, words = "freezer.state", ("THAWED", "FROZEN")
    else:
        file, words = "cgroup.freeze", ("0", "1")
    group.mkdir()

    def set_frozen(wanted: bool) -> None:
        (group / file).write_text(words[wanted])

    try:
        (group / "cgroup.procs").write_text(str(pid))
        yield set_frozen
    finally:
        set_frozen(False)
        (group.parent / "cgroup.procs").write_text(str(pid))
        Deadline(LATE, "an empty group").wait_until(lambda: not (group / "cgroup.procs").read_text())
        group.rmdir()
