"""Plans, carried out by real processes: the running kernel takes every step and shows the table that was asked for."""

from __future__ import annotations

import errno
import json
import os
import random
import traceback
from dataclasses import replace

import pytest

from crtool.tree.model import Forest, Member
from crtool.tree.plan import Born, Dies, JoinGroup, NewSession, Plan, Reaps, Subreaper, plan

from .histories import CALLS, history
from .kernel_model import STARTER, squashed
from .real_kernel import Scene, scene, status

_CAP_CHECKPOINT_RESTORE = 40  # include/uapi/linux/capability.h
_CAP_SYS_ADMIN = 21
_SEEDS = range(40)
_ATTEMPTS = 5
_ROOM = 100  # numbers that one forest and its placeholders need at most


def _may_choose_pids() -> bool:
    with open("/proc/self/status") as file:
        effective = next(int(line.split()[1], 16) for line in file if line.startswith("CapEff:"))
    return bool(effective & (1 << _CAP_CHECKPOINT_RESTORE | 1 << _CAP_SYS_ADMIN))


@pytest.mark.skipif(not _may_choose_pids(), reason="choosing a PID takes CAP_CHECKPOINT_RESTORE")
@pytest.mark.parametrize("seed", _SEEDS)
def test_the_kernel_takes_every_step(seed: int) -> None:
    """No call of a plan is refused, nobody is left over, and everybody is whose child and where he should be."""
    draw = random.Random(seed)
    calls = [(draw.choice(CALLS), draw.randrange(31), draw.randrange(31)) for _ in range(30 + seed)]
    photograph = history([("subreaper", 0, 0), *calls], signals=(17, 17, 0))
    # Somebody else on this machine may have got one of the numbers meanwhile. A plan that takes a number
    # twice by its own fault does so with all numbers.
    for attempt in range(_ATTEMPTS):
        forest = _moved(photograph, _free_numbers(seed + attempt * len(_SEEDS)))
        made = plan(forest)
        refused, table = _carried_out(made)
        if refused is None or os.strerror(errno.EEXIST) not in refused:
            break

    assert refused is None
    assert [_row(member) for member in squashed(forest).members] == table


def _free_numbers(place: int) -> int:
    """The first of enough numbers just behind the newest PID: those will be given out last of all.

    Tests that run side by side have different *places*.
    """
    with open("/proc/sys/kernel/pid_max") as file:
        top = int(file.read()) - _ROOM
    with open("/proc/loadavg") as file:
        newest = int(file.read().split()[-1])
    bottom = 400
    first = newest
    while True:
        first -= _ROOM
        if first < bottom:
            first = top - _ROOM
        if any(os.path.exists(f"/proc/{number}") for number in range(first, first + _ROOM)):
            continue
        if place == 0:
            return first
        place -= 1


def _moved(forest: Forest, by: int) -> Forest:
    def move(number: int) -> int:
        return number + by if number > STARTER else number

    members = (
        replace(member, pids=(move(member.pid),), ppid=move(member.ppid), pgid=move(member.pgid), sid=move(member.sid))
        for member in forest.members
    )
    return Forest(move(forest.root), tuple(members), frozenset(map(move, forest.outside)))


def _row(member: Member) -> list[object]:
    return [member.pid, member.ppid, member.pgid, member.sid, member.zombie, member.exit_signal]


def _carried_out(made: Plan) -> tuple[str | None, list[list[object]]]:
    """The first step that was refused, if any, and the table; played in a fork of the test."""
    ours, theirs = os.pipe()
    stage = os.fork()
    if not stage:
        try:
            os.close(ours)
            with scene(str(step.pid) for step in made.steps if isinstance(step, Born)) as played:
                answer = [_perform(played, made), _table(played)]
            os.write(theirs, json.dumps(answer).encode())
        except BaseException:  # noqa: BLE001 - a fork of pytest must not return into it, but has to say what went wrong
            traceback.print_exc()
        finally:
            os._exit(0)
    os.close(theirs)
    with open(ours) as file:
        text = file.read()
    os.waitpid(stage, 0)
    refused, table = json.loads(text)
    return refused, table


def _perform(played: Scene, made: Plan) -> str | None:
    zombies = []
    for step in made.steps:
        error = 0
        if isinstance(step, Born):
            if step.creator:
                error = played.tell(str(step.creator), "clone", step.pid, step.flags, step.exit_signal)
            else:
                error = played.start(str(step.pid), step.pid)
            if step.zombie:
                zombies.append(step.pid)
        elif isinstance(step, NewSession):
            error = played.tell(str(step.pid), "setsid")
        elif isinstance(step, JoinGroup):
            error = played.tell(str(step.pid), "setpgid", step.pid, step.pgid or played.stage)
        elif isinstance(step, Subreaper):
            error = played.tell(str(step.pid), "subreaper", int(step.on))
        elif isinstance(step, Dies):
            error = played.tell(str(step.pid), "exit")
        elif isinstance(step, Reaps):
            error = played.tell(str(step.parent), "wait", step.pid)
        if error:
            return f"{step}: {os.strerror(error)}"
    for pid in zombies:
        played.tell(str(pid), "exit")
    return None


def _table(played: Scene) -> list[list[object]]:
    """Everybody who was ever born in the scene and is still there."""
    rows: list[list[object]] = []
    for pid in sorted(played.pids.values()):
        if (found := status(pid)) is not None:
            ppid, pgid, sid, state, exit_signal = found
            numbers = (STARTER if number == played.stage else number for number in (ppid, pgid, sid))
            rows.append([pid, *numbers, state == "Z", exit_signal])
    return rows
