"""A thousand processes in one tree come back right; long form: CRTOOL_LONG=1."""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest

from crtool.engine.checkpoint import checkpoint
from crtool.engine.restart import restart

from .harness.processes import Deadline, all_ended, reap_all
from .test_forest import table

SOURCE = Path(__file__).with_name("thousand.c")
ZOMBIES = 90


@pytest.mark.machine("the long form (CRTOOL_LONG=1)")
def test_a_thousand_processes(tmp_path: Path) -> None:
    """In /proc, and in their own eyes: their numbers in PID namespaces, parents, groups, sessions, zombies."""
    program, said = tmp_path / "thousand", tmp_path / "said"
    subprocess.run(["gcc", "-O1", "-Wall", "-Werror", "-o", str(program), str(SOURCE)], check=True)
    with all_ended():
        with open(said, "wb") as out:
            root = subprocess.Popen(
                [str(program)], stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd=tmp_path, start_new_session=True
            ).pid
        Deadline(120, "a thousand births").wait_until(lambda: said.read_bytes() == b"ready\n")
        before = table(root)
        assert 1000 == len(before)
        assert ZOMBIES == sum(row[5] == "Z" for row in before)
        assert 180 == sum(len(row[0]) > 1 for row in before) - 18

        checkpoint(root, tmp_path / "x.crt", leave="killed")
        reap_all(row[0][0] for row in before)
        restart(tmp_path / "x.crt", detach=True, pidns=False)

        assert before == table(root)
        for row in before:
            if row[5] != "Z":
                os.kill(row[0][0], signal.SIGUSR1)

        def count() -> int:
            os.kill(root, signal.SIGTERM)
            with suppress(IndexError, ValueError):
                return int(said.read_text().split()[-1])
            return 0

        Deadline(60, "everybody's look").wait_until(lambda: count() >= 1000 - ZOMBIES)
        assert 1000 - ZOMBIES == count()
