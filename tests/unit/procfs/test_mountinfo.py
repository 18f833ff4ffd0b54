"""/proc/PID/mountinfo."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crtool.procfs import fdinfo, mountinfo
from crtool.procfs.error import ProcfsError
from crtool.procfs.mountinfo import Mount
from crtool.procfs.read import read


def test_sample(sample: Callable[[str], bytes]) -> None:
    found = mountinfo.parse(sample("mountinfo"))

    assert 7 == len(found)
    assert found[0] == Mount(
        id=63,
        parent=43,
        major=0,
        minor=39,
        root=b"/",
        mount_point=b"/tmp/mi",
        options=("rw", "relatime"),
        shared=None,
        master=None,
        propagate_from=None,
        unbindable=False,
        fs_type="tmpfs",
        source=b"none",
        super_options=b"rw",
    )


def test_sample_of_names(sample: Callable[[str], bytes]) -> None:
    found = mountinfo.parse(sample("mountinfo"))

    assert (b"/tmp/mi/a b", b"", "tmpfs") == (found[1].mount_point, found[1].source, found[1].fs_type)
    assert (b"/tmp/mi/q\\w#", b"sp ace") == (found[2].mount_point, found[2].source)
    assert (b"/tab\tx//deleted", b"/tmp/mi/root") == (found[6].root, found[6].mount_point)


def test_sample_of_flags(sample: Callable[[str], bytes]) -> None:
    found = mountinfo.parse(sample("mountinfo"))

    assert [False, False, True, False] == [mount.read_only for mount in found[:4]]
    assert (1, None) == (found[3].shared, found[3].master)
    assert (None, 1) == (found[4].shared, found[4].master)
    assert [False, True, False] == [mount.unbindable for mount in found[4:]]


def test_the_example_of_the_manual() -> None:
    line = b"36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 propagate_from:7 - ext3 /dev/root rw,errors=continue\n"

    (mount,) = mountinfo.parse(line)

    assert (36, 35, 98, 0, b"/mnt1", b"/mnt2") == (
        mount.id,
        mount.parent,
        mount.major,
        mount.minor,
        mount.root,
        mount.mount_point,
    )
    assert (("rw", "noatime"), 1, 7) == (mount.options, mount.master, mount.propagate_from)
    assert ("ext3", b"/dev/root", b"rw,errors=continue") == (mount.fs_type, mount.source, mount.super_options)


def test_a_mount_point_that_looks_like_the_separator() -> None:
    (mount,) = mountinfo.parse(b"1 1 0:1 - - rw - fuse.x - ro,opt=a b\n")

    assert (b"-", b"-", b"-", b"ro,opt=a b", True) == (
        mount.root,
        mount.mount_point,
        mount.source,
        mount.super_options,
        mount.read_only,
    )


@pytest.mark.parametrize(
    "line",
    [
        b"36 35 98:0 /mnt1 /mnt2 rw,noatime",
        b"36 35 98:0 /mnt1 /mnt2 rw - ext3",
        b"x 35 98:0 /mnt1 /mnt2 rw - ext3 a b",
        b"36 35 98 /mnt1 /mnt2 rw - ext3 a b",
        b"36 35 98:0 /mnt1 /mnt2 rw shared:x - ext3 a b",
    ],
)
def test_bad_line(line: bytes) -> None:
    with pytest.raises(ProcfsError) as caught:
        mountinfo.parse(b"36 35 98:0 /mnt1 /mnt2 rw - ext3 a b\n" + line + b"\n")

    assert ("mountinfo", line) == (caught.value.file, caught.value.value)


@given(st.binary())
def test_any_path(path: bytes) -> None:
    """Escaped as the kernel's mangle() does it."""
    escaped = b"".join(b"\\%03o" % byte if byte in b" \t\n\\#" else bytes([byte]) for byte in path)

    (mount,) = mountinfo.parse(b"36 35 98:0 /%s /%s rw - ext3 %s rw\n" % (escaped, escaped, escaped))

    assert (b"/" + path, b"/" + path, path) == (mount.root, mount.mount_point, mount.source)


@given(st.binary())
def test_any_bytes(data: bytes) -> None:
    try:
        mountinfo.parse(data)
    except ProcfsError as error:
        assert error.value in data


def test_this_process() -> None:
    found = {mount.id: mount for mount in mountinfo.parse(read(os.getpid(), "mountinfo"))}

    fd = os.open("/proc", os.O_PATH)
    try:
        mount = found[fdinfo.parse(read(os.getpid(), f"fdinfo/{fd}")).mnt_id]
        device = os.fstat(fd).st_dev
    finally:
        os.close(fd)

    assert ("proc", b"/proc") == (mount.fs_type, mount.mount_point)
    assert (os.major(device), os.minor(device)) == (mount.major, mount.minor)
