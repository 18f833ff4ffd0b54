"""The same request, made by a puppet: births, namespaces, and what Python itself could not survive.

The numbers of pitfalls are those of docs/eclone.md.
"""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from crtool.abi import clone as flag
from crtool.abi import ptrace as ptrace_abi
from crtool.errors import RemoteCallError
from crtool.kernel.eclone_request import EcloneRequest
from crtool.kernel.wait import WaitStatus
from crtool.puppet.batch import Batch
from crtool.puppet.birth import Newborn

from .forked import WALL, free_pid
from .harness.processes import all_ended
from .puppets import newborn, status_of

CHLD = int(signal.SIGCHLD)


@contextmanager
def child_of(parent: Newborn, request: EcloneRequest) -> Iterator[Newborn]:
    """What *parent* has borne, as it was asked to; ended at the end."""
    batch = Batch()
    call = parent.bear(batch, request)
    parent.run(batch)
    child = Newborn.attached(parent.born.pop(), parent, thread=False)
    assert call.value in status_of(child.pid).ns_pid
    try:
        yield child
    finally:
        os.kill(child.pid, signal.SIGKILL)
        os.waitpid(child.pid, WALL)  # as its tracer
        os.close(child.memory)
        batch = Batch()
        batch.call("wait4", call.value, 0, WALL, 0, must=False)
        parent.run(batch)


def test_a_child_with_the_pid_asked_for():
    number = free_pid()
    with newborn() as parent, child_of(parent, EcloneRequest(0, CHLD, (number,))) as child:
        assert number == child.pid
        assert parent.pid == status_of(number).ppid


def test_a_child_of_shared_memory():
    with newborn() as parent, child_of(parent, EcloneRequest(flag.CLONE_VM, CHLD, (free_pid(),))) as child:
        assert parent.mappings() == child.mappings()


@pytest.mark.parametrize("named", [True, False])
def test_the_first_of_a_new_namespace_and_its_child(named):
    number = free_pid()
    pids = (number,) if named else ()
    with newborn() as parent, child_of(parent, EcloneRequest(flag.CLONE_NEWPID, CHLD, pids)) as first:
        assert 1 == status_of(first.pid).ns_pid[-1]
        assert not named or number == first.pid
        other = free_pid()
        with child_of(first, EcloneRequest(0, CHLD, (other, 7))) as second:
            assert (other, 7) == status_of(second.pid).ns_pid[-2:]


def test_a_vector_of_status_is_the_same_birth():
    number = free_pid()
    with newborn() as parent:
        batch = Batch()
        parent.clone(batch, flag.CLONE_NEWPID, CHLD, (number, 1))
        parent.bear(batch, EcloneRequest(flag.CLONE_NEWPID, CHLD, (number,)))

        old, new = ([argument.initial() for argument in call.args if not isinstance(argument, int)] for call in batch)
        assert old == new


def test_a_pid_that_is_taken():
    with newborn() as parent:
        batch = Batch()
        parent.bear(batch, EcloneRequest(0, CHLD, (os.getpid(),)))
        with pytest.raises(RemoteCallError) as found:
            parent.run(batch)
    assert errno.EEXIST == found.value.errno


def test_pitfall_10_a_siblings_exit_signal_is_that_of_its_creator():
    """And not an argument of its birth: planner and puppets reckon with it."""
    with newborn() as parent:
        (child,) = _borne(parent, EcloneRequest(0, int(signal.SIGUSR1)))
        (sibling,) = _borne(child, EcloneRequest(flag.CLONE_PARENT, int(signal.SIGUSR2)))
        found = [(_field(task.pid, 4), _field(task.pid, 38)) for task in (child, sibling)]
        for task in (child, sibling):
            _bury(task, parent)

        assert [(parent.pid, signal.SIGUSR1)] * 2 == found


@pytest.mark.parametrize(
    ("flags", "signal_number", "event"),
    [
        (0, CHLD, ptrace_abi.EVENT_FORK),
        (0, 0, ptrace_abi.EVENT_CLONE),
        (0, int(signal.SIGUSR1), ptrace_abi.EVENT_CLONE),
        (flag.CLONE_VFORK, CHLD, ptrace_abi.EVENT_VFORK),
        (flag.CLONE_VFORK, 0, ptrace_abi.EVENT_VFORK),
    ],
)
@pytest.mark.parametrize("inside", [False, True], ids=["here", "nested"])
def test_pitfall_12_the_event_of_a_birth_depends_on_its_signal_and_the_number_is_the_tracers(
    flags, signal_number, event, inside, monkeypatch
):
    """Whoever bears, in whatever PID namespace, crtool learns of the child under its own name for it."""
    seen = []
    passing = Newborn._pass_over

    def pass_over(self: Newborn, status: WaitStatus) -> None:
        seen.append(status.event)
        if status.event == ptrace_abi.EVENT_VFORK:  # the child has to end before the call comes back
            passing(self, status)
            os.kill(self.born[-1], signal.SIGKILL)
            return
        passing(self, status)

    with all_ended(), newborn() as outer:
        parent = outer
        if inside:
            (parent,) = _borne(outer, EcloneRequest(flag.CLONE_NEWPID, CHLD))
        monkeypatch.setattr(Newborn, "_pass_over", pass_over)
        number = free_pid()
        batch = Batch()
        parent.bear(batch, EcloneRequest(flags, signal_number, (number, 7) if inside else (number,)))
        parent.run(batch)
        monkeypatch.undo()
        born_there = parent.born.pop()
        if not flags:
            assert (number, 7)[: 1 + inside] == status_of(number).ns_pid[-1 - inside :]
        for pid in (born_there, *([parent.pid] if inside else [])):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            with suppress(ChildProcessError):
                os.waitpid(pid, WALL)  # as its tracer

    assert event == seen[0]
    assert number == born_there


def _borne(parent: Newborn, *requests: EcloneRequest) -> list[Newborn]:
    """What a puppet has borne, as puppets."""
    batch = Batch()
    for request in requests:
        parent.bear(batch, request)
    parent.run(batch)
    found = [Newborn.attached(pid, parent, thread=False) for pid in parent.born]
    parent.born.clear()
    return found


def _bury(task: Newborn, parent: Newborn) -> None:
    os.kill(task.pid, signal.SIGKILL)
    os.waitpid(task.pid, WALL)  # as its tracer
    os.close(task.memory)
    batch = Batch()
    batch.call("wait4", task.pid, 0, WALL, 0)
    parent.run(batch)


def _field(pid: int, number: int) -> int:
    """A field of /proc/PID/stat, as proc(5) counts them."""
    with open(f"/proc/{pid}/stat") as file:
        return int(file.read().rpartition(")")[2].split()[number - 3])
