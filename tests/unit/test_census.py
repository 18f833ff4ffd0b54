"""The census around tests finds what is left, or it would be worth nothing."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

from tests import census


def left(tmp_path: Path, before: census.Census) -> list[str]:
    return census.take(os.fsencode(tmp_path)).left(before)


def test_processes_and_their_children(tmp_path: Path) -> None:
    before = census.take(os.fsencode(tmp_path))
    assert [] == left(tmp_path, before)
    with subprocess.Popen(["sh", "-c", "sleep 1000 & echo; wait"], stdout=subprocess.PIPE) as shell:
        assert shell.stdout is not None
        shell.stdout.read(1)
        found = census.take(os.fsencode(tmp_path)).processes - before.processes
        assert 2 == len(found)
        assert 2 == len([word for word in left(tmp_path, before) if word.startswith("process ")])
        census.end(found)
    assert [] == census.settled(before, os.fsencode(tmp_path), descriptors=False)


def test_the_dead_that_nobody_has_waited_for(tmp_path: Path) -> None:
    before = census.take(os.fsencode(tmp_path))
    pid = os.posix_spawn("/bin/true", ["true"], {})
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    assert [word for word in left(tmp_path, before) if f"process {pid} " in word]
    os.waitpid(pid, 0)
    assert [] == left(tmp_path, before)


def test_descriptors_and_files(tmp_path: Path) -> None:
    before = census.take(os.fsencode(tmp_path))
    fd = os.open("/dev/zero", os.O_RDONLY)
    assert [f"descriptor {fd}: /dev/zero"] == left(tmp_path, before)
    os.close(fd)
    (tmp_path / ".x.crt.0123456789abcdef").touch()
    assert [str(tmp_path / ".x.crt.0123456789abcdef")] == census.left_in(tmp_path)
    (tmp_path / ".x.crt.0123456789abcdef").unlink()


def test_signals_end_what_is_left(tmp_path: Path) -> None:
    with subprocess.Popen(["sleep", "1000"]) as process:
        census.end(frozenset({process.pid}))
        assert -signal.SIGKILL == process.wait()
