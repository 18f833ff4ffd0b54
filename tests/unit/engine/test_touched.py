"""What a restart would open and grant, by the records of an image."""

from __future__ import annotations

import os
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from crtool.abi import sched
from crtool.engine.touched import written
from crtool.procfs.limits import RLIM_INFINITY
from crtool.resources import limits, scheduling
from crtool.resources.files.procfs import ProcfsRecord
from crtool.resources.files.tty_device import TtyDeviceRecord
from crtool.resources.limits import LimitRecord, LimitsRecord


def snapshot(*descriptions: object) -> Any:
    files = SimpleNamespace(descriptions=descriptions, inodes=(), pipes=())
    return SimpleNamespace(memories=(), files=files)


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (os.O_RDWR, ["/dev/ttyS0", "/proc/12/task/13/comm", "/proc/(ended)/oom_score_adj"]),
        (os.O_WRONLY, ["/dev/ttyS0", "/proc/12/task/13/comm", "/proc/(ended)/oom_score_adj"]),
        (os.O_RDONLY, []),
        (os.O_PATH | os.O_WRONLY, []),
    ],
)
def test_devices_and_processes_that_are_written_to(flags: int, expected: list[str]) -> None:
    found = written(
        snapshot(
            TtyDeviceRecord(b"/dev/ttyS0", 0, flags, b"", False),
            ProcfsRecord(12, 13, b"/comm", flags, 0),
            ProcfsRecord(0, 0, b"/oom_score_adj", flags, 0),
        )
    )
    assert expected == list(found)


def test_ranks_above_ones_own() -> None:
    own = scheduling.dump(os.getpid())
    assert [] == list(scheduling.above(own, own))
    fifo = replace(own, policy=sched.SCHED_FIFO, priority=7)
    assert ["SCHED_FIFO priority 7"] == list(scheduling.above(fifo, own))
    assert ["SCHED_DEADLINE"] == list(scheduling.above(replace(own, policy=sched.SCHED_DEADLINE), own))
    assert ["real-time I/O priority 4"] == list(scheduling.above(replace(own, ioprio=1 << 13 | 4), own))
    assert [] == list(scheduling.above(replace(own, nice=19, policy=sched.SCHED_IDLE), own))


def test_limits_above_ones_own() -> None:
    own = LimitsRecord((LimitRecord(7, "RLIMIT_NOFILE", 1024, 4096), LimitRecord(8, "RLIMIT_MEMLOCK", 10, 10)))
    more = LimitsRecord((LimitRecord(7, "RLIMIT_NOFILE", 2048, RLIM_INFINITY), LimitRecord(8, "RLIMIT_MEMLOCK", 5, 5)))
    expected = [
        "RLIMIT_NOFILE soft 2048, that of crtool is 1024",
        "RLIMIT_NOFILE hard unlimited, that of crtool is 4096",
    ]
    assert expected == list(limits.above(more, own))
    assert ["RLIMIT_MEMLOCK"] == sorted({each.split()[0] for each in limits.above(own, more)})
