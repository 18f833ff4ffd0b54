"""Ping sockets, which most machines allow to nobody: in a network of their own, where this test allows them."""

from __future__ import annotations

import fcntl
import os
import re
import socket
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from crtool.abi.clone import CLONE_NEWNET
from crtool.kernel.syscall import syscall

from .harness.processes import descendants, reap_all

REPOSITORY = Path(__file__).resolve().parents[2]
SIOCSIFFLAGS, IFF_UP = 0x8914, 1
ARGUMENTS = ("-q", "-p", "no:xdist", "-p", "no:cacheprovider", "tests/live/test_specimens.py", "-k", "raw_ping")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_ping_sockets_come_back_in_every_mode(tmp_path: Path) -> None:
    before = descendants()
    code = "import sys; from tests.live.test_ping import main; main(sys.argv[1])"
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "base"], cwd=REPOSITORY, text=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=300, check=False,
    )  # fmt: skip
    reap_all(descendants() - before)  # what that process has kept for its tests
    modes = re.search(r"(\d+) passed", done.stdout)

    assert 0 == done.returncode, done.stdout
    assert modes is not None
    assert int(modes[1]) >= 3, done.stdout
    assert "skipped" not in done.stdout, done.stdout


def main(folder: str) -> None:
    """In a process of its own: becomes pytest, inside of a new network namespace with a loopback device that is up."""
    syscall("unshare", CLONE_NEWNET)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        fcntl.ioctl(sock, SIOCSIFFLAGS, struct.pack("<16sH22x", b"lo", IFF_UP))
    Path("/proc/sys/net/ipv4/ping_group_range").write_text(f"0 {os.getegid()}")
    os.execv(sys.executable, [sys.executable, "-m", "pytest", f"--basetemp={folder}", *ARGUMENTS])
