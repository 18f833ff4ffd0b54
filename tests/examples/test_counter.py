"""A program that saves itself, and what it is told on both sides."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


def _run(folder: Path, *command: str | Path) -> str:
    with open(folder / "log", "ab") as log:
        subprocess.run(
            command, cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, check=True,
            timeout=120, env={**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(folder)}, start_new_session=True,
        )  # fmt: skip
    # A restart says that the log has grown meanwhile.
    return "".join(line for line in (folder / "log").open() if "warning" not in line)


def test_saved_and_restarted(tmp_path):
    assert "saved with a total of 15\n" == _run(tmp_path, sys.executable, ROOT / "examples" / "counter.py")
    assert ["counter.crt", "log"] == sorted(os.listdir(tmp_path))

    expected = "saved with a total of 15\n"
    for _ in range(2):
        expected += "restarted with a total of 15\nthe total is 55\n"
        assert expected == _run(tmp_path, sys.executable, "-m", "crtool", "restart", "-q", "counter.crt")


def test_what_goes_wrong_is_told(tmp_path):
    (tmp_path / "image.crt").touch()
    code = (
        "import crtool\n"
        "try: crtool.checkpoint_self('image.crt')\n"
        "except crtool.CrtoolError as error: print(error.status, error, error.remedy, sep='\\n')\n"
    )
    status, cause, remedy = _run(tmp_path, sys.executable, "-c", code).splitlines()

    assert "120" == status
    assert cause.endswith("image.crt: exists already")
    assert "choose another name with -o, or replace it with --force" == remedy
    assert ["image.crt", "log"] == sorted(os.listdir(tmp_path))


def test_killed_once_it_is_safe(tmp_path):
    code = "import crtool; print(crtool.checkpoint_self('image.crt', leave='killed'), flush=True)"
    with pytest.raises(subprocess.CalledProcessError) as ended:
        _run(tmp_path, sys.executable, "-c", code)

    assert -9 == ended.value.returncode
    assert "restarted\n" == _run(tmp_path, sys.executable, "-m", "crtool", "restart", "-q", "image.crt")


def test_who_adopts_orphans_is_refused(tmp_path):
    code = (
        "import ctypes, crtool\n"
        "ctypes.CDLL(None).prctl(36, 1)\n"
        "try: crtool.checkpoint_self('image.crt')\n"
        "except crtool.UsageError as error: print(error)\n"
    )

    assert "a process that adopts orphans cannot save itself\n" == _run(tmp_path, sys.executable, "-c", code)
