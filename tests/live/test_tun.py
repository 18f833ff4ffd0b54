"""Network interfaces of programs that stay when the program ends."""

from __future__ import annotations

import fcntl
import os
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from .harness.command import crtool
from .harness.processes import Deadline, all_ended, descendants, end

TUNSETPERSIST, TUNSETIFF = 0x400454CB, 0x400454CA
IFF_TUN, IFF_NO_PI = 1, 0x1000
PATIENCE = 60.0
HOLDER = f"""
import fcntl, os, signal, struct, sys
fd = os.open("/dev/net/tun", os.O_RDWR)
fcntl.ioctl(fd, {TUNSETIFF}, struct.pack("16sH22x", sys.argv[1].encode(), {IFF_TUN | IFF_NO_PI}))
fcntl.ioctl(fd, {TUNSETPERSIST}, 1)
print(fd, flush=True)
signal.pause()
"""

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root, for network interfaces"),
    pytest.mark.machine("tun"),
]


@pytest.fixture
def interface() -> Iterator[str]:
    """The name of one; who has it is ended before it is removed, however the test ends."""
    name = f"crtp{os.getpid()}"
    with all_ended():
        yield name
    remove(name)


def remove(name: str) -> None:
    """Nobody else is attached: it goes with our descriptor."""
    if os.path.exists(f"/sys/class/net/{name}"):
        fd = os.open("/dev/net/tun", os.O_RDWR)
        fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TUN | IFF_NO_PI))
        fcntl.ioctl(fd, TUNSETPERSIST, 0)
        os.close(fd)


def test_a_persistent_interface_is_attached_again_or_missed(interface: str, tmp_path: Path) -> None:
    image = str(tmp_path / "image")
    out = tmp_path / "out"
    with open(out, "wb") as output:
        holder = subprocess.Popen(
            [sys.executable, "-c", HOLDER, interface], stdin=subprocess.DEVNULL, stdout=output, stderr=output,
            cwd=tmp_path, start_new_session=True,
        )  # fmt: skip
    Deadline(PATIENCE, "the interface").wait_until(lambda: out.read_text().endswith("\n"))
    fd = int(out.read_text())
    saved = crtool("checkpoint", str(holder.pid), "--kill", "-o", image)
    assert 0 == saved.returncode, saved.stderr
    holder.wait(PATIENCE)
    assert os.path.exists(f"/sys/class/net/{interface}")

    before = descendants()
    done = crtool("restart", "--detach", "--no-pidns", image)
    assert 0 == done.returncode, done.stderr
    assert f"iff:\t{interface}\n" in Path(f"/proc/{holder.pid}/fdinfo/{fd}").read_text()
    end(descendants() - before)
    remove(interface)
    done = crtool("restart", "--detach", image)
    assert 126 == done.returncode
    assert f"{interface}, a persistent one, is not there" in done.stderr
