"""Forests grown from seeds: checkpointed, killed and restarted, they are in /proc what they were."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Container, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from crtool.engine import where
from crtool.engine.checkpoint import checkpoint
from crtool.engine.freeze import Frozen
from crtool.engine.restart import restart
from crtool.engine.where import NumbersInUse
from crtool.errors import CrtoolError, ObstacleError, PidTaken
from crtool.kernel.clone import clone3
from crtool.kernel.eclone_limits import pid_max
from crtool.procfs import stat as stat_file
from crtool.procfs import status as status_file
from crtool.procfs.read import read
from crtool.tree.walk import Walk

from .harness.command import crtool
from .harness.processes import Deadline, all_ended, descendants, end, reap_all
from .harness.run import REPOSITORY

SOURCE = Path(__file__).with_name("forest.c")
STEPS = (20, 60, 120)
SEEDS_AT_ONCE = 10
SEEDS = 300
SEED_WITH_PLACEHOLDER = 260
SEED_WITH_NAMESPACES = 259

Row = tuple[tuple[int, ...], int, tuple[int, ...], tuple[int, ...], tuple[tuple[int, ...], ...], str, int]


@pytest.fixture(scope="session")
def grower(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program that grows forests."""
    program = tmp_path_factory.mktemp("forest") / "forest"
    subprocess.run(["gcc", "-O1", "-Wall", "-Werror", "-pthread", "-o", str(program), str(SOURCE)], check=True)
    return program


@pytest.fixture(autouse=True)
def group_of_its_own() -> Iterator[None]:
    """Puts this process into a process group of its own, as an interactive shell does with a job.

    Forests of even seeds live in it, with stopped members. Where nobody watches the group of whoever runs the tests, as
    under a CI without a shell, the kernel would take it for orphaned and send everybody in it SIGHUP.
    """
    group = os.getpgrp()
    if os.getpid() in (group, os.getsid(0)):
        yield
        return
    os.setpgid(0, 0)
    yield
    os.setpgid(0, group)


@contextmanager
def forest(grower: Path, seed: int, steps: int, said: Path) -> Iterator[int]:
    """A forest that has stopped growing; the PID of its root. *said*: the file to which it prints."""
    before = descendants()
    command = [str(grower), str(seed), str(steps)]
    with open(said, "wb") as out:
        root = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=bool(seed % 2)
        )
    try:
        Deadline(30, "the forest to grow").wait_until(lambda: said.read_bytes() != b"")
        assert said.read_bytes() == b"ready\n"
        yield root.pid
    finally:
        end(descendants() - before)
        root.poll()


def table(root: int) -> list[Row]:
    """What the kernel says about the tree: numbers at every level, parents, groups, sessions, threads, states."""
    return sorted(map(_row, Walk()(root)))


def _row(pid: int) -> Row:
    stat, status = stat_file.parse(read(pid, "stat")), status_file.parse(read(pid, "status"))
    tids = sorted(int(name) for name in os.listdir(f"/proc/{pid}/task"))
    threads = tuple(status_file.parse(read(pid, "status", tid)).ns_pid for tid in tids)
    state = stat.state if stat.state in "TZ" else "S"
    return status.ns_pid, stat.ppid, status.ns_pgid, status.ns_sid, threads, state, stat.exit_signal


class Refused(Exception):
    """The checkpoint said by name what cannot be born again, and left the forest as it was."""


def comes_back(grower: Path, seed: int, steps: int, image: Path) -> str:
    """Whether the forest of *seed* is the same after a restart: what is different, or an empty string.

    Raises Refused.
    """
    with forest(grower, seed, steps, image.with_suffix(".txt")) as root:
        before = table(root)
        try:
            checkpoint(root, str(image), leave="killed", force=True)
        except ObstacleError as error:
            assert ["cannot be born again" in str(one) for one in error.obstacles] == [True]
            assert before == table(root)
            raise Refused(str(error)) from None
        try:
            reap_all(row[0][0] for row in before)
            restart(image, detach=True, pidns=False)
        except CrtoolError as error:
            return f"seed {seed}: {error}"
        after = table(root)
        if before == after:
            return ""
        changed = [f"  {one} → {other}" for one, other in zip(before, after, strict=False) if one != other]
        return "\n".join([f"seed {seed}, steps {steps}: {len(before)} became {len(after)}", *changed])


@pytest.mark.parametrize("first", range(0, SEEDS, SEEDS_AT_ONCE))
def test_forests_come_back(grower: Path, first: int, tmp_path: Path) -> None:
    """All numbers at all levels, whose child and in which group and session everybody is, threads, zombies, stops."""
    seeds = range(first, first + SEEDS_AT_ONCE)
    problems = []
    refused = 0
    for seed in seeds:
        try:
            problems.append(comes_back(grower, seed, STEPS[seed % len(STEPS)], tmp_path / "forest.crt"))
        except Refused:  # groups and namespaces that only a longer story could lead to: see tree/plan_nested.py
            refused += 1

    assert refused <= 1
    assert not [problem for problem in problems if problem], "\n".join(problems)


def test_a_placeholder_gets_another_number(grower: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If somebody was born with its number a moment ago, after it was looked whether it is free."""
    refused: list[set[int]] = []
    other = born_near_the_end()

    def room(numbers: NumbersInUse) -> tuple[Container[int], int, int]:
        refused.append(set(numbers.known))
        assert other in numbers
        return numbers.known, pid_max(), other

    monkeypatch.setattr(NumbersInUse, "room", room)
    steps = STEPS[SEED_WITH_PLACEHOLDER % len(STEPS)]
    try:
        assert "" == comes_back(grower, SEED_WITH_PLACEHOLDER, steps, tmp_path / "forest.crt")
        assert [set(), {other}] == refused
    finally:
        end([other])


UNPLANNABLE = """
import os, signal, time, crtool
from crtool.abi.clone import CLONE_PARENT
middle = crtool.eclone(signal.SIGUSR1)
if middle == 0:
    os.setsid()
    if crtool.eclone(CLONE_PARENT) == 0:  # with the exit signal of the one in the middle…
        while True: signal.pause()
    os.execvp("sleep", ["sleep", "1000"])  # … which has SIGCHLD again from here on
while open(f"/proc/{middle}/comm").read() != "sleep\\n": time.sleep(0.01)
print("ready", flush=True)
while True: signal.pause()
"""


@pytest.mark.parametrize("apart", [False, True], ids=["here", "in-a-pid-namespace"])
def test_what_cannot_be_born_again_is_named_before_anybody_is_frozen(
    apart: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where crtool knows everybody by another number than the image would."""
    said = tmp_path / "said"
    around = ["unshare", "--pid", "--fork", "--mount-proc", "sh", "-c", '"$@" & wait', "sh"] if apart else []
    command = [*around, sys.executable, "-c", UNPLANNABLE]
    with all_ended():
        with open(said, "wb") as out:
            subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd=REPOSITORY, start_new_session=True
            )
        Deadline(30, "the tree").wait_until(lambda: said.read_bytes() == b"ready\n")
        orphan = next(pid for pid in descendants() if stat_file.parse(read(pid, "stat")).exit_signal == 10)
        root = stat_file.parse(read(orphan, "stat")).ppid
        assert (len(status_file.parse(read(root, "status")).ns_pid) > 1) == apart
        monkeypatch.setattr(Frozen, "__enter__", lambda *_: pytest.fail("frozen"))
        with pytest.raises(ObstacleError) as caught:
            checkpoint(root, tmp_path / "x.crt")

        assert [orphan] == [obstacle.pid for obstacle in caught.value.obstacles]
        assert "its exit signal is 10, not SIGCHLD" in str(caught.value.obstacles[0])
        assert not (tmp_path / "x.crt").exists()
        done = crtool("check", root)
        assert 2 == done.returncode
        assert "cannot be born again" in done.stdout + done.stderr


@pytest.mark.parametrize("nth", [1, 9, -1])
def test_pitfall_19_a_birth_that_fails(nth: int, grower: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was born until then ends, in whatever namespaces it lives; no zombie is left, nothing else is touched."""
    monkeypatch.setattr(where, "taken_numbers", lambda numbers: set())  # somebody gets the number a moment later
    image, steps = tmp_path / "forest.crt", STEPS[SEED_WITH_NAMESPACES % len(STEPS)]
    with forest(grower, SEED_WITH_NAMESPACES, steps, tmp_path / "said") as root:
        before = table(root)
        checkpoint(root, str(image), leave="killed")
        reap_all(row[0][0] for row in before)
    assert len({len(row[0]) for row in before}) > 2
    number = before[nth][0][0]
    other = born_as(number)
    alive = descendants()
    try:
        with pytest.raises(PidTaken, match=f"PID {number} is now"):
            restart(image, detach=True, pidns=False)
        assert alive == descendants()
        assert {other} == {row[0][0] for row in before} & alive
    finally:
        end([other])


def born_as(number: int) -> int:
    """A child that sleeps, with that number."""
    pid = clone3(0, signal.SIGCHLD, (number,))
    if pid == 0:
        while True:
            signal.pause()
    return pid


def born_near_the_end() -> int:
    """A child that sleeps, with one of the highest numbers that there are."""
    for number in range(pid_max() - 2, pid_max() - 100, -1):
        with suppress(FileExistsError):
            return born_as(number)
    raise LookupError
