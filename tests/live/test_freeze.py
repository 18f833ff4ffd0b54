"""A process to which somebody else is attached when it is to be stopped."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from crtool.engine.freeze import Frozen
from crtool.errors import TargetError
from crtool.tree.walk import Walk

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
    with traced(0.2) as (target, _), Frozen(target, Walk(), None) as frozen:
        assert frozen.processes[target].held is not None


def test_for_good() -> None:
    with traced(1000) as (target, tracer):
        with pytest.raises(TargetError, match=f"PID {target} is traced by PID {tracer}"), Frozen(target, Walk(), None):
            pass
        assert is_traced(target)
