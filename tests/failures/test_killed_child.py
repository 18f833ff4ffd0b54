"""Somebody of a tree is killed while it stands still: he is saved as a zombie, and nobody else is harmed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

import crtool
from crtool import faults
from crtool.engine.checkpoint import Leave
from crtool.engine.freeze import Frozen
from crtool.engine.live import LiveMode
from crtool.errors import TargetDied
from crtool.procfs import stat as stat_file
from crtool.procfs.read import read
from crtool.tree.walk import Walk

from ..live.harness.processes import Deadline, all_ended, is_traced

THREADS = 30  # more than those whose children are listed sooner than all processes

# A root, its child with threads, and a grandchild: says their numbers.
PROGRAM = f"""
import os, signal, threading
pid = os.fork()
if pid == 0:
    pid = os.fork()
    if pid == 0:
        os.close(1)
        while True: signal.pause()
    for _ in range({THREADS}): threading.Thread(target=threading.Event().wait).start()
    os.write(1, b'%d %d\\n' % (os.getpid(), pid))
os.close(1)
while True: signal.pause()
"""


class Tree(NamedTuple):
    root: int
    child: int
    grandchild: int


@pytest.fixture
def tree() -> Iterator[Tree]:
    with all_ended(), subprocess.Popen(
        [sys.executable, "-c", PROGRAM], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
    ) as root:
        try:
            assert root.stdout is not None
            child, grandchild = map(int, root.stdout.readline().split())
            yield Tree(root.pid, child, grandchild)
        finally:
            faults.disarm()
            root.kill()


def state(pid: int) -> str:
    return stat_file.parse(read(pid, "stat")).state


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    Deadline(20, "the end").wait_until(lambda: state(pid) == "Z")


def await_at_large(pid: int) -> None:
    Deadline(20, "the sleep").wait_until(lambda: state(pid) == "S" and not is_traced(pid))


def test_as_soon_as_it_stands_still(tree: Tree) -> None:
    walk, looks = Walk(), []

    def descendants(root: int) -> list[int]:
        looks.append(root)
        if len(looks) == 2:
            kill(tree.child)
        return walk(root)

    with Frozen(tree.root, descendants, None, {}) as frozen:
        assert {tree.root, tree.child} == frozen.processes.keys()  # the grandchild has come to somebody outside
        assert frozen.processes[tree.child].held is None
        assert "t" == state(tree.root)
        assert not is_traced(tree.grandchild)
    await_at_large(tree.root)
    await_at_large(tree.grandchild)


def test_the_root(tree: Tree) -> None:
    walk, looks = Walk(), []

    def descendants(root: int) -> list[int]:
        looks.append(root)
        if len(looks) == 2:
            kill(tree.root)
        return walk(root)

    with pytest.raises(TargetDied) as caught, Frozen(tree.root, descendants, None, {}):
        pass

    assert tree.root == caught.value.pid
    await_at_large(tree.child)


@pytest.mark.parametrize(
    "point", ["collect begin 1", "batch 1", "batch 9", "away 2", "retire 1", "call entered or left 3"]
)
@pytest.mark.parametrize(
    ("leave", "live"), [("running", "auto"), ("running", "fork"), ("running", "off"), ("stopped", "off")]
)
def test_while_it_is_asked(tree: Tree, point: str, leave: Leave, live: LiveMode, tmp_path: Path) -> None:
    passed = []

    def strike(where: str) -> None:
        passed.append(where)
        if where == point:
            os.kill(tree.child, signal.SIGKILL)

    faults.arm("", strike)
    result = crtool.checkpoint(tree.root, tmp_path / "image", leave=leave, live=live)

    assert point in passed
    assert 2 == result.processes
    assert "Z" == state(tree.child)
    if leave == "running":
        await_at_large(tree.root)
    else:
        Deadline(20, "the stop").wait_until(lambda: state(tree.root) == "T")
    await_at_large(tree.grandchild)


def test_again_and_again(tree: Tree, tmp_path: Path) -> None:
    """Each attempt sees another one killed: at last it is given up."""
    strikes = [tree.grandchild, tree.child]
    faults.arm("", lambda where: os.kill(strikes.pop(), 9) if where.startswith("collect begin") and strikes else None)
    result = crtool.checkpoint(tree.root, tmp_path / "image")

    assert 2 == result.processes
    await_at_large(tree.root)
