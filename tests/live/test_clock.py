"""Clocks of restored processes: they do not go back, and what waits for a moment of one ends then."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from crtool.procfs import timens

from .harness.catalogue import Specimen, catalogue
from .harness.run import Run, Skipped

pytestmark = pytest.mark.machine("time namespaces")

NAMES = ("time_moments_end", "time_clock_readers", "time_sleep_absolute", "time_sleep_ends", "time_timer_clocks")
SPECIMENS = [specimen for specimen in catalogue() if specimen.name in NAMES]
SECOND = 1_000_000_000
DAY = 86400
BEHIND = int(time.monotonic()) - 60  # as if the machine had booted a minute ago


def clocks(ahead: int) -> tuple[str, ...]:
    """A command prefix: other clocks than those of the machine."""
    return ("unshare", "--time", f"--monotonic={ahead}", f"--boottime={ahead}", "--")


def own_clocks(pid: int) -> bool:
    return os.readlink(f"/proc/{pid}/ns/time") != os.readlink("/proc/self/ns/time")


def offset(pid: int) -> float:
    """How far CLOCK_MONOTONIC of *pid* is ahead of ours, in seconds."""
    its, ours = timens.of(pid), timens.of(os.getpid())
    assert its is not None and ours is not None
    return its.since(ours).monotonic / SECOND


@pytest.mark.parametrize("specimen", SPECIMENS, ids=lambda specimen: specimen.name)
@pytest.mark.parametrize("options", [(), ("--pidns",)], ids=["here", "pidns"])
def test_after_a_reboot(specimen: Specimen, options: tuple[str, ...], tmp_path: Path) -> None:
    """Here the clocks stand far behind those of the image: a time namespace lets them go on."""
    run = Run(specimen, tmp_path)
    try:
        run.await_ready()
        image = run.checkpoint("--kill")
        run.restart(image, *options, prefix=clocks(-BEHIND))
        assert own_clocks(run.root)
        # As if no time had passed, compared with the machine's own clock: a little behind.
        assert -60 < offset(run.root) <= 0
        run.pass_judgement()
    except Skipped as reason:
        pytest.skip(str(reason))
    finally:
        run.end()


@pytest.mark.parametrize("name", ["time_moments_end", "time_clock_readers"])
def test_clocks_of_their_own_stay_so(name: str, tmp_path: Path) -> None:
    """A tree in a time namespace, a day ahead, comes back into one, again and again."""
    run = Run(next(one for one in SPECIMENS if one.name == name), tmp_path, prefix=clocks(DAY))
    try:
        run.await_ready()
        for _ in range(2):
            run.restart(run.checkpoint("--kill"))
            assert own_clocks(run.root)
            assert DAY == round(offset(run.root))
        run.pass_judgement()
    finally:
        run.end()


@pytest.fixture
def image(tmp_path: Path) -> tuple[Run, Path]:
    run = Run(next(one for one in SPECIMENS if one.name == "time_clock_readers"), tmp_path)
    run.await_ready()
    return run, run.checkpoint("--kill")


def test_time_passes_by_default(image: tuple[Run, Path]) -> None:
    run, path = image
    try:
        run.restart(path)
        assert not own_clocks(run.root)
        run.pass_judgement()
    finally:
        run.end()


def test_no_time_passes_if_asked(image: tuple[Run, Path]) -> None:
    run, path = image
    try:
        time.sleep(2)
        run.restart(path, "--clock", "continue")
        assert own_clocks(run.root)
        assert offset(run.root) < -2
        run.pass_judgement()
    finally:
        run.end()


def test_clocks_of_the_machine_if_asked(tmp_path: Path) -> None:
    """Also where they stand behind, which is then the user's business; this program does not look at them."""
    run = Run(next(one for one in catalogue() if one.name == "memory_malloc"), tmp_path)
    try:
        run.await_ready()
        run.restart(run.checkpoint("--kill"), "--clock", "host", prefix=clocks(-BEHIND))
        assert -BEHIND == round(offset(run.root))
        run.pass_judgement()
    finally:
        run.end()
