"""A twin's memory stays as it is, though it runs: its pages go to the disk after their checksums were made."""

from __future__ import annotations

import os
import signal
import struct
from pathlib import Path
from typing import Any

import pytest

from crtool.engine import twin_pages
from crtool.engine.checkpoint import checkpoint
from crtool.engine.verify import verify
from crtool.kernel import ptrace
from crtool.kernel.wait import WALL, wait_for_stop
from crtool.puppet.twin import Twin

from .victim import victim


def test_it_has_no_area_that_the_kernel_writes_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And what was in that is in the image."""
    seen: list[tuple[tuple[int, int, int], bool, int]] = []
    area, _, _ = _own_area()
    assert area, "the C library here uses no rseq"
    copy_twin = twin_pages.copy_twin

    def look(twin: Twin, *rest: Any) -> None:
        (cpu,) = struct.unpack_from("<i", os.pread(twin.memory, 8, area), 4)  # cpu_id of struct rseq
        seen.append((ptrace.rseq(twin.tid), twin.is_still, cpu))
        copy_twin(twin, *rest)

    monkeypatch.setattr("crtool.engine.space.copy_twin", look)
    with victim(8) as pid:
        checkpoint(pid, str(tmp_path / "image"), live="fork")

    assert [((0, 0, 0), True)] == [one[:2] for one in seen]
    assert 0 <= seen[0][2] < (os.cpu_count() or 1)  # not what says that there is none, RSEQ_CPU_ID_UNINITIALIZED


def test_pages_that_may_change_do_not_go_by_reference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a kernel that does not tell of such areas."""
    spliced = []
    monkeypatch.setattr(ptrace, "tells_rseq", lambda tid: False)
    monkeypatch.setattr("crtool.resources.memory.direct.splice", lambda *arguments: spliced.append(arguments))
    with victim(64) as pid:
        checkpoint(pid, str(tmp_path / "image"), live="fork")

    assert [] == spliced
    verify(str(tmp_path / "image"))


def _own_area() -> tuple[int, int, int]:
    """Of this process: a fork has the same, and can be asked."""
    pid = os.fork()
    if pid == 0:
        while True:
            signal.pause()
    try:
        ptrace.seize(pid, 0)
        ptrace.interrupt(pid)
        wait_for_stop(pid)
        return ptrace.rseq(pid)
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, WALL)
