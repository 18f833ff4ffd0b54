"""The first thing that a new user runs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_quickstart_ends_with_the_right_result(tmp_path):
    environment = {**os.environ, "CRTOOL_VENV": sys.prefix, "TMPDIR": str(tmp_path)}
    done = subprocess.run(
        [ROOT / "examples" / "quickstart.sh"],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
    )

    assert 0 == done.returncode, done.stdout
    assert "Not one of 401 lines differs." in done.stdout
    assert [] == list(tmp_path.iterdir())
