"""Memory that the twin brings into the image itself, through the page cache or past it, and what is copied for it."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import mmap
import os
import resource
import signal
import stat
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from crtool.abi.capability import CAP_DATA, CAP_HEADER
from crtool.abi.prctl import PR_SET_DUMPABLE
from crtool.engine import twin_pages
from crtool.engine.checkpoint import checkpoint
from crtool.engine.restart import restart
from crtool.engine.verify import verify
from crtool.errors import EnvironmentDiffers, TargetDied
from crtool.kernel.process import pidfd_getfd, pidfd_open
from crtool.kernel.syscall import syscall
from crtool.procfs import stat as stat_file
from crtool.procfs.read import read
from crtool.procfs.tasks import children, processes
from crtool.puppet.twin import NAME
from crtool.resources.memory import direct

from .victim import HIDDEN, changed, victim
from .writer import writer

MEMORY = 24 << 20

real_open, real_fcntl = os.open, fcntl.fcntl


def limit_files(memory: mmap.mmap) -> None:
    """No file may grow beyond a megabyte."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))


@pytest.fixture(params=["through", "past"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """How everything goes with regard to the page cache."""
    way: str = request.param
    monkeypatch.setattr(twin_pages, "_LARGE", 0 if way == "past" else 1 << 40)
    return way


@pytest.fixture
def told(way: str, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """What every twin has brought that way."""
    amounts: list[int] = []
    name = "splice" if way == "past" else "write"
    call = getattr(direct, name)

    def watched(*args: object) -> int:
        amounts.append(call(*args))
        return amounts[-1]

    monkeypatch.setattr(direct, name, watched)
    return amounts


def test_a_twin_writes_what_it_can_read_and_crtool_the_rest(tmp_path: Path, told: list[int]) -> None:
    live, frozen = str(tmp_path / "live.crt"), str(tmp_path / "frozen.crt")

    with victim() as pid:
        checkpoint(pid, live)
        checkpoint(pid, frozen, live="off")

    verify(live)
    assert MEMORY - HIDDEN <= sum(told)
    assert [] == changed(frozen, live)


@pytest.mark.parametrize("way", ["through"], indirect=True)
def test_who_may_not_write_such_files_is_copied(tmp_path: Path, told: list[int]) -> None:
    live, frozen = str(tmp_path / "live.crt"), str(tmp_path / "frozen.crt")

    with victim(prelude=limit_files) as pid:
        checkpoint(pid, live)
        checkpoint(pid, frozen, live="off")

    verify(live)
    assert 0 == sum(told)
    assert [] == changed(frozen, live)


def test_what_a_twin_fails_to_write_is_copied(
    tmp_path: Path, told: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    live, frozen = str(tmp_path / "live.crt"), str(tmp_path / "frozen.crt")
    lie = "crtool.resources.memory.pages.readable"
    monkeypatch.setattr(lie, lambda extents, records: [(True, extents)])

    with victim() as pid:
        pages = checkpoint(pid, live).pages_written
        checkpoint(pid, frozen, live="off")

    verify(live)
    assert 0 < sum(told) <= 4096 * pages - HIDDEN
    assert [] == changed(frozen, live)


@pytest.mark.parametrize("way", ["past"], indirect=True)
def test_who_may_not_write_such_files_need_not_to_fill_pipes(tmp_path: Path, told: list[int]) -> None:
    live, frozen = str(tmp_path / "live.crt"), str(tmp_path / "frozen.crt")

    with victim(prelude=limit_files) as pid:
        checkpoint(pid, live)
        checkpoint(pid, frozen, live="off")

    assert MEMORY - HIDDEN <= sum(told)
    assert [] == changed(frozen, live)


def refuse_direct(path: str, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
    """open(2) of a file system without direct output."""
    if flags & os.O_DIRECT:
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
    return real_open(path, flags, mode, dir_fd=dir_fd)


def refuse_size(fd: int, what: int, argument: int = 0) -> int:
    """fcntl(2) for somebody who has so many pipes that they must not be larger."""
    if what == fcntl.F_SETPIPE_SZ:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))
    return real_fcntl(fd, what, argument)


def refuse_splice(source: int, target: int, length: int, *, offset_dst: int) -> int:
    """splice(2) to a file that takes other places or sizes only."""
    raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))


@pytest.mark.parametrize("way", ["past"], indirect=True)
@pytest.mark.parametrize(
    ("name", "refusal"), [("os.open", refuse_direct), ("fcntl.fcntl", refuse_size), ("os.splice", refuse_splice)]
)
def test_where_the_page_cache_cannot_be_passed_by_it_is_not(
    tmp_path: Path, told: list[int], monkeypatch: pytest.MonkeyPatch, name: str, refusal: Callable[..., int]
) -> None:
    live, frozen = str(tmp_path / "live.crt"), str(tmp_path / "frozen.crt")
    monkeypatch.setattr(name, refusal)

    with victim() as pid:
        checkpoint(pid, live)
        checkpoint(pid, frozen, live="off")

    verify(live)
    assert (MEMORY - HIDDEN <= sum(told)) is (refusal is refuse_splice)
    assert [] == changed(frozen, live)


@pytest.mark.parametrize("way", ["past"], indirect=True)
def test_a_full_disk_is_named_and_the_target_goes_on(
    tmp_path: Path, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(source: int, target: int, length: int, *, offset_dst: int) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "splice", full)

    with victim() as pid:
        with pytest.raises(EnvironmentDiffers, match="no space is left there"):
            checkpoint(pid, str(tmp_path / "image.crt"))
        assert "S" == stat_file.parse(read(pid, "stat")).state
        assert () == children(pid, pid)

    assert [] == list(tmp_path.iterdir())


def test_what_is_written_to_meanwhile_is_in_the_image_as_it_was(tmp_path: Path, way: str) -> None:
    image = str(tmp_path / "image.crt")

    with writer() as pid:
        for _ in range(5):
            checkpoint(pid, image, live="fork", force=True)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)

        result = restart(image, detach=True)
        os.kill(result.pid, signal.SIGTERM)

        assert 0 == os.waitstatus_to_exitcode(os.waitpid(result.pid, 0)[1])
ID = 54321
NO_IMAGE, IMAGE = 0, 1


def give_up_rights(memory: mmap.mmap | None = None) -> None:
    """As a process of an ordinary user's, which crtool's caller, root, does not trust."""
    os.setgroups([])
    os.setresgid(ID, ID, ID)
    os.setresuid(ID, ID, ID)
    syscall("prctl", PR_SET_DUMPABLE, 1)


def children_of(parent: int) -> list[int]:
    """Also those that no wait(2) tells of."""
    found = []
    for pid in processes():
        with suppress(TargetDied):
            found += [pid] if stat_file.parse(read(pid, "stat")).ppid == parent else []
    return found


def steal(pid: int) -> int:
    """Whether somebody of that user gets hold of a file that a twin of *pid* has open: IMAGE if he does."""
    child = os.fork()
    if child == 0:
        found = NO_IMAGE
        try:
            twins = [one for one in children_of(pid) if Path(f"/proc/{one}/comm").read_bytes() == NAME + b"\n"]
            give_up_rights()
            for twin in twins:
                pidfd = pidfd_open(twin)
                for number in range(8):
                    with suppress(OSError):
                        if stat.S_ISREG(os.fstat(pidfd_getfd(pidfd, number)).st_mode):
                            found = IMAGE
        except Exception:  # noqa: BLE001 - of a fork
            traceback.print_exc()
            found = 2
        finally:
            os._exit(found)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become somebody else")
def test_nobody_with_fewer_rights_gets_the_image(tmp_path: Path, told: list[int]) -> None:
    """A twin is a process of its owner's user, who can take what it has open: pidfd_getfd(2)."""
    image = str(tmp_path / "image.crt")
    stolen = set()

    with victim(prelude=give_up_rights) as pid:
        checkpoint(pid, image, progress=lambda progress: stolen.add(steal(pid)))

    verify(image)
    assert {NO_IMAGE} == stolen
    assert [] == told


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to give up what is his")
def test_nor_does_root_without_his_capabilities(tmp_path: Path, told: list[int]) -> None:
    """As in a container: the number is root's, and that is all."""

    with victim(prelude=drop_capabilities) as pid:
        checkpoint(pid, str(tmp_path / "image.crt"))

    verify(tmp_path / "image.crt")
    assert [] == told


def drop_capabilities(memory: mmap.mmap) -> None:
    """All of them (capset(2))."""
    header = ctypes.create_string_buffer(CAP_HEADER)
    data = ctypes.create_string_buffer(CAP_DATA.size)
    syscall("capset", ctypes.addressof(header), ctypes.addressof(data))
