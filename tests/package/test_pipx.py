"""crtool as pipx(1) installs it: with what it needs, in a place of its own. With CRTOOL_LONG=1: it fetches packages."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import crtool

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.machine("the long form (CRTOOL_LONG=1)")
def test_pipx_install(tmp_path: Path) -> None:
    places = {name: str(tmp_path / name.lower()) for name in ("PIPX_HOME", "PIPX_BIN_DIR", "PIPX_MAN_DIR")}
    command = [sys.executable, "-m", "pipx", "install", ROOT]
    done = subprocess.run(
        command, env={**os.environ, **places}, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=280
    )
    assert 0 == done.returncode, done.stdout + done.stderr
    found = subprocess.run(
        [tmp_path / "pipx_bin_dir" / "crtool", "--version"], capture_output=True, text=True, cwd=tmp_path
    )

    assert (0, f"crtool {crtool.__version__}\n", "") == (found.returncode, found.stdout, found.stderr)
    pages = {path.name for path in (tmp_path / "pipx_man_dir").rglob("*.[0-9]")}
    assert {path.name for path in (ROOT / "man").iterdir()} == pages
