"""What -v and -vv tell of real work."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from crtool.cli.story import DONE

from .harness.processes import descendants, end

CRTOOL = [sys.executable, "-m", "crtool"]


@pytest.fixture
def sleeper() -> Iterator[int]:
    before = descendants()
    null = subprocess.DEVNULL
    process = subprocess.Popen(["sleep", "1000"], stdin=null, stdout=null, stderr=null, start_new_session=True)
    yield process.pid
    end(descendants() - before)
    process.wait()


def test_every_stage_has_its_line(sleeper: int, tmp_path: Path) -> None:
    saved = subprocess.run([*CRTOOL, "checkpoint", "-v", str(sleeper), "-o", tmp_path / "x.crt"], capture_output=True)
    clone = subprocess.run([*CRTOOL, "clone", "-dv", str(sleeper)], capture_output=True, text=True)
    assert (0, 0) == (saved.returncode, clone.returncode), saved.stderr.decode() + clone.stderr
    told = clone.stderr.splitlines()

    for stage, what in DONE.items():
        assert any(line.startswith(f"{stage} ") and line.endswith(what) for line in told), (stage, told)
    for stage in ("freeze", "memory", "commit"):
        assert f"{stage:10} " in saved.stderr.decode()


# Each thread takes some lines.
_READER = """
import sys, threading, time
for _ in range(40): threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()
print(sys.stdin.read())
"""


def test_a_target_that_reads_what_is_told_does_not_stop_it(tmp_path: Path) -> None:
    """As with a terminal that is saved from one of its own windows: while it stands still nobody reads."""
    ours, theirs = os.pipe()
    fcntl.fcntl(theirs, fcntl.F_SETPIPE_SZ, 4096)
    with open(tmp_path / "told", "wb") as told:
        reader = subprocess.Popen(
            [sys.executable, "-c", _READER], stdin=ours, stdout=told, stderr=subprocess.DEVNULL, start_new_session=True
        )
    os.close(ours)
    command = [*CRTOOL, "checkpoint", "-vv", "--stdio", "inherit", str(reader.pid), "-o", tmp_path / "x.crt"]
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=theirs, timeout=60)
    finally:
        os.close(theirs)
        reader.wait(60)

    assert 0 == done.returncode
    text = (tmp_path / "told").read_text()
    assert len(text) > 3 * 4096
    assert text.index("crtool.batch: PID ") < text.index("freeze ")
