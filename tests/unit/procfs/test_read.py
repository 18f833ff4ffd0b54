"""Reading files of a process, and what becomes of the errors."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from pathlib import Path

import pytest

from crtool.errors import TargetDied, TargetError
from crtool.procfs import read as procfs
from crtool.procfs.error import NoSuchFile, ProcfsError

KTHREADD = 2
"""A kernel thread, where one is in sight."""


def test_reads_a_file_of_a_process() -> None:
    assert Path("/proc/self/cmdline").read_bytes() == procfs.read(os.getpid(), "cmdline")


def test_reads_a_file_of_a_thread() -> None:
    names = []

    def look() -> None:
        tid = threading.get_native_id()
        Path(f"/proc/self/task/{tid}/comm").write_bytes(b"other")
        names.append(procfs.read(os.getpid(), "comm", tid))

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()

    assert [b"other\n"] == names


def test_reads_more_than_one_piece() -> None:
    """An environment of 200 kB comes whole."""
    environment = {f"N{number}": "x" * 50_000 for number in range(4)}
    with subprocess.Popen(["sleep", "1000"], env={**os.environ, **environment}) as process:
        try:
            while procfs.read(process.pid, "comm") != b"sleep\n":
                time.sleep(0.001)

            assert sum(map(len, environment.values())) < len(procfs.read(process.pid, "environ"))
        finally:
            process.kill()


def test_a_process_that_is_gone(nobody: int) -> None:
    with pytest.raises(TargetDied) as caught:
        procfs.read(nobody, "stat")

    assert nobody == caught.value.pid


def test_a_thread_that_is_gone(nobody: int) -> None:
    with pytest.raises(TargetDied) as caught:
        procfs.read(os.getpid(), "stat", nobody)

    assert nobody == caught.value.pid


def test_a_zombie_lacks_files(zombie: int) -> None:
    with pytest.raises(TargetDied):
        procfs.read_link(zombie, "ns/mnt")

    assert b" Z " in procfs.read(zombie, "stat")


def test_a_file_that_does_not_exist() -> None:
    with pytest.raises(NoSuchFile, match=f"PID {os.getpid()}: there is no /proc/{os.getpid()}/nonsense"):
        procfs.read(os.getpid(), "nonsense")

    assert b"?" == procfs.read(os.getpid(), "nonsense", missing=b"?")


def test_missing_does_not_hide_a_death(nobody: int) -> None:
    with pytest.raises(TargetDied):
        procfs.read(nobody, "nonsense", missing=b"")


@pytest.mark.machine("a kernel thread in sight")
def test_a_kernel_thread_without_memory_is_not_dead() -> None:
    assert procfs.alive(KTHREADD)
    with pytest.raises(NoSuchFile):
        procfs.read(KTHREADD, "auxv")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become somebody else")
def test_a_file_that_may_not_be_read(sleeper: int) -> None:
    child = os.fork()
    if not child:
        try:
            os.setresgid(65534, 65534, 65534)
            os.setresuid(65534, 65534, 65534)
            try:
                procfs.read(sleeper, "auxv")
            except TargetDied:
                os._exit(2)
            except TargetError as error:
                os._exit(0 if "not permitted" in error.message and error.remedy else 3)
            os._exit(1)
        finally:
            os._exit(4)

    assert 0 == os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_alive(sleeper: int, zombie: int, nobody: int) -> None:
    assert procfs.alive(sleeper)
    assert not procfs.alive(zombie)
    assert not procfs.alive(nobody)


def test_links_and_what_they_lead_to() -> None:
    pid = os.getpid()

    assert os.readlink(b"/proc/self/exe") == procfs.read_link(pid, "exe")
    assert os.path.samestat(os.stat("/proc/self/exe"), procfs.stat_of(pid, "exe"))
    fd = procfs.open_file(pid, "cwd", os.O_PATH)
    try:
        assert not os.get_inheritable(fd)
        assert os.path.samestat(os.stat("."), os.fstat(fd))
    finally:
        os.close(fd)


def test_a_link_of_any_bytes() -> None:
    name = b"/tmp/\xff\n %d" % os.getpid()
    fd = os.open(name, os.O_CREAT | os.O_RDWR)
    try:
        assert name == procfs.read_link(os.getpid(), f"fd/{fd}")
    finally:
        os.close(fd)
        os.unlink(name)


def test_entries() -> None:
    assert str(os.getpid()) in procfs.entries(os.getpid(), "task")


def test_proc_is_opened_once_and_is_not_inherited() -> None:
    assert procfs.proc_root() == procfs.proc_root()
    assert not os.get_inheritable(procfs.proc_root())


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root for chroot")
def test_a_chroot_does_not_matter(tmp_path: Path, sleeper: int) -> None:
    procfs.proc_root()
    child = os.fork()
    if not child:
        try:
            os.chroot(tmp_path)
            os._exit(0 if procfs.read(sleeper, "comm") == b"sleep\n" else 1)
        finally:
            os._exit(4)

    assert 0 == os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_a_long_offending_value_is_cut_in_the_message() -> None:
    error = ProcfsError("maps", b"x" * 10_000)

    assert 10_000 == len(error.value)
    assert len(error.message) < 300
    assert error.message.startswith("/proc/PID/maps: cannot understand 'xxx")
