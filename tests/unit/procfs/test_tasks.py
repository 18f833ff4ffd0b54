"""Listings of processes and threads."""

from __future__ import annotations

import os
import threading

import pytest

from crtool.errors import TargetDied
from crtool.procfs import tasks
from crtool.procfs.error import ProcfsError


def test_processes(zombie: int, nobody: int) -> None:
    found = tasks.processes()

    assert {os.getpid(), zombie} <= set(found)
    assert nobody not in found
    assert list(found) == sorted(found)


def test_threads() -> None:
    tids = []
    started, end = threading.Semaphore(0), threading.Event()

    def stay() -> None:
        tids.append(threading.get_native_id())
        started.release()
        end.wait()

    others = [threading.Thread(target=stay) for _ in range(3)]
    for thread in others:
        thread.start()
    for _ in others:
        started.acquire()
    found = tasks.threads(os.getpid())
    end.set()
    for thread in others:
        thread.join()

    assert {os.getpid(), *tids} <= set(found)
    assert list(found) == sorted(found)


def test_threads_of_the_dead(zombie: int, nobody: int) -> None:
    assert (zombie,) == tasks.threads(zombie)
    with pytest.raises(TargetDied):
        tasks.threads(nobody)


@pytest.mark.machine("CONFIG_PROC_CHILDREN")
def test_children(sleeper: int, nobody: int) -> None:
    found = tasks.children(os.getpid())

    assert found is not None
    assert sleeper in found
    assert () == tasks.children(sleeper)
    with pytest.raises(TargetDied):
        tasks.children(nobody)


def test_parse_children() -> None:
    assert (7, 12) == tasks.parse_children(b"12 7 ")
    assert () == tasks.parse_children(b"")
    with pytest.raises(ProcfsError):
        tasks.parse_children(b"7 x ")
