"""How long crtool takes to start: what is asked of it a thousand times a day."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROUNDS = 9
CRTOOL = Path(sys.executable).parent / "crtool"


def _seconds(*command: str | Path) -> float:
    """The CPU time that *command* takes: what else runs on the machine matters little to it."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert 0 == process.returncode
    return used.ru_utime + used.ru_stime


def test_the_version_takes_no_more_than_four_starts_of_python() -> None:
    """By turns, so that both meet the machine in the same mood; the least of each is nearest to what it needs."""
    assert CRTOOL.exists()
    pairs = [(_seconds(sys.executable, "-c", "pass"), _seconds(CRTOOL, "--version")) for _ in range(ROUNDS)]
    nothing, version = (min(times) for times in zip(*pairs, strict=True))

    assert version <= 4 * nothing, f"{version / nothing:.1f} times as long: {version:.3f} s and {nothing:.3f} s"
