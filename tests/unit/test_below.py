"""Who is below this process: nobody is missed because others were asked before."""

from __future__ import annotations

import os
import signal
import subprocess

import pytest

from tests import below


def test_children_and_theirs_parents_first() -> None:
    below.parents()
    with subprocess.Popen(["sh", "-c", "sleep 1000 & echo $!; wait"], stdout=subprocess.PIPE) as shell:
        assert shell.stdout is not None
        sleep = int(shell.stdout.readline())
        found = below.parents()
        assert (os.getpid(), shell.pid) == (found[shell.pid], found[sleep])
        assert [shell.pid, sleep] == [pid for pid in found if pid in (shell.pid, sleep)]
        assert [sleep] == below.children(shell.pid) == below.below(shell.pid)
        assert shell.pid in below.children(os.getpid())
        assert sleep not in below.children(os.getpid())
        os.kill(sleep, signal.SIGKILL)
        shell.wait()
        assert not {shell.pid, sleep} & {*below.parents()}


def test_the_dead_that_nobody_has_waited_for() -> None:
    pid = os.posix_spawn("/bin/true", ["true"], {})
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    assert os.getpid() == below.parents()[pid]
    os.waitpid(pid, 0)
    assert pid not in below.parents()


def test_strangers_are_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    below.parents()
    assert 1 in below._strangers
    asked = []
    monkeypatch.setattr(below, "_parent", lambda pid, ask=below._parent: asked.append(pid) or ask(pid))
    with subprocess.Popen(["sleep", "1000"]) as process:
        assert process.pid in below.parents()
        process.kill()
    assert process.pid in asked
    assert 1 not in asked


def test_another_process_of_a_number_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    with subprocess.Popen(["sleep", "1000"]) as process:
        monkeypatch.setitem(below._strangers, process.pid, os.stat(f"/proc/{process.pid}").st_ino - 1)
        assert process.pid in below.parents()
        monkeypatch.setitem(below._strangers, process.pid, os.stat(f"/proc/{process.pid}").st_ino)
        assert process.pid not in below.parents()
        process.kill()


def test_who_has_lost_an_ancestor_meanwhile_is_no_stranger(monkeypatch: pytest.MonkeyPatch) -> None:
    with subprocess.Popen(["sleep", "1000"]) as process:
        with monkeypatch.context() as patch:
            patch.setattr(below, "_parent", lambda pid, ask=below._parent: -1 if pid == process.pid else ask(pid))
            assert process.pid not in below.parents()
        assert process.pid in below.parents()
        process.kill()
