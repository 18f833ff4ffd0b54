"""What of an open file in flight within a unix socket does not come back, and that this is said."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from .harness.processes import Deadline

REPOSITORY = Path(__file__).resolve().parents[2]
HOLDER = """
import fcntl, os, signal, socket
one, other = socket.socketpair()
reader, writer = os.pipe()
fcntl.fcntl(reader, fcntl.F_SETOWN, os.getpid())
socket.send_fds(one, [b"x"], [reader])
os.close(reader)
print("ready", flush=True)
signal.pause()
"""


def test_whom_a_file_in_flight_tells_is_named_as_lost(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with open(out, "wb") as output:
        holder = subprocess.Popen(
            [sys.executable, "-c", HOLDER], stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd=tmp_path
        )
    try:
        Deadline(60.0, "ready").wait_until(lambda: "ready" in out.read_text())
        done = subprocess.run(
            [sys.executable, "-m", "crtool", "checkpoint", str(holder.pid), "-o", str(tmp_path / "image")],
            cwd=REPOSITORY, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip

        assert 0 == done.returncode, done.stderr
        assert "whom a file in flight tells by signals (F_SETOWN) is lost" in done.stderr
    finally:
        holder.kill()
        holder.wait(60)
