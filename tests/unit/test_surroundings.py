"""What is left among what all share: each kind is named, or the census would be worth nothing."""

from __future__ import annotations

import ctypes
import fcntl
import os
import secrets
import struct
import tempfile
from pathlib import Path

import pytest

from crtool.kernel import mqueue
from tests import census, surroundings
from tests.census import Census
from tests.machine import own_group

TUNSETIFF = 0x400454CA
IFF_TUN, IFF_NO_PI = 1, 0x1000
IPC_RMID = 0
LIBC = ctypes.CDLL(None, use_errno=True)

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, for an IPC namespace of the tests' own")


@pytest.fixture
def before() -> Census:
    return census.take(b"/nowhere")


# Others, who run these very tests, may make something of crtool's names in folders of everybody meanwhile.
@pytest.mark.parametrize("folder", ["/tmp", "/dev/shm", "/var/tmp"])
@pytest.mark.parametrize("name", ["specimen-{mark}", "crtool-{mark}", ".crtool-{token}", ".a.crt.{token}", ".{token}"])
def test_files_in_folders_of_everybody(before: Census, folder: str, name: str) -> None:
    path = Path(folder, name.format(mark=surroundings.mark(), token=secrets.token_hex(8)))
    path.touch()
    found = _left(before)
    path.unlink()

    assert f"file {path}" in found
    assert f"file {path}" not in _left(before)


@pytest.mark.parametrize("name", ["specimen-{other}-0", "specimen-{mine}0-0", "{mine}", "a-{mine}.crt"])
def test_files_of_others_are_theirs(before: Census, name: str) -> None:
    path = Path("/tmp", name.format(mine=os.getpid(), other=os.getppid()))
    path.touch(exist_ok=False)
    found = _left(before)
    path.unlink()

    assert f"file {path}" not in found


def test_temporary_files_of_any_name(before: Census) -> None:
    with tempfile.TemporaryDirectory() as folder:
        assert f"file {folder}" in _left(before)
    assert f"file {folder}" not in _left(before)


def test_what_a_user_keeps(before: Census, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    for name in (".cache/crtool", ".config/crtool", ".local/share/crtool", ".local/state/crtool", "crtool"):
        (tmp_path / name).mkdir(parents=True)
        assert f"file {tmp_path / name}" in _left(before)


@needs_root
@pytest.mark.parametrize(("kind", "arguments"), [("shm", (4096,)), ("sem", (1,)), ("msg", ())])
def test_objects_of_system_v(before: Census, kind: str, arguments: tuple[int, ...]) -> None:
    number = getattr(LIBC, f"{kind}get")(0x637274, *arguments, 0o1600)
    found = _left(before)
    getattr(LIBC, f"{kind}ctl")(number, *((0,) if kind == "sem" else ()), IPC_RMID, None)

    assert [f"object {kind} {number}, key {0x637274}"] == _of_ipc(found)
    assert [] == _of_ipc(_left(before))


@needs_root
def test_a_message_queue(before: Census) -> None:
    os.close(mqueue.open_queue(b"left", os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600, 1, 1))
    found = _left(before)
    mqueue.unlink(b"left")

    assert ["object message queue /left"] == _of_ipc(found)
    assert [] == _of_ipc(_left(before))


@needs_root
def test_a_setting(before: Census) -> None:
    place = Path("/proc/sys/kernel/msgmax")
    value = place.read_text()
    place.write_text("4711")
    found = _left(before)
    place.write_text(value)

    assert "setting kernel/msgmax = 4711" in found
    assert "setting kernel/msgmax = 4711" not in _left(before)


@pytest.mark.machine("tun")
@needs_root
def test_a_network_interface(before: Census) -> None:
    name = f"crtc{os.getpid()}"
    with open("/dev/net/tun", "r+b", buffering=0) as device:
        fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TUN | IFF_NO_PI))
        found = _left(before)

    assert f"file /sys/class/net/{name}" in found
    assert f"file /sys/class/net/{name}" not in _left(before)


@pytest.mark.machine("a control group")
@needs_root
def test_a_control_group(before: Census) -> None:
    group = own_group(f"crtool-census-{os.getpid()}")
    found = _left(before)
    group.rmdir()

    assert f"file {group}" in found
    assert f"file {group}" not in _left(before)


@needs_root
def test_the_ipc_namespace_is_ours() -> None:
    """Or what other workers make would be counted."""
    assert os.readlink("/proc/self/ns/ipc") != os.readlink(f"/proc/{os.getppid()}/ns/ipc")


def _left(before: Census) -> list[str]:
    return census.take(b"/nowhere").left(before)


def _of_ipc(found: list[str]) -> list[str]:
    return [word for word in found if word.startswith("object")]
