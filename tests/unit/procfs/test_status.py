"""/proc/PID/status."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crtool.procfs import status
from crtool.procfs.error import ProcfsError
from crtool.procfs.read import read
from crtool.procfs.status import Capabilities, Ids


def test_sample(sample: Callable[[str], bytes]) -> None:
    found = status.parse(sample("status"))

    assert (b"sleep", 0o27, "S") == (found.name, found.umask, found.state)
    assert (22870, 0, 22870, 22868, 0) == (found.tgid, found.ngid, found.pid, found.ppid, found.tracer_pid)
    assert Ids(0, 0, 0, 0) == found.uid == found.gid
    assert (256, ()) == (found.fd_size, found.groups)
    assert ((22870,), (22870,), (22812,), (2526,)) == (found.ns_tgid, found.ns_pid, found.ns_pgid, found.ns_sid)
    assert (False, False, True) == (found.kthread, found.core_dumping, found.thp_enabled)
    assert (1 << 64) - 1 == found.untag_mask
    assert (1, 6, 96365) == (found.threads, found.signals_queued, found.signals_limit)
    assert 0 == found.pending == found.shared_pending == found.blocked == found.ignored == found.caught
    assert Capabilities(0, 0x1FFFEFFFFFF, 0x1FFFEFFFFFF, 0x1FFFEFFFFFF, 0) == found.capabilities
    assert (False, 0, 0) == (found.no_new_privs, found.seccomp, found.seccomp_filters)
    assert ("vulnerable", "always enabled") == (found.speculation_store_bypass, found.speculation_indirect_branch)
    assert (frozenset({0, 1}), frozenset({0})) == (found.cpus_allowed, found.mems_allowed)
    assert frozenset() == found.x86_thread_features == found.x86_thread_features_locked


def test_a_line_is_understood_when_it_is_asked_for(sample: Callable[[str], bytes]) -> None:
    text = sample("status")
    found, broken = status.later(text), status.later(text.replace(b"NSpid:", b"NSpit:"))

    assert 96365 == found.signals_limit
    assert found == status.parse(text)
    assert status.parse(text).own_memory == found.own_memory == broken.own_memory > 0
    with pytest.raises(ProcfsError):
        _ = broken.ns_pid
    with pytest.raises(AttributeError):
        _ = found.nothing  # type: ignore[attr-defined]


def test_sample_of_memory(sample: Callable[[str], bytes]) -> None:
    memory = status.parse(sample("status")).memory

    assert memory is not None
    assert (2920, 2920, 1804, 132, 1528, 40) == tuple(
        size // 1024
        for size in (memory.peak, memory.size, memory.resident, memory.stack, memory.libraries, memory.page_tables)
    )
    assert memory.resident == memory.resident_anonymous + memory.resident_file + memory.resident_shared


def test_sample_of_a_zombie(sample: Callable[[str], bytes]) -> None:
    found = status.parse(sample("status_zombie"))

    assert found.is_zombie
    assert (None, None, None, None) == (found.umask, found.memory, found.core_dumping, found.untag_mask)
    assert 1 << signal.SIGKILL - 1 == found.shared_pending


def test_sample_of_a_kernel_thread(sample: Callable[[str], bytes]) -> None:
    found = status.parse(sample("status_kthread"))

    assert found.kthread
    assert found.memory is None
    assert (1 << 64) - 1 == found.ignored


def test_nested_namespaces_groups_and_features(sample: Callable[[str], bytes]) -> None:
    data = (
        sample("status")
        .replace(b"NSpid:\t22870", b"NSpid:\t22870\t31\t1")
        .replace(b"Groups:\t ", b"Groups:\t4 24 1000 ")
        .replace(b"Uid:\t0\t0\t0\t0", b"Uid:\t1\t2\t3\t4")
        + b"x86_Thread_features:\tshstk wrss \nx86_Thread_features_locked:\tshstk \n"
    )

    found = status.parse(data)

    assert ((22870, 31, 1), (4, 24, 1000)) == (found.ns_pid, found.groups)
    assert Ids(real=1, effective=2, saved=3, filesystem=4) == found.uid
    assert (frozenset({"shstk", "wrss"}), frozenset({"shstk"})) == (
        found.x86_thread_features,
        found.x86_thread_features_locked,
    )


@pytest.mark.parametrize(
    ("old", "new", "value"),
    [
        (b"Tgid:", b"Tgod:", b"Tgid"),
        (b"Pid:\t22870\nPPid", b"Pid:\tx\nPPid", b"Pid:\tx"),
        (b"Uid:\t0\t0\t0\t0", b"Uid:\t0\t0\t0", b"Uid:\t0\t0\t0"),
        (b"SigQ:\t6/96365", b"SigQ:\t6", b"SigQ:\t6"),
        (b"VmLck:\t       0 kB", b"VmLck:\t       0 MB", b"VmLck:\t0 MB"),
        (b"State:\tS (sleeping)", b"State:\t", b"State:\t"),
        (b"Cpus_allowed:\t3", b"Cpus_allowed:\tx", b"x"),
        (b"Mems_allowed_list:\t0", b"Mems_allowed_list:\t0-x", b"0-x"),
    ],
)
def test_bad_line(sample: Callable[[str], bytes], old: bytes, new: bytes, value: bytes) -> None:
    data = sample("status")
    assert old in data
    with pytest.raises(ProcfsError) as caught:
        status.parse(data.replace(old, new))

    assert ("status", value) == (caught.value.file, caught.value.value)


@given(st.binary())
def test_any_bytes(data: bytes) -> None:
    with pytest.raises(ProcfsError):
        status.parse(data)


@given(st.frozensets(st.integers(0, 300)))
def test_mask(numbers: frozenset[int]) -> None:
    digits = f"{sum(1 << number for number in numbers):0{8 * 10}x}"
    text = ",".join(digits[at : at + 8] for at in range(0, len(digits), 8)).encode()

    assert numbers == status.parse_mask(text)


@pytest.mark.parametrize(
    ("text", "numbers"), [(b"", []), (b"0", [0]), (b"0-3", [0, 1, 2, 3]), (b"0-1,7,9-10", [0, 1, 7, 9, 10])]
)
def test_list(text: bytes, numbers: list[int]) -> None:
    assert frozenset(numbers) == status.parse_list(text)


@pytest.mark.parametrize("text", [b"a", b"1-x", b","])
def test_bad_list(text: bytes) -> None:
    with pytest.raises(ProcfsError):
        status.parse_list(text)


def test_this_process() -> None:
    pid = os.getpid()
    found = status.parse(read(pid, "status"))

    assert (pid, pid, os.getppid(), "R") == (found.tgid, found.pid, found.ppid, found.state)
    assert Ids(*os.getresuid(), os.geteuid()) == found.uid
    assert Ids(*os.getresgid(), os.getegid()) == found.gid
    assert set(os.getgroups()) == set(found.groups)
    assert os.sched_getaffinity(0) == found.cpus_allowed
    assert pid == found.ns_pid[0]
    assert threading.active_count() <= found.threads


def test_signals_and_umask_of_a_child() -> None:
    """In a child with one thread: a signal to a process may end up in any thread that does not block it."""
    reader, writer = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            os.umask(0o31)
            signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2, signal.SIGRTMAX])
            signal.signal(signal.SIGUSR1, signal.SIG_IGN)
            signal.signal(signal.SIGALRM, lambda *_: None)
            os.kill(os.getpid(), signal.SIGUSR2)
            os.write(writer, b"x")
            signal.pause()
        finally:
            os._exit(4)
    try:
        os.read(reader, 1)
        found = status.parse(read(pid, "status"))
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(reader)
        os.close(writer)

    assert (pid, os.getpid(), 0o31, 1) == (found.pid, found.ppid, found.umask, found.threads)
    assert 1 << signal.SIGUSR2 - 1 | 1 << signal.SIGRTMAX - 1 == found.blocked
    assert (0, 1 << signal.SIGUSR2 - 1) == (found.pending, found.shared_pending)
    assert found.ignored >> signal.SIGUSR1 - 1 & 1
    assert found.caught >> signal.SIGALRM - 1 & 1


@pytest.mark.parametrize("name", [b"a\\b", b"a\\nb", b"a\nb", b"\\\\n\n\\", b"\xff \t)("])
def test_a_name_that_the_kernel_escapes(name: bytes) -> None:
    names = []

    def look() -> None:
        tid = threading.get_native_id()
        Path(f"/proc/self/task/{tid}/comm").write_bytes(name)
        names.append(status.parse(read(os.getpid(), "status", tid)).name)

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()

    assert [name] == names


def test_a_zombie(zombie: int) -> None:
    assert status.parse(read(zombie, "status")).is_zombie


def test_every_process_can_be_parsed() -> None:
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            data = (folder / "status").read_bytes()
        except OSError:
            continue
        assert int(folder.name) == status.parse(data).tgid
