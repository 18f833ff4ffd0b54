"""The layers of docs/internals.md, and the one door to each library, as ``.importlinter`` has them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from . import ROOT


def test_nobody_imports_upwards():
    command = Path(sys.executable).parent / "lint-imports"
    done = subprocess.run([command, "--no-cache"], cwd=ROOT, capture_output=True, text=True)

    assert 0 == done.returncode, done.stdout[done.stdout.find("Contracts") :] + done.stderr
