"""Restarts in PID namespaces of their own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from .harness.catalogue import Specimen, catalogue
from .harness.command import crtool
from .harness.processes import Deadline, end, family
from .harness.run import Run, Skipped

# Where a number is kept somewhere, or the mount namespace or the keeper may show.
NAMES = """
    cpu_clear_child_tid cpu_robust_list
    files_pipe_signal_owner
    limits_capabilities_threads limits_ids limits_seccomp_filters
    lock_posix_processes
    pidfd_child procfd_child
    signals_child_pending signals_info signals_queue_thread signals_sleep_wait
    terminals_background_stopped terminals_controlling terminals_controlling_root
    time_timer_thread_clock time_timer_thread_id
    tree_children_50 tree_chroot tree_exit_signal tree_folder_shared tree_group_leader_dead tree_main_thread_dead
    tree_orphan tree_orphan_below tree_parent_death_signal tree_session_leader_dead tree_sessions_nested
    tree_stopped_threads tree_subreaper tree_threads_50 tree_zombie_of_child
""".split()
TWICE = {"tree_sessions_nested", "tree_threads_50", "terminals_controlling"}
SPECIMENS = [specimen for specimen in catalogue() if specimen.name in NAMES]


def numbers_of(pid: int) -> list[int]:
    """The PID in every namespace, outermost first."""
    with open(f"/proc/{pid}/status") as file:
        line = next(line for line in file if line.startswith("NSpid:"))
    return [int(word) for word in line.split()[1:]]


@pytest.mark.parametrize(
    "specimen",
    [
        pytest.param(specimen, id=specimen.name, marks=pytest.mark.machine(*specimen.of_machine, name=specimen.name))
        for specimen in SPECIMENS
    ],
)
def test_specimens_find_everything_as_it_was(specimen: Specimen, tmp_path: Path) -> None:
    """Only somebody outside sees that the numbers are those of another namespace. An image of it is like the first."""
    assert len(NAMES) == len(SPECIMENS)
    run = Run(specimen, tmp_path)
    try:
        run.await_ready()
        before = run.root
        for _ in range(1 + (specimen.name in TWICE)):
            run.restart(run.checkpoint("--kill"), "--pidns")
            assert [run.root, before] == numbers_of(run.root)
        run.pass_judgement()
    except Skipped as reason:
        pytest.skip(str(reason))
    finally:
        run.end()


@pytest.fixture
def sleeper(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A shell with a child and a file, that counts its SIGUSR1 and ends with 7 on SIGTERM."""
    script = "trap 'echo usr1' USR1; trap 'exit 7' TERM; sleep 1000 & echo ready; while :; do wait $!; done"
    with open(tmp_path / "out", "wb") as out:
        command, nothing = ["bash", "-c", script], subprocess.DEVNULL
        process = subprocess.Popen(command, stdin=nothing, stdout=out, stderr=out, cwd=tmp_path, start_new_session=True)
    Deadline(10, "the shell").wait_until(lambda: said(tmp_path) == ["ready"] and len(family(process.pid)) == 2)
    members = family(process.pid)
    yield process
    end(members)
    process.wait()


def said(folder: Path) -> list[str]:
    return (folder / "out").read_text().split()


@pytest.fixture
def image(sleeper: subprocess.Popen[bytes], tmp_path: Path) -> Path:
    path = tmp_path / "x.crt"
    done = crtool("checkpoint", sleeper.pid, "-o", path)
    assert done.returncode == 0, done.stderr
    return path


def keeper_of(pid: int) -> int:
    """Who is PID 1 for *pid*."""
    space = os.readlink(f"/proc/{pid}/ns/pid")
    for process in psutil.process_iter(["name"]):
        if process.info["name"] == "crtool-init" and os.readlink(f"/proc/{process.pid}/ns/pid") == space:
            return process.pid
    raise LookupError(pid)


def finish(pid: int) -> None:
    """Ends the tree below *pid*, and waits for the keeper of its PID namespace."""
    keeper = keeper_of(pid)
    end(family(pid))
    Deadline(10, "the end of the keeper").wait_until(lambda: reaped(keeper))


def restarted(image: Path, *options: str) -> dict[str, object]:
    done = crtool("restart", image, "--detach", "--json", *options)
    assert done.returncode == 0, done.stderr
    found: dict[str, object] = json.loads(done.stdout)
    found["stderr"] = done.stderr.splitlines()
    return found


def test_a_taken_pid_leads_to_a_namespace(sleeper: subprocess.Popen[bytes], image: Path) -> None:
    result = restarted(image)
    pid = int(str(result["pid"]))
    try:
        assert (True, sleeper.pid) == (result["pidns"], result["own_pid"])
        assert [pid, sleeper.pid] == numbers_of(pid)
        assert f"PID {sleeper.pid} is now bash" == result["reason"]
        assert [line for line in result["stderr"] if f"PID {sleeper.pid} is now bash" in line and f"PID {pid}" in line]
        assert 1 == len(result["stderr"])
        assert 2 == len(family(pid))
    finally:
        finish(pid)


def test_a_zombie_is_named_with_its_parent(sleeper: subprocess.Popen[bytes], image: Path) -> None:
    sleeper.kill()
    Deadline(5, "the end").wait_until(lambda: psutil.Process(sleeper.pid).status() == psutil.STATUS_ZOMBIE)
    result = restarted(image)
    try:
        name = psutil.Process().name()
        assert f"PID {sleeper.pid} is a zombie waiting for its parent {os.getpid()}, {name}" == result["reason"]
    finally:
        finish(int(str(result["pid"])))


def test_never(sleeper: subprocess.Popen[bytes], image: Path) -> None:
    done = crtool("restart", image, "--detach", "--no-pidns")

    assert 126 == done.returncode
    assert f"crtool: PID {sleeper.pid} is now bash" == done.stderr.splitlines()[0]


def test_pids_that_are_free_need_no_namespace(sleeper: subprocess.Popen[bytes], image: Path) -> None:
    end(family(sleeper.pid))
    sleeper.wait()
    result = restarted(image)
    try:
        assert (False, sleeper.pid, "") == (result["pidns"], result["pid"], result["reason"])
    finally:
        end(family(sleeper.pid))


def test_ten_copies_side_by_side(sleeper: subprocess.Popen[bytes], image: Path) -> None:
    """Started at once, each knows its own PIDs and no other's processes; each ends by itself, with its namespace."""
    verb = [sys.executable, "-m", "crtool", "restart", str(image), "-q", "--pidfile"]
    commands = [[*verb, f"{image}.{number}"] for number in range(10)]
    waiting = [subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True) for command in commands]
    files = [Path(command[-1]) for command in commands]
    Deadline(60, "ten restarts").wait_until(lambda: all(file.exists() for file in files))
    roots = [int(file.read_text()) for file in files]
    try:
        assert 10 == len(set(roots))
        assert [[pid, sleeper.pid] for pid in roots] == [numbers_of(pid) for pid in roots]
        assert 10 == len({os.readlink(f"/proc/{pid}/ns/pid") for pid in roots})
        for number, (pid, process) in enumerate(zip(roots, waiting, strict=True)):
            keeper, children = keeper_of(pid), family(pid) - {pid}
            os.kill(pid, signal.SIGTERM)
            assert 7 == process.wait(30), number
            end(children)
            Deadline(10, "the end of the keeper").wait_until(lambda keeper=keeper: reaped(keeper))
    finally:
        for process in waiting:
            process.kill()
            process.wait()


def test_waiting_passes_signals_on_and_the_status_back(image: Path, tmp_path: Path) -> None:
    pidfile = tmp_path / "pid"
    command = [sys.executable, "-m", "crtool", "restart", str(image), "--pidns", "--pidfile", str(pidfile)]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
    try:
        Deadline(30, "the restart").wait_until(pidfile.exists)
        process.send_signal(signal.SIGUSR1)
        Deadline(10, "the signal").wait_until(lambda: said(tmp_path) == ["ready", "usr1"])
        keeper = keeper_of(int(pidfile.read_text()))
        assert not os.listdir(f"/proc/{keeper}/fd") or os.listdir(f"/proc/{keeper}/fd") == ["0"]
        process.terminate()
        assert 7 == process.wait(30)
        # The root has left its sleeping child behind, as it would anywhere: the namespace lives as long as that.
        (left,) = psutil.Process(keeper).children()
        assert "sleep" == left.name()
        left.kill()
        Deadline(10, "the end of the keeper").wait_until(lambda: reaped(keeper))
    finally:
        process.kill()
        process.wait()


def reaped(pid: int) -> bool:
    """Whether a child of ours, which the keeper becomes when crtool ends, has ended; it is waited for."""
    try:
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    except ChildProcessError:
        return False


def test_from_a_namespace_to_the_old_pids(sleeper: subprocess.Popen[bytes], image: Path, tmp_path: Path) -> None:
    """What runs in a namespace is saved from outside, under the numbers inside; they can be had out here again."""
    pid = int(str(restarted(image)["pid"]))
    keeper, second = keeper_of(pid), tmp_path / "second.crt"
    members = family(pid) | family(sleeper.pid)
    done = crtool("checkpoint", pid, "--kill", "-o", second)
    assert 0 == done.returncode, done.stderr
    end(members)
    sleeper.wait()
    Deadline(10, "the end of the keeper").wait_until(lambda: reaped(keeper))
    result = restarted(second)
    try:
        assert (False, sleeper.pid, "") == (result["pidns"], result["pid"], result["reason"])
        assert [sleeper.pid] == numbers_of(sleeper.pid)
    finally:
        end(family(sleeper.pid))


def test_killed_by_a_signal(image: Path, tmp_path: Path) -> None:
    pidfile = tmp_path / "pid"
    command = [sys.executable, "-m", "crtool", "restart", str(image), "--pidns", "--pidfile", str(pidfile)]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
    Deadline(30, "the restart").wait_until(pidfile.exists)
    end(family(int(pidfile.read_text())))
    assert -signal.SIGKILL == process.wait(30)


def test_the_proc_of_the_namespace_fits(image: Path) -> None:
    """Its /proc shows the old numbers, and nobody else."""
    pid = int(str(restarted(image, "--pidns")["pid"]))
    try:
        shown = sorted(int(name) for name in os.listdir(f"/proc/{pid}/root/proc") if name.isdigit())
        children = psutil.Process(pid).children()
        assert [1, *sorted(numbers_of(one)[1] for one in (pid, *(child.pid for child in children)))] == shown
        assert "crtool-init\n" == Path(f"/proc/{pid}/root/proc/1/comm").read_text()
    finally:
        finish(pid)


def test_warnings_and_stages_come_before_the_end(image: Path, tmp_path: Path) -> None:
    """With -v the stages are on standard error while the program still runs."""
    log = tmp_path / "log"
    pidfile = tmp_path / "pid"
    command = [sys.executable, "-m", "crtool", "restart", str(image), "--pidns", "-v", "--pidfile", str(pidfile)]
    with open(log, "wb") as file:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=file, start_new_session=True)
    try:
        Deadline(30, "the stages").wait_until(lambda: "release" in log.read_text())
        assert process.poll() is None
    finally:
        Deadline(30, "the restart").wait_until(pidfile.exists)
        end(family(int(pidfile.read_text())))
        process.wait(30)


@pytest.mark.parametrize("name", ["tree_grandchildren", "tree_orphan", "cpu_thread_variables"])
def test_where_clone3_is_hidden(name: str, tmp_path: Path) -> None:
    """As seccomp filters of containers do: the numbers are chosen by ns_last_pid.

    Outside of a namespace of its own another process may be born in between; then crtool ends up in one as well.
    """
    run = Run(next(specimen for specimen in catalogue() if specimen.name == name), tmp_path)
    code = "from tests.live.forked import hide_clone3; hide_clone3(); from crtool.cli.main import run; run()"
    try:
        run.await_ready()
        before, image = run.root, run.checkpoint("--kill")
        run.python = (sys.executable, "-c", code)
        run.restart(image, "--pidns")
        assert before == numbers_of(run.root)[-1]
        run.pass_judgement()
    finally:
        run.end()
