"""SIGINT and SIGTERM at any instant: crtool ends by them, or has done its work; in both cases it has cleaned up."""

from __future__ import annotations

import os
import random
import signal
import sys
import time
import traceback
from pathlib import Path

import pytest

from crtool.cli.main import run as run_crtool
from crtool.engine.checkpoint import checkpoint
from crtool.engine.restart import restart
from crtool.engine.verify import verify

from ..live.harness.catalogue import catalogue
from ..live.harness.processes import descendants, end, family
from ..live.harness.run import Run
from .test_kill_checkpoint import await_equal, reap_orphans, seen
from .test_kill_restart import await_decision, census, left_over, settled

SIGNALS = (signal.SIGINT, signal.SIGTERM)
PARTS = 2
COUNT = (1000 if os.environ.get("CRTOOL_LONG") else 150) // PARTS


def interrupted(arguments: list[str], after: float, number: signal.Signals, log: Path) -> int:
    """The exit status, negative for a signal, of a crtool that gets signal *number* after so many seconds."""
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    child = os.fork()
    if child == 0:
        try:
            for one in SIGNALS:
                signal.signal(one, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
            words = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(words, 1)
            os.dup2(words, 2)
            sys.stdout, sys.stderr = open(1, "w", closefd=False), open(2, "w", closefd=False)  # noqa: SIM115
            sys.argv = ["crtool", *arguments]
            run_crtool()
        except SystemExit as ending:
            os._exit(ending.code if isinstance(ending.code, int) else 99)
        except BaseException:
            traceback.print_exc()
            raise
        finally:
            os._exit(99)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
    time.sleep(after)
    os.kill(child, number)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def length_of(arguments: list[str], log: Path) -> float:
    """Seconds that it takes undisturbed."""
    start = time.monotonic()
    status = interrupted(arguments, 0, signal.SIGCONT, log)

    assert 0 == status, log.read_text()
    return time.monotonic() - start


@pytest.mark.timeout(900)
@pytest.mark.parametrize("part", range(PARTS))
def test_a_checkpoint_that_is_interrupted(part: int, tmp_path: Path) -> None:
    """The target goes on, and there is a whole image or none."""
    random.seed(part)
    run = Run(next(one for one in catalogue() if one.name == "tree_victim"), tmp_path)
    folder, log = tmp_path / "images", tmp_path / "log"
    folder.mkdir()
    image = folder / "image"
    arguments = ["checkpoint", str(run.root), "-f", "-o", str(image), f"--live={('off', 'fork')[part % 2]}"]
    try:
        run.await_rest()
        before = seen(run.root)
        checkpoint(run.root, image)  # imports everything that the copies will need
        length = length_of(arguments, log)
        endings = set()
        for turn in range(COUNT):
            image.unlink(missing_ok=True)
            number = SIGNALS[turn % 2]
            status = interrupted(arguments, random.random() * length, number, log)
            endings.add(status)

            assert status in (0, -number), log.read_text()
            assert "Traceback" not in log.read_text()
            reap_orphans(run.root)
            await_equal(run.root, before)
            assert [*folder.iterdir()] in ([], [image])
            assert status != 0 or image.exists()
            if image.exists() and turn % 10 == 0:
                verify(image)
        run.pass_judgement()
    finally:
        run.end()

    assert {*endings} >= {-number for number in SIGNALS}


@pytest.mark.timeout(900)
@pytest.mark.parametrize("part", range(PARTS))
def test_a_restart_that_is_interrupted(part: int, tmp_path: Path) -> None:
    """Nothing is left, or everything runs: that comes too late for a signal."""
    random.seed(part)
    name = ("tree_victim", "tree_grandchildren")[part % 2]
    run = Run(next(one for one in catalogue() if one.name == name), tmp_path)
    log = tmp_path / "log"
    try:
        run.await_ready()
        whole = census(run.root)
        image = run.checkpoint("--kill")
        restart(image, detach=True)
        end(family(run.root))
        arguments = ["restart", "--detach", str(image)]
        length = length_of(arguments, log)
        end(descendants() - run.before)
        files = sorted(tmp_path.rglob("*"))
        endings = set()
        for turn in range(COUNT):
            number = SIGNALS[turn % 2]
            status = interrupted(arguments, random.random() * length, number, log)
            endings.add(status)

            assert status in (0, -number), log.read_text()
            assert "Traceback" not in log.read_text()
            if status == 0:
                assert left_over(run)
            await_decision(run, lambda: settled(run, whole))
            end(descendants() - run.before)
            assert files == sorted(tmp_path.rglob("*"))
        run.restart(image)
        run.pass_judgement()
    finally:
        run.end()

    assert {*endings} >= {-number for number in SIGNALS}
