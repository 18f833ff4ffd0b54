"""/proc/PID/stat and /proc/PID/statm."""

from __future__ import annotations

import mmap
import os
import resource
import signal
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crtool.procfs import stat
from crtool.procfs.error import ProcfsError
from crtool.procfs.read import read


def test_sample(sample: Callable[[str], bytes]) -> None:
    found = stat.parse(sample("stat"))

    assert (22870, b"sleep", "S", 22868, 22812, 2526) == (
        found.pid,
        found.comm,
        found.state,
        found.ppid,
        found.pgrp,
        found.session,
    )
    assert (0, -1, 4194304) == (found.tty_nr, found.tpgid, found.flags)
    assert (20, 0, 1, 733249) == (found.priority, found.nice, found.num_threads, found.starttime)
    assert (2990080, 424, (1 << 64) - 1) == (found.vsize, found.rss, found.rsslim)
    assert (94388635942912, 94388635960841, 140720829898544) == (found.start_code, found.end_code, found.startstack)
    assert (signal.SIGCHLD, 0, 0, 0) == (found.exit_signal, found.processor, found.rt_priority, found.policy)
    assert (94388635974928, 94388635976192, 94388703748096) == (found.start_data, found.end_data, found.start_brk)
    assert (140720829901532, 140720829901542) == (found.arg_start, found.arg_end)
    assert (140720829901542, 140720829902825, 0) == (found.env_start, found.env_end, found.exit_code)
    assert not found.is_zombie
    assert not found.is_kernel_thread
    assert found.tty is None


def test_sample_of_a_zombie(sample: Callable[[str], bytes]) -> None:
    found = stat.parse(sample("stat_zombie"))

    assert found.is_zombie
    assert os.WIFSIGNALED(found.exit_code)
    assert signal.SIGKILL == os.WTERMSIG(found.exit_code)


def test_sample_of_a_kernel_thread(sample: Callable[[str], bytes]) -> None:
    found = stat.parse(sample("stat_kthread"))

    assert found.is_kernel_thread
    assert 0 == found.start_code


@given(st.binary(max_size=15).filter(lambda name: b"\0" not in name))
def test_any_name(name: bytes) -> None:
    line = b"7 (%s) S 1 7 7 34816 7 4194304" % name + b" 0" * 43 + b"\n"

    found = stat.parse(line)

    assert (7, name, "S", 1, (136, 0)) == (found.pid, found.comm, found.state, found.ppid, found.tty)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"7",
        b"7 (a) S",
        b"7 (a) S" + b" 0" * 48,
        b"x (a) S" + b" 0" * 49,
        b"7 (a) S" + b" x" * 49,
        b"7 (a) SS" + b" 0" * 49,
    ],
)
def test_bad(data: bytes) -> None:
    with pytest.raises(ProcfsError) as caught:
        stat.parse(data)

    assert ("stat", data) == (caught.value.file, caught.value.value)


@given(st.binary())
def test_any_bytes(data: bytes) -> None:
    for whole in (data, b"7 (a) " + data, b"7 (a) S" + b" 0" * 49 + data):
        try:
            stat.parse(whole)
        except ProcfsError:
            continue


def test_a_later_kernel_may_add_fields() -> None:
    assert 7 == stat.parse(b"7 (a) S" + b" 0" * 60).pid


def test_this_process() -> None:
    pid = os.getpid()

    found = stat.parse(read(pid, "stat"))

    assert (pid, os.getppid(), os.getpgrp(), os.getsid(0)) == (found.pid, found.ppid, found.pgrp, found.session)
    assert "R" == found.state
    assert os.getpriority(os.PRIO_PROCESS, 0) == found.nice
    assert os.sched_getscheduler(0) == found.policy
    assert threading.active_count() <= found.num_threads
    assert found.arg_end - found.arg_start == len(read(pid, "cmdline"))
    assert found.start_code < found.end_code
    assert resource.getrlimit(resource.RLIMIT_RSS)[0] in (found.rsslim, resource.RLIM_INFINITY)


def test_a_name_that_lies() -> None:
    """A name can be made to look like the fields that follow it, over two lines."""
    names = []

    def look() -> None:
        tid = threading.get_native_id()
        Path(f"/proc/self/task/{tid}/comm").write_bytes(b"a) Z 1 (b\n) S 9")
        names.append(stat.parse(read(os.getpid(), "stat", tid)))

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()

    assert (b"a) Z 1 (b\n) S 9", "R", os.getppid()) == (names[0].comm, names[0].state, names[0].ppid)
    assert -1 == names[0].exit_signal


def test_a_zombie(zombie: int) -> None:
    found = stat.parse(read(zombie, "stat"))

    assert found.is_zombie
    assert 3 == os.waitstatus_to_exitcode(found.exit_code)


def test_statm(sample: Callable[[str], bytes]) -> None:
    assert stat.Statm(730, 451, 424, 5, 89) == stat.parse_statm(sample("statm"))
    with pytest.raises(ProcfsError):
        stat.parse_statm(b"1 2 3\n")


def test_statm_of_this_process() -> None:
    found = stat.parse_statm(read(os.getpid(), "statm"))

    assert 0 < found.shared < found.resident < found.size
    assert found.size * mmap.PAGESIZE == pytest.approx(stat.parse(read(os.getpid(), "stat")).vsize, rel=0.1)
