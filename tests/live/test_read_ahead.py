"""What posix_fadvise(2) was told comes back, in each combination: the kernel's own memory tells."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from crtool.kernel import read_ahead
from crtool.kernel.process import pidfd_getfd, pidfd_open

from .harness.command import crtool
from .harness.processes import Deadline, all_ended, end

pytestmark = pytest.mark.machine("bpf")

FIRST = 30
HOLDER = f"""
import os, signal
for advice in range(8):
    fd = os.open("file", os.O_RDWR | os.O_CREAT)
    for bit, order in ((1, os.POSIX_FADV_SEQUENTIAL), (2, os.POSIX_FADV_RANDOM), (4, os.POSIX_FADV_NOREUSE)):
        if advice & bit:
            os.posix_fadvise(fd, 0, 0, order)
    os.dup2(fd, {FIRST} + advice)
print("ready", flush=True)
signal.pause()
"""


def told(pid: int) -> list[int]:
    """What is known of the files of *pid*."""
    kept = read_ahead.prepare()
    assert kept is not None
    assert "/sys/kernel/btf/" not in Path("/proc/self/maps").read_text()  # or nobody could save us
    pidfd, found = pidfd_open(pid), []
    try:
        for number in range(8):
            fd = pidfd_getfd(pidfd, FIRST + number)
            found.append(kept.of(fd))
            os.close(fd)
    finally:
        os.close(pidfd)
    return found


def test_all_that_a_file_was_told_comes_back(tmp_path: Path) -> None:
    said = tmp_path / "said"
    with all_ended():
        with open(said, "wb") as out:
            process = subprocess.Popen(
                [sys.executable, "-c", HOLDER], stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd=tmp_path,
                start_new_session=True,
            )  # fmt: skip
        Deadline(60, "its files").wait_until(lambda: b"\n" in said.read_bytes())
        before = told(process.pid)
        if before != [*range(8)] and before != [*range(4)] * 2:  # POSIX_FADV_NOREUSE does something since 6.3
            pytest.skip(f"the file system of {tmp_path} cannot be told how it is read")

        done = crtool("checkpoint", process.pid, "-o", tmp_path / "image", "--kill")
        assert 0 == done.returncode, done.stderr
        process.wait()
        done = crtool("restart", tmp_path / "image", "--detach")
        assert 0 == done.returncode, done.stderr

        assert before == told(process.pid)
        end([process.pid])
