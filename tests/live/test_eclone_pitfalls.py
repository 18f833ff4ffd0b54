"""The pitfalls of choosing PIDs, by their numbers in docs/eclone.md.

Those that concern whole trees are tested where trees are: tests/contract/test_eclone_pitfalls.py knows where.
"""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager, suppress

import pytest

from crtool.abi import clone as flag
from crtool.engine.checkpoint import checkpoint
from crtool.engine.restart import restart
from crtool.errors import EnvironmentDiffers, PidTaken
from crtool.kernel.eclone import CloneArgs, eclone
from crtool.kernel.mount import make_private, mount_proc
from crtool.kernel.ns_last_pid import is_taken
from crtool.kernel.syscall import syscall

from .forked import WALL, born, free_pid, hide_clone3, holding, in_child, nested, outermost, refused
from .harness.catalogue import catalogue
from .harness.processes import Deadline, all_ended
from .harness.run import Run
from .puppets import status_of

CHLD = int(signal.SIGCHLD)


def test_pitfall_01_oldest_namespace_first():
    outer = free_pid()

    def numbers():
        with holding(outer, 7) as pid:
            return pid, ns_pid(outer)

    assert (7, [str(outer), "7"]) == nested(numbers)


def ns_pid(number: int) -> list[str]:
    """The last two numbers of a process, which the /proc of the tests knows as *number*."""
    with open(f"/proc/{number}/status") as file:
        return next(line.split()[-2:] for line in file if line.startswith("NSpid:"))


def test_pitfall_01_fewer_pids_than_levels_are_those_of_the_inner_ones():
    assert (8, 8) == nested(lambda: born(8))
    assert (8, 8) == nested(lambda: born(0, 8))


def test_pitfall_02_an_inner_zero_is_met_by_a_free_number():
    outer = free_pid()

    def numbers():
        with holding(outer, 0) as pid:
            return pid, ns_pid(outer)

    inner, seen = nested(numbers)
    assert [str(outer), str(inner)] == seen


def test_pitfall_02_an_inner_zero_under_a_pid_that_is_taken():
    with holding(free_pid()) as outer:
        assert errno.EBUSY == nested(lambda: refused(CHLD, CloneArgs(), None, (outer, 0))[0])


def test_pitfall_03_the_implicit_1_of_a_new_namespace():
    number = free_pid()

    assert (number, 1) == born(number, flags=flag.CLONE_NEWPID)
    assert 1 == born(flags=flag.CLONE_NEWPID)[1]


@outermost
def test_pitfall_03_the_1_of_a_new_namespace_is_not_given():
    number, words = refused(CHLD | flag.CLONE_NEWPID, CloneArgs(), None, (free_pid(), 1))

    assert errno.EINVAL == number
    assert "the 1 in a new one is not named" in words


def test_pitfall_03_the_first_process_of_an_unborn_namespace_is_1():
    def attempt():
        unshare(flag.CLONE_NEWPID)
        first = refused(CHLD, CloneArgs(), None, (5,))
        return first, born(1)

    (number, words), (_, inside) = in_child(attempt)
    assert errno.EINVAL == number
    assert "is 1, not 5" in words
    assert 1 == inside


def test_pitfall_03_no_more_births_after_the_first_process_has_ended():
    def attempt():
        unshare(flag.CLONE_NEWPID)
        born()
        return refused(CHLD, CloneArgs(), None, (5,))

    number, words = in_child(attempt)
    assert errno.ENOMEM == number
    assert "has ended" in words


def test_pitfall_04_a_zombie_keeps_its_number_until_it_is_waited_for():
    number = free_pid()
    pid = eclone(CHLD, pids=[number])
    if pid == 0:
        os._exit(0)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)

    assert errno.EBUSY == refused(CHLD, CloneArgs(), None, (number,))[0]
    os.waitpid(pid, 0)
    assert (number, number) == born(number)


@pytest.mark.parametrize("role", ["group", "session"])
def test_pitfall_04_a_group_or_session_keeps_the_number_of_its_dead_leader(role):
    number = free_pid()
    reader, writer = os.pipe()
    pid = eclone(CHLD, pids=[number])
    if pid == 0:
        os.setsid() if role == "session" else os.setpgid(0, 0)
        member = os.fork()
        if member == 0:
            if role == "session":
                os.setpgid(0, 0)  # nobody is left in the group of that number
            os.write(writer, b"%d" % os.getpid())
            signal.pause()
        signal.pause()
    member = int(os.read(reader, 10))
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    try:
        assert errno.EBUSY == refused(CHLD, CloneArgs(), None, (number,))[0]
        assert is_taken(number)
    finally:
        os.kill(member, signal.SIGKILL)
        os.waitpid(member, 0)  # it is ours by now, see the fixture `subreaper`
        os.close(reader)
        os.close(writer)
    assert not is_taken(number)


def test_pitfall_04_a_thread_bears_its_number():
    gate = threading.Event()
    thread = threading.Thread(target=gate.wait)
    thread.start()
    try:
        assert errno.EBUSY == refused(CHLD, CloneArgs(), None, (thread.native_id,))[0]
    finally:
        gate.set()
        thread.join()


def test_pitfall_15_low_numbers_can_be_chosen():
    number = next(number for number in range(2, 300) if not os.path.exists(f"/proc/{number}"))

    assert (number, number) == born(number)


def test_the_cursor_of_the_namespace_does_not_move():
    number = free_pid()
    born(number)
    with open("/proc/sys/kernel/ns_last_pid") as file:
        assert number != int(file.read())


def test_pitfall_10_a_sibling_by_clone_parent_ignores_the_exit_signal():
    def attempt():
        pid = eclone(signal.SIGUSR1 | flag.CLONE_PARENT)
        if pid == 0:
            os._exit(9)
        with pytest.raises(ChildProcessError):
            os.waitpid(pid, WALL)
        return pid

    pid = in_child(attempt)
    assert 9 == os.waitstatus_to_exitcode(os.waitpid(pid, WALL)[1])


def test_pitfall_10_the_init_of_a_namespace_has_no_siblings():
    assert errno.EINVAL == nested(lambda: refused(CHLD | flag.CLONE_PARENT, CloneArgs(), None, ())[0])


def test_pitfall_05_a_group_can_be_joined_while_it_has_members():
    """Also if its leader is a zombie, or was waited for; one that nobody is in cannot."""
    leader, member = _child(), _child()
    os.setpgid(leader, leader)
    os.setpgid(member, leader)
    try:
        os.kill(leader, signal.SIGKILL)
        os.waitid(os.P_PID, leader, os.WEXITED | os.WNOWAIT)
        with _child_of_the_block() as other:
            os.setpgid(other, leader)
        os.waitpid(leader, 0)
        with _child_of_the_block() as other:
            os.setpgid(other, leader)
            assert leader == os.getpgid(other)
    finally:
        _end(member)
    with _child_of_the_block() as other, pytest.raises(PermissionError):
        os.setpgid(other, leader)


def test_pitfall_06_no_session_by_who_leads_a_group_or_whose_number_is_that_of_one():
    def attempt():
        os.setpgid(0, 0)
        with pytest.raises(PermissionError):
            os.setsid()
        other = _child()
        try:
            os.setpgid(other, os.getpid())
            os.setpgid(0, before)  # somebody is left in the group of its number
            with pytest.raises(PermissionError):
                os.setsid()
        finally:
            _end(other)
        return os.setsid() is None

    before = os.getpgrp()
    assert in_child(attempt)


def test_pitfall_08_what_lives_outside_of_a_namespace_reads_0_in_it():
    def numbers():
        found = os.getppid(), os.getpgrp(), os.getsid(0), in_child(lambda: (os.getpgrp(), os.getsid(0)))
        os.setsid()
        return found, in_child(lambda: (os.getpgrp(), os.getsid(0)))

    assert ((0, 0, 0, (0, 0)), (1, 1)) == nested(numbers)


@pytest.mark.parametrize("pidns", [False, True])
def test_pitfall_11_a_dead_leader_with_living_threads_comes_back(pidns, tmp_path):
    """A thread can only be made while the leader lives: so that one is born too, bears them, and ends last of all."""
    specimen = next(specimen for specimen in catalogue() if specimen.name == "tree_main_thread_dead")
    run = Run(specimen, tmp_path)
    try:
        run.await_ready()
        before = _threads(run.root)
        run.restart(run.checkpoint("--kill"), *(["--pidns"] if pidns else []))
        Deadline(10, "the end of the leader").wait_until(lambda: _threads(run.root) == before)
        run.pass_judgement()
    finally:
        run.end()
    assert ["Z", "S", "S"] == [state for _, state in before]


def _threads(pid: int) -> list[tuple[int, str]]:
    """The TIDs of a process in its own PID namespace, the leader's first, and their states."""
    found = []
    for tid in map(int, os.listdir(f"/proc/{pid}/task")):
        found.append((status_of(pid, tid).ns_pid[-1], status_of(pid, tid).state))
    return sorted(found)


def test_pitfall_13_an_answer_of_a_seccomp_filter_does_not_mean_an_old_kernel():
    """ENOSYS leads to ns_last_pid, verified; see test_eclone_fallback.py for all the rest of it."""

    def first():
        make_private()
        mount_proc()
        hide_clone3(errno.ENOSYS)
        return born(4711)

    assert (4711, 4711) == in_child(first, lambda: eclone(CHLD | flag.CLONE_NEWPID | flag.CLONE_NEWNS))


@pytest.mark.machine("pid_max of each PID namespace (Linux 6.14)")
def test_pitfall_14_pid_max_is_that_of_the_namespace():
    """EINVAL, not EBUSY, and a restart says so before anybody is born."""

    def first():
        make_private()
        mount_proc()
        with open("/proc/sys/kernel/pid_max", "w") as file:
            file.write("500")
        return refused(CHLD, CloneArgs(), None, (500,)), born(499)

    before = _pid_max()
    (number, words), born_there = in_child(first, lambda: eclone(CHLD | flag.CLONE_NEWPID | flag.CLONE_NEWNS))

    assert before == _pid_max()
    assert errno.EINVAL == number
    assert "PID 500 is out of range: numbers here are below 500" in words
    assert (499, 499) == born_there


def test_pitfall_14_a_restart_judges_the_range_first(tmp_path, monkeypatch):
    monkeypatch.setattr("crtool.engine.where.pid_max", lambda: 2)
    with _saved(tmp_path) as (pid, image), pytest.raises(EnvironmentDiffers, match=f"PID {pid} is out of range"):
        restart(image, detach=True)


def test_pitfall_15_low_numbers_without_clone3_are_had_or_refused():
    """By ns_last_pid; never is it another number."""

    def first():
        make_private()
        mount_proc()
        with open("/proc/sys/kernel/ns_last_pid", "w") as file:
            file.write("400")
        born()
        hide_clone3()
        with suppress(OSError):
            return born(250)
        return None

    found = in_child(first, lambda: eclone(CHLD | flag.CLONE_NEWPID | flag.CLONE_NEWNS))
    assert found in ((250, 250), None)


@pytest.mark.parametrize("status", [0, 1, 126, 255])
def test_pitfall_17_that_a_restart_failed_is_not_a_status_of_the_program(status, tmp_path):
    """The one is an exception, which the command line turns into a status with a line of its own."""
    with _saved(tmp_path, status) as (pid, image):
        with pytest.raises(PidTaken, match=f"PID {pid} is now"):
            restart(image, pidns=False)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        result = restart(image, pidns=False, running=lambda result: os.kill(result.pid, signal.SIGTERM))

    assert status == os.waitstatus_to_exitcode(result.status)


def unshare(flags: int) -> None:
    """os.unshare is younger than the Python that crtool needs."""
    syscall("unshare", flags)


def _pid_max() -> int:
    with open("/proc/sys/kernel/pid_max") as file:
        return int(file.read())


def _child() -> int:
    """A child that sleeps."""
    pid = os.fork()
    if pid == 0:
        while True:
            signal.pause()
    return pid


def _end(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


@contextmanager
def _child_of_the_block():
    pid = _child()
    try:
        yield pid
    finally:
        _end(pid)


@contextmanager
def _saved(folder, status=0):
    """A program that ends with *status* on SIGTERM, and an image of it; it ends with the block."""
    said, image = folder / "said", folder / "x.crt"
    code = f"import os, signal; signal.signal(15, lambda *_: os._exit({status})); print('ready', flush=True)"
    command = [sys.executable, "-ISc", f"{code}\nwhile True: signal.pause()"]
    with all_ended():
        with open(said, "wb") as out:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd=folder, start_new_session=True
            )
        Deadline(20, "the program").wait_until(lambda: said.read_bytes() == b"ready\n")
        checkpoint(process.pid, image)
        yield process.pid, image
