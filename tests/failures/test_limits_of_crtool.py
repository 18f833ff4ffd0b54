"""crtool under limits that are too small for it: real ones, set by prlimit(1), of memory, files and sizes.

Whether a limit lets a checkpoint or a restart through depends on the machine. Whatever it does, there is one line of
cause, with the status for that, the target goes on, and nothing is left behind.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ..live.harness.command import PATIENCE, cold
from .test_bad_input import runs_on

MIB = 1 << 20
LIMITS = (
    *(f"--as={size * MIB}" for size in range(20, 64, 12)),
    *(f"--data={size * MIB}" for size in range(12, 40, 8)),
    *(f"--nofile={number}" for number in (4, 16, 32)),
    f"--fsize={MIB // 64}",
)


def limited(limit: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """crtool under *limit*."""
    command = ["prlimit", limit, sys.executable, "-m", "crtool", *map(str, arguments)]
    return subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE, check=False,
        env={**os.environ, "PYTHONFAULTHANDLER": ""},
    )  # fmt: skip


def python_starts(limit: str) -> bool:
    """Whether Python can live under *limit* with what a hash needs, of which it says nothing useful otherwise."""
    code = "import hashlib, threading; hashlib.md5; bytearray(4 << 20)"
    command = ["prlimit", limit, sys.executable, "-c", code]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE, check=False)
    return (done.returncode, done.stderr) == (0, b"")


@pytest.fixture(scope="module")
def limits() -> list[str]:
    return [limit for limit in LIMITS if python_starts(limit)]


def judged(limit: str, done: subprocess.CompletedProcess[str]) -> bool:
    """Whether it went through."""
    if done.returncode == 0:
        return True
    said = done.stderr
    if said.startswith("ERROR:root:code for hash"):  # hashlib itself, of libcrypto, for which there was no memory
        said = said[said.find("crtool: ") :]
    lines = said.splitlines()
    assert 126 == done.returncode, f"{limit}: {done.stderr}"
    assert lines[0].startswith("crtool: "), f"{limit}: {done.stderr}"
    assert len(lines) <= 2, f"{limit}: {done.stderr}"
    return False


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A program with 16 MiB that nobody could compress."""
    code = "import os, signal; m = bytearray(os.urandom(16 << 20)); os.write(1, b'!'); os.close(1); signal.pause()"
    null = subprocess.DEVNULL
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=null, stdout=subprocess.PIPE, stderr=null, start_new_session=True
    ) as process:
        assert process.stdout is not None
        assert b"!" == process.stdout.read(1)
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("live", ["fork", "off"])
def test_a_checkpoint(live: str, memory: subprocess.Popen[bytes], limits: list[str], tmp_path: Path) -> None:
    refused = 0
    for limit in limits:
        done = limited(limit, "checkpoint", memory.pid, "--live", live, "-o", tmp_path / "image")

        assert runs_on(memory), limit
        if judged(limit, done):
            (tmp_path / "image").unlink()
        else:
            refused += 1
        assert [] == os.listdir(tmp_path), limit

    assert refused >= 2


def test_a_restart(memory: subprocess.Popen[bytes], limits: list[str], tmp_path: Path) -> None:
    done = cold("checkpoint", memory.pid, "--kill", "-o", tmp_path / "image")
    assert 0 == done.returncode, done.stderr
    memory.wait()
    refused = 0
    for limit in limits:
        done = limited(limit, "restart", tmp_path / "image", "--detach")

        if judged(limit, done):
            os.kill(memory.pid, signal.SIGKILL)
            os.waitpid(memory.pid, 0)
        else:
            refused += 1
        assert not Path(f"/proc/{memory.pid}").exists(), limit
        assert ["image"] == os.listdir(tmp_path), limit

    assert refused >= 2
