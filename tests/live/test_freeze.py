"""A process that is to be stopped: while somebody else is attached to it, or where it should not be stopped."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from crtool.engine.freeze import Frozen
from crtool.engine.preflight import survey
from crtool.engine.standing import tracer_of
from crtool.errors import ObstacleError
from crtool.procfs.read import read
from crtool.procfs.tasks import threads
from crtool.resources.memory import vdso
from crtool.resources.policy import Policy
from crtool.tree.walk import Walk, name_of

from .harness.processes import Deadline, all_ended, is_traced

TRACER = """
import sys, time
from crtool.kernel import ptrace
ptrace.seize(int(sys.argv[1]), 0)
time.sleep(float(sys.argv[2]))
"""


@contextmanager
def traced(seconds: float) -> Iterator[tuple[int, int]]:
    """The PIDs of a process and of its tracer, who ends after a while."""
    with all_ended():
        target = subprocess.Popen(["sleep", "1000"], stdin=subprocess.DEVNULL).pid
        tracer = subprocess.Popen([sys.executable, "-c", TRACER, str(target), str(seconds)]).pid
        Deadline(20, "the tracer").wait_until(lambda: is_traced(target))
        yield target, tracer


def test_for_a_moment() -> None:
    with traced(0.2) as (target, _), Frozen(target, Walk(), None, {}) as frozen:
        assert frozen.processes[target].held is not None


def test_for_good() -> None:
    with traced(1000) as (target, tracer):
        traced_by = pytest.raises(ObstacleError, match=f"PID {target}: is traced by PID {tracer} \\(python")
        with traced_by, Frozen(target, Walk(), None, {}):
            pass
        assert is_traced(target)
        assert [f"PID {target}: is traced by PID {tracer} ({name_of(tracer)})"] == obstacles(target)  # seen early


def test_a_thread_that_somebody_else_traces() -> None:
    """The same, whether it is seen before anybody is touched, or only by him who is refused."""
    program = "import threading, time; threading.Thread(target=time.sleep, args=(1000,)).start(); print(flush=True)"
    with all_ended():
        nothing = subprocess.DEVNULL
        target = subprocess.Popen([sys.executable, "-c", program], stdin=nothing, stdout=subprocess.PIPE)
        assert target.stdout is not None
        target.stdout.readline()
        (thread,) = set(threads(target.pid)) - {target.pid}
        tracer = subprocess.Popen([sys.executable, "-c", TRACER, str(thread), "1000"], stdin=nothing).pid
        Deadline(20, "the tracer").wait_until(lambda: tracer_of(target.pid, thread) == tracer)
        said = f"PID {target.pid} thread {thread}: is traced by PID {tracer} ({name_of(tracer)})"
        assert [said] == [line for line in obstacles(target.pid) if "traced" in line]
        with pytest.raises(ObstacleError) as refused, Frozen(target.pid, Walk(), None, {}):
            pass
        assert [said] == list(map(str, refused.value.obstacles))
        assert not is_traced(target.pid)
        target.stdout.close()


def obstacles(pid: int) -> list[str]:
    """What stands in the way of a checkpoint, as far as it is seen before anybody is touched."""
    return list(map(str, survey(pid, Policy(), Walk()).obstacles))


def test_a_thread_leaves_the_vdso_first() -> None:
    """It reads a clock all the time, a good part of it there."""
    program = "import time; print(flush=True)\nwhile True: time.monotonic_ns()"
    with all_ended():
        target = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        assert target.stdout is not None
        target.stdout.readline()
        there = vdso.place(read(target.pid, "maps"))
        assert there

        def stopped_there(apart: dict[int, range]) -> bool:
            with Frozen(target.pid, Walk(), None, apart) as frozen:
                held = frozen.processes[target.pid].held
                assert held is not None
                return held.threads[target.pid].registers.ip in there

        anyhow = apart = 0
        while anyhow < 8:
            anyhow += stopped_there({})
            apart += stopped_there({target.pid: there})
        target.stdout.close()
    assert apart * 3 < anyhow
