"""fio with native AIO, always with 32 requests in flight: what it reads is what it wrote, and no request is lost."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from .midwork import PATIENCE, Program, Run, need

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to see what is in flight"),
    pytest.mark.machine("bpf"),
]
COMMAND = (
    "fio", "--name=job", "--filename=data", "--size=8m", "--time_based", "--runtime=600", "--bs=4k", "--thread",
    "--rw=randrw", "--verify=crc32c", "--ioengine=libaio", "--direct=1", "--iodepth=32",
)  # fmt: skip
ROUNDS = 3


@need("fio")
@pytest.mark.parametrize("options", [(), ("--userspace_reap",)], ids=["by-calls", "by-itself"])
def test_fio(tmp_path: Path, options: tuple[str, ...]) -> None:
    """Results are taken by io_getevents(2), or out of the ring by the program itself."""
    run = Run(Program("fio", (*COMMAND, *options), working=lambda folder: True, status=128), tmp_path / "run")
    try:
        limit = time.monotonic() + PATIENCE
        while b"/[aio]" not in Path(f"/proc/{run.root}/maps").read_bytes() and time.monotonic() < limit:
            time.sleep(0.01)
        for number in range(ROUNDS):
            time.sleep(0.2)
            left, killed = tmp_path / f"left{number}", tmp_path / f"killed{number}"
            run.checkpoint(left, "--sysvipc", "--live", "fork")
            run.checkpoint(killed, "--sysvipc", "--kill")
            run.restart(killed)
        os.kill(run.root, signal.SIGINT)
        run.finish()
        assert " err= 0:" in (run.folder / "out").read_text()
    finally:
        run.end()
