"""Trees that are in the middle of vfork most of the time: many shells start every command so."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import crtool
from crtool.procfs import status
from crtool.procfs.read import read

from .harness import processes

ROUNDS = 60
NULL = subprocess.DEVNULL


def test_a_shell_that_starts_commands_all_the_time(tmp_path: Path) -> None:
    """None of the checkpoints fails, and afterwards nobody is left standing still."""
    log = tmp_path / "log"
    shell = subprocess.Popen(
        ["dash", "-c", f"while :; do /bin/true; echo x >>{log}; done"], stdin=NULL, stdout=NULL, stderr=NULL
    )
    try:
        while not log.exists():
            time.sleep(0.01)
        for _ in range(ROUNDS):
            crtool.checkpoint(shell.pid, tmp_path / "image.crt", force=True)
        before = log.stat().st_size
        time.sleep(0.5)

        assert 0 == status.parse(read(shell.pid, "status")).tracer_pid
        assert before < log.stat().st_size
    finally:
        shell.kill()
        shell.wait()
        processes.end(processes.descendants())  # what it had just started
