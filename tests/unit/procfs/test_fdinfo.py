"""/proc/PID/fdinfo/FD, what all kinds have in common."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crtool.procfs import fdinfo
from crtool.procfs.error import ProcfsError
from crtool.procfs.fdinfo import Fdinfo
from crtool.procfs.read import read


def test_sample(sample: Callable[[str], bytes]) -> None:
    found = fdinfo.parse(sample("fdinfo_eventfd"))

    assert (0, 0o4002, 17, 1038) == (found.pos, found.flags, found.mnt_id, found.ino)
    assert (("eventfd-count", b"17"), ("eventfd-id", b"1"), ("eventfd-semaphore", b"1")) == found.extra
    assert b"17" == found.get("eventfd-count")
    assert found.get("sigmask") is None


def test_sample_without_extra(sample: Callable[[str], bytes]) -> None:
    found = fdinfo.parse(sample("fdinfo_opath"))

    assert () == found.extra
    assert os.O_PATH == found.flags & os.O_PATH
    assert found.close_on_exec


def test_sample_with_bare_keys(sample: Callable[[str], bytes]) -> None:
    assert 2 == len(fdinfo.parse(sample("fdinfo_inotify")).all("inotify"))
    assert b"flags:0 event-flags:8000" == fdinfo.parse(sample("fdinfo_fanotify")).get("fanotify")


def test_a_key_comes_twice(sample: Callable[[str], bytes]) -> None:
    found = fdinfo.parse(sample("fdinfo_locks"))

    assert 3 == len(found.all("lock"))
    assert found.all("lock")[0] == found.get("lock")


def test_lines_of_another_form_are_kept() -> None:
    """A driver may write whatever it likes, even a second "flags"."""
    found = fdinfo.parse(
        b"pos:\t5\nflags:\t0100002\nmnt_id:\t9\n\nSqMask:\t0x3\nUserFiles:\t1\n    1: x\nflags:\tq\nodd\n"
    )

    assert (
        Fdinfo(
            5,
            0o100002,
            9,
            None,
            (("SqMask", b"0x3"), ("UserFiles", b"1"), ("    1", b"x"), ("flags", b"q"), ("odd", b"")),
        )
        == found
    )


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b"pos:\t0\nflags:\t09\nmnt_id:\t1\n", b"flags:\t09"),
        (b"pos:\tx\nflags:\t02\nmnt_id:\t1\n", b"pos:\tx"),
        (b"pos:\t0\nflags:\t02\n", b"pos:\t0\nflags:\t02\n"),
        (b"", b""),
    ],
)
def test_bad(data: bytes, value: bytes) -> None:
    with pytest.raises(ProcfsError) as caught:
        fdinfo.parse(data)

    assert ("fdinfo", value) == (caught.value.file, caught.value.value)


@given(st.binary())
def test_any_bytes(data: bytes) -> None:
    assert fdinfo.parse(b"pos:\t0\nflags:\t02\nmnt_id:\t1\nino:\t3\n" + data).flags == 2
    try:
        fdinfo.parse(data)
    except ProcfsError as error:
        assert error.value in data


def test_this_process(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"12345678")
    fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_NONBLOCK)
    try:
        os.lseek(fd, 5, os.SEEK_SET)
        found = fdinfo.parse(read(os.getpid(), f"fdinfo/{fd}"))
        status = os.fstat(fd)
        os.set_inheritable(fd, True)
        inherited = fdinfo.parse(read(os.getpid(), f"fdinfo/{fd}"))
    finally:
        os.close(fd)

    assert (5, ()) == (found.pos, found.extra)
    assert os.O_RDWR | os.O_APPEND | os.O_NONBLOCK == found.flags & (os.O_ACCMODE | os.O_APPEND | os.O_NONBLOCK)
    assert found.ino in (status.st_ino, None)
    assert (True, False) == (found.close_on_exec, inherited.close_on_exec)
