"""What is taken or made is somebody's from that moment on: whatever fails next, it is given back."""

from __future__ import annotations

import errno
import gc
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from crtool.engine import foreground, freeze, guardian, lazy
from crtool.engine import restart as restart_module
from crtool.engine.checkpoint import checkpoint
from crtool.engine.foreground import Foreground
from crtool.engine.freeze import Frozen
from crtool.engine.guardian import Guardian
from crtool.engine.restart import restart
from crtool.errors import EnvironmentDiffers, TargetDied
from crtool.puppet import last_pid
from crtool.puppet.birth import Space, bear_root

from ..live.harness.processes import end, family
from ..live.victim import sleeper, victim

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to choose PIDs")


class Failure(Exception):
    pass


def fail(*arguments: object, **options: object) -> Any:
    raise Failure


def no_fork() -> int:
    raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))


def descriptors() -> dict[str, str]:
    found = {}
    for fd in os.listdir("/proc/self/fd"):
        try:
            found[fd] = os.readlink(f"/proc/self/fd/{fd}")
        except FileNotFoundError:
            pass  # of the listing itself
    return found


@pytest.fixture
def nothing_open() -> Iterator[None]:
    """Fails if a descriptor is left; what is opened once and kept is there before."""
    before = descriptors()
    yield
    assert before == descriptors()


@pytest.fixture
def image(tmp_path: Path) -> Iterator[str]:
    """Of a process that has been killed; what crtool keeps open for good has been opened."""
    path = str(tmp_path / "image")
    with sleeper(lambda: bytearray(5)) as pid:
        checkpoint(pid, path, leave="killed")
        os.waitpid(pid, 0)
        back = restart(path, detach=True).pid
        end(family(back))
        yield path


def test_a_root_whose_number_is_taken(nothing_open: None) -> None:
    with pytest.raises(FileExistsError):
        bear_root(Space(0x10000000), (os.getpid(),))


def test_a_newborn_whose_number_cannot_be_read(image: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where PIDs are chosen by ns_last_pid, a newborn is asked for its own. It is ended, which the census sees."""
    before = descriptors()

    def died(tid: int, pids: object) -> bool:
        raise TargetDied(tid)

    monkeypatch.setattr(last_pid, "needed", lambda: True)
    monkeypatch.setattr(last_pid, "has_pids", died)
    with pytest.raises(TargetDied):
        restart(image, detach=True, pidns=False)

    assert before == descriptors()


@pytest.mark.parametrize("pidns", [False, True], ids=["here", "pidns"])
@pytest.mark.parametrize("where", ["ready", "_outlive"])
def test_a_restart_that_fails_late(
    where: str, pidns: bool, image: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before and after the last point at which a caller may object: nothing is left of it, not even a descriptor."""
    closed = []

    class Job:
        def close(self) -> None:
            closed.append(self)

    monkeypatch.setattr(restart_module, "attend_terminal", lambda *_: Job())
    if where != "ready":
        monkeypatch.setattr(restart_module, where, fail)
    before = descriptors()

    with pytest.raises(Failure):
        restart(image, pidfile=str(tmp_path / "pid"), pidns=pidns, ready=fail if where == "ready" else None)

    assert before == descriptors()
    assert ["image"] == os.listdir(tmp_path)
    assert 1 == len(closed), "the caller's terminal"


def test_a_pidfile_that_is_a_folder(image: str, tmp_path: Path) -> None:
    (tmp_path / "pid").mkdir()
    with pytest.raises(EnvironmentDiffers, match="pid cannot be written: Is a directory"):
        restart(image, detach=True, pidfile=str(tmp_path / "pid"))

    assert {"image", "pid"} == set(os.listdir(tmp_path))


def test_a_pidfile_whose_place_is_taken_in_the_last_moment(image: str, tmp_path: Path) -> None:
    """Nobody is let down for that who runs already."""
    result = restart(image, detach=True, pidfile=str(tmp_path / "pid"), ready=lambda _: (tmp_path / "pid").mkdir())
    end(family(result.pid))

    assert [f"{tmp_path}/pid cannot be written: Is a directory"] == list(result.warnings)


def test_nobody_to_bring_memory_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = str(tmp_path / "image")
    with victim() as pid:
        checkpoint(pid, path, leave="killed")
        os.waitpid(pid, 0)
        end(family(restart(path, detach=True).pid))
        before = descriptors()
        monkeypatch.setattr(lazy.os, "fork", no_fork)
        with pytest.raises(OSError, match=os.strerror(errno.EAGAIN)):
            restart(path, detach=True, lazy=True)
        monkeypatch.undo()

        assert before == descriptors()


def test_no_guardian(nothing_open: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guardian.os, "fork", no_fork)
    with pytest.raises(OSError, match=os.strerror(errno.EAGAIN)):
        Guardian()
    monkeypatch.undo()


def test_the_collector_of_garbage_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """It rests while somebody stands still, and no longer: also if letting go reports a fault."""
    detach: Callable[..., None] = freeze.detach_early

    def detach_and_fail(tids: list[int]) -> None:
        detach(tids)
        raise Failure

    with sleeper(lambda: bytearray(5)) as pid:
        with pytest.raises(Failure), Frozen(pid, lambda root: [root], None, {}):
            monkeypatch.setattr(freeze, "detach_early", detach_and_fail)
        monkeypatch.undo()

        assert gc.isenabled()


def test_a_terminal_that_was_lent_halfway(monkeypatch: pytest.MonkeyPatch) -> None:
    """The group is in the foreground, and then its settings are refused: the terminal is taken back."""
    groups = []

    class Terminal:
        settings = staticmethod(lambda fd: b"")
        set_settings = staticmethod(lambda fd, settings: fail() if settings == b"the job's" else None)
        foreground = staticmethod(lambda fd: os.getpgrp())
        set_word = staticmethod(lambda fd, request, group: groups.append(group))

    monkeypatch.setattr(foreground, "terminal", Terminal)
    job = Foreground(os.open("/dev/null", os.O_RDONLY), 4711, size=(0, 0, 0, 0), settings=b"the job's", wanted=True)
    with pytest.raises(Failure):
        job.lend()
    job.close()

    assert [4711, os.getpgrp()] == groups
