"""What check says of this machine and of living processes."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from crtool import check
from crtool.errors import TargetError
from crtool.kernel import features

from .harness import processes


@pytest.fixture
def sleeper() -> Iterator[int]:
    null = subprocess.DEVNULL
    process = subprocess.Popen(["sleep", "1000"], stdin=null, stdout=null, stderr=null, start_new_session=True)
    try:
        yield process.pid
    finally:
        process.kill()
        process.wait()


def test_a_machine_that_runs_these_tests_has_what_is_needed() -> None:
    report = check()

    assert [feature.name for feature in report.features if feature.needed and not feature.available] == []
    assert report.obstacles == ()
    assert report.estimated_size is None


def test_probes_leave_no_child_and_no_descriptor() -> None:
    children = set(Path(f"/proc/{os.getpid()}/task/{os.getpid()}").glob("children"))
    before = len(os.listdir("/proc/self/fd")), children

    list(features.probe_all())

    assert before == (len(os.listdir("/proc/self/fd")), children)


def test_every_probe_says_what_it_is_for_in_one_line() -> None:
    for probe in features.probe_all():
        assert probe.detail
        assert "\n" not in probe.detail


def test_a_probe_that_fails_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_arguments: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr("crtool.kernel.ptrace.seize", forbidden)
    found = {probe.name: probe for probe in features.probe_all()}

    assert not found["ptrace"].available
    assert found["ptrace"].needed
    assert found["ptrace"].detail.endswith(": Operation not permitted")


def test_a_process_without_obstacles(sleeper: int) -> None:
    report = check(sleeper)

    assert report.obstacles == ()
    assert report.estimated_size is not None
    assert 4096 <= report.estimated_size < 1 << 24


def test_the_size_of_an_image_is_estimated() -> None:
    program = "x = bytearray(range(256)) * (32 << 12); print('ready', flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", program], stdin=-1, stdout=-1) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()
            report = check(process.pid)
        finally:
            process.kill()

    size = report.estimated_size
    assert size is not None
    assert 32 << 20 <= size < 64 << 20
    # A fork of 32 MiB takes less than to copy them.
    assert report.estimated_frozen_seconds is not None
    assert report.estimated_copy_seconds is not None
    assert 0 < report.estimated_frozen_seconds < report.estimated_copy_seconds


def test_all_obstacles_of_a_tree_at_once_and_nothing_is_touched() -> None:
    """One process holds a socket to the host of a virtual machine, its child another one."""
    program = (
        "import os, socket, time; a = socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM)\n"
        "if os.fork() == 0: b = socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM)\n"
        "os.write(1, b'!'); time.sleep(1000)"
    )
    reading, writing = os.pipe()
    with subprocess.Popen([sys.executable, "-c", program], stdout=writing, start_new_session=True) as process:
        try:
            seen = b""
            while len(seen) < 2:
                seen += os.read(reading, 2)
            report = check(process.pid)
            status = Path(f"/proc/{process.pid}/status").read_text()
        finally:
            members = processes.family(process.pid)
            process.kill()
            process.wait()
            processes.end(members - {process.pid})
            os.close(reading)
            os.close(writing)

    sockets = [obstacle for obstacle in report.obstacles if "socket" in str(obstacle)]
    assert len({obstacle.pid for obstacle in sockets}) == 2
    assert all(obstacle.what.startswith("fd ") and obstacle.cause and obstacle.remedy for obstacle in report.obstacles)
    assert "TracerPid:\t0" in status
    assert "State:\tS" in status


def test_a_process_that_is_none() -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()

    with pytest.raises(TargetError, match=str(gone.pid)):
        check(gone.pid)


def test_a_socket_of_our_own_is_no_obstacle_for_others(sleeper: int) -> None:
    with socket.socket():
        assert check(sleeper).obstacles == ()
