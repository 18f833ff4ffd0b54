"""What the shells offer when TAB is pressed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def sleeper() -> Iterator[int]:
    """A process with a command line that nobody else has."""
    process = subprocess.Popen(["sh", "-c", "read line", "sought\x1b[1m"], stdin=subprocess.PIPE)
    yield process.pid
    process.communicate()


@pytest.fixture
def crtool(tmp_path: Path) -> dict[str, str]:
    """An environment in which ``crtool`` is this one."""
    command = tmp_path / "bin" / "crtool"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m crtool "$@"\n')
    command.chmod(0o755)
    return {**os.environ, "PATH": f"{command.parent}:{os.environ['PATH']}", "HOME": str(tmp_path)}


def offered(*words: str, cwd: Path | None = None) -> list[str]:
    """What zsh is told for the last of *words*: three lines each, type, word, and help or _."""
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(sys.path),
        "_CRTOOL_COMPLETE": "zsh_complete",
        "COMP_WORDS": " ".join(("crtool", *words)),
        "COMP_CWORD": str(len(words)),
    }
    command = [sys.executable, "-m", "crtool"]
    done = subprocess.run(command, env=environment, cwd=cwd, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def test_processes_with_their_names(sleeper):
    lines = offered("checkpoint", str(sleeper)[:-1])
    at = lines.index(str(sleeper))

    assert "plain" == lines[at - 1]
    assert lines[at + 1].endswith("sh -c read line sought\\x1b[1m")


def test_a_process_that_is_given_as_an_option(sleeper):
    assert str(sleeper) in offered("checkpoint", "--tree", str(sleeper))


def test_no_kernel_threads_and_no_zombies():
    child = os.posix_spawn("/bin/true", ["true"], {})
    os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
    try:
        assert str(child) not in offered("check", "")
        assert "2" not in offered("check", "") or Path("/proc/2/cmdline").read_bytes()
    finally:
        os.waitpid(child, 0)


def test_images_and_folders(tmp_path):
    for name in ("web.crt", "work.crt", "work.txt", "other.crt"):
        (tmp_path / name).touch()

    assert ["dir", "w", "_", "plain", "web.crt", "_", "plain", "work.crt", "_"] == offered("show", "w", cwd=tmp_path)
    found = offered("restart", f"{tmp_path}/wo")
    assert ["dir", f"{tmp_path}/wo", "_", "plain", f"{tmp_path}/work.crt", "_"] == found


def test_all_files_where_there_is_no_image(tmp_path):
    (tmp_path / "work.txt").touch()

    assert ["file", "w", "_"] == offered("show", "w", cwd=tmp_path)
    assert ["file", "none/w", "_"] == offered("show", "none/w", cwd=tmp_path)


@pytest.mark.skipif(shutil.which("fish") is None, reason="fish is not installed")
def test_fish(sleeper, crtool):
    script = f'_CRTOOL_COMPLETE=fish_source crtool | source; complete -C "crtool checkpoint {sleeper}"'
    done = subprocess.run(["fish", "--private", "-c", script], env=crtool, capture_output=True, text=True, timeout=60)

    assert [str(sleeper)] == [line.partition("\t")[0] for line in done.stdout.splitlines()]
    assert "sought" in done.stdout


def test_bash(crtool, tmp_path):
    (tmp_path / "work.crt").touch()
    script = """
        eval "$(_CRTOOL_COMPLETE=bash_source crtool)" 2>/dev/null
        compopt() { :; }
        COMP_WORDS=(crtool show wo) COMP_CWORD=2 COMP_LINE='crtool show wo'
        _crtool_completion crtool wo show
        printf '%s\\n' "${COMPREPLY[@]}"
    """
    done = subprocess.run(["bash", "-c", script], env=crtool, cwd=tmp_path, capture_output=True, text=True, timeout=60)

    assert "work.crt" in done.stdout.splitlines()
