"""Locks that somebody else has by the time of a restart."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from .harness import processes
from .harness.command import crtool

TAKE = {
    "flock": "fcntl.flock(fd, fcntl.LOCK_EX)",
    "posix": "fcntl.lockf(fd, fcntl.LOCK_EX)",
}


@pytest.mark.parametrize("kind", TAKE)
def test_taken(kind: str, tmp_path: Path) -> None:
    """The restart names the file and who has it locked, and nothing is left of it; then it works."""
    file, image = tmp_path / "file", tmp_path / "image"
    program = (
        f"import fcntl, os, time; fd = os.open({str(file)!r}, os.O_RDWR | os.O_CREAT); {TAKE[kind]};"
        f" open({str(tmp_path / 'ready')!r}, 'w').close(); time.sleep(60)"
    )
    nothing = subprocess.DEVNULL
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=nothing, stdout=nothing, stderr=nothing, start_new_session=True
    ) as target:
        processes.Deadline(30, "ready").wait_until((tmp_path / "ready").exists)
        done = crtool("checkpoint", str(target.pid), "--kill", "-o", str(image))
        assert done.returncode == 0, done.stderr
        assert target.wait(30) == -signal.SIGKILL
    with open(file, "r+b") as mine:
        fcntl.flock(mine, fcntl.LOCK_EX)
        fcntl.lockf(mine, fcntl.LOCK_EX)
        done = crtool("restart", str(image), "--detach")
        assert done.returncode == 126
        assert f"{file} is locked by PID {os.getpid()}" in done.stderr
        with pytest.raises(ProcessLookupError):
            os.kill(target.pid, 0)
    done = crtool("restart", str(image), "--detach")
    assert done.returncode == 0, done.stderr
    processes.end({target.pid})
