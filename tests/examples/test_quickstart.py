"""The first thing that a new user runs."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.page import differences

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
    assert differences(tuple(recorded()), done.stdout.splitlines()) is None


def recorded() -> Iterator[str]:
    """The session that stands in README.md, with … for what differs from machine to machine, and from time to time."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    session = text.partition("```console\n# examples/quickstart.sh\n…\n")[2].partition("```")[0]
    for line in filter(None, session.splitlines()):
        yield re.sub(r"/tmp/\S+/|x86_64, .*|frozen for .*|[\d.]+ [KM]iB", "…", line)
