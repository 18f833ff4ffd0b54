"""An engine that does nothing, remembers what it was asked, and answers what a test wants."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from crtool.engine.results import (
    CheckpointResult,
    CheckReport,
    DescriptorSummary,
    Feature,
    ImageSummary,
    MappingSummary,
    MemoryDigest,
    ProcessSummary,
    Progress,
    RestartResult,
    SignalSummary,
    SocketSummary,
    TimerSummary,
    VerifyResult,
)
from crtool.errors import Obstacle

CHECKPOINT = CheckpointResult(
    image="web.crt",
    size=5 << 20,
    pid=4711,
    processes=3,
    threads=7,
    pages_written=1234,
    pages_skipped=99,
    frozen_seconds=0.0042,
    wall_seconds=0.5,
    left="running",
    stages={"freeze": 0.001, "memory": 0.003},
    pages_scanned=1350,
    pages_zero=42,
    pages_shared=17,
    forked=3,
    bytes_per_second=2.0 * (1 << 30),
)
RESTART = RestartResult(pid=4711, processes=3, wall_seconds=0.012)
CHECK = CheckReport(features=(Feature("ptrace", True, "may trace", True), Feature("soft-dirty", False, "off", False)))
OBSTACLE = Obstacle(4711, "fd 7", "io_uring ring cannot be saved", "close it first")
ROOT = ProcessSummary(
    pid=10,
    ppid=1,
    pgid=10,
    sid=10,
    state="S (sleeping)",
    comm="sh",
    exe="/bin/sh",
    cmdline=("sh", "-c", "work"),
    threads=1,
    mappings=(
        MappingSummary(0x1000, 0x3000, "r-xp", "/bin/sh", 0),
        MappingSummary(0x7F0000000000, 0x7F0000001000, "rw-p", "[heap]", 4096),
    ),
    memory_bytes=4096,
    descriptors=(DescriptorSummary(0, "pipe", "read end"), DescriptorSummary(11, "file", "/tmp/a\x1b[31m")),
    environment=("HOME=/root", "A=b"),
    sockets=(
        SocketSummary(5, "tcp", "10.0.0.1:22", "10.0.0.2:4000", "established"),
        SocketSummary(6, "udp", "", "", ""),
    ),
    signals=(SignalSummary(15, "SIGTERM", "caught", (), 0), SignalSummary(34, "SIGRTMIN+0", "default", (10,), 3)),
    timers=(
        TimerSummary("timer 3", "CLOCK_MONOTONIC", 250_000_000, 2_000_000_000, "sends SIGUSR1"),
        TimerSummary("fd 7", "CLOCK_REALTIME", 0, 0, "2 unread"),
    ),
)
CHILD = ProcessSummary(
    pid=11,
    ppid=10,
    pgid=10,
    sid=10,
    state="R",
    comm="evil\nname",
    exe="",
    cmdline=(),
    threads=2,
    mappings=(),
    memory_bytes=2 << 20,
    descriptors=(),
)
SHOW = ImageSummary(
    format=1,
    cpu="x86_64",
    kernel="Linux 6.18",
    created="2026-01-02T03:04:05Z",
    size=3 << 20,
    root=10,
    processes=(ROOT, CHILD),
    data_bytes=2 << 20,
    tty="/dev/pts/3",
)
VERIFY = VerifyResult(
    size=3 << 20, sections=("header", "records"), memory=(MemoryDigest(4711, 5 << 20, "0123abcd" * 4),)
)

RESULTS: Mapping[str, Any] = {
    "checkpoint": CHECKPOINT,
    "restart": RESTART,
    "check": CHECK,
    "show": SHOW,
    "verify": VERIFY,
}


@dataclass
class Engine:
    """What the verbs of the Python API answer, and what they were asked."""

    results: dict[str, Any] = field(default_factory=lambda: dict(RESULTS))
    error: BaseException | None = None
    news: tuple[Progress, ...] = ()
    calls: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = field(default_factory=list)

    def verb(self, name: str) -> Callable[..., Any]:
        """The function that stands for the verb *name*."""

        def call(*args: Any, progress: Callable[[Progress], None] | None = None, **kwargs: Any) -> Any:
            self.calls.append((name, args, kwargs))
            for piece in self.news:
                assert progress is not None
                progress(piece)
            if self.error is not None:
                raise self.error
            if "running" in kwargs:
                kwargs["running"](self.results[name])
            return self.results[name]

        return call

    @property
    def call(self) -> tuple[str, tuple[Any, ...], dict[str, Any]]:
        """The only call there was."""
        (call,) = self.calls
        return call


def child(code: str, *args: str, **options: Any) -> subprocess.Popen[str]:
    """A ``crtool`` of its own, in which *code* has been run before: it may replace ``crtool.restart``, say."""
    start = f"import sys, crtool\n{code}\nfrom crtool.cli.main import run\nsys.argv = ['crtool', *sys.argv[1:]]\nrun()"
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL, **options}
    return subprocess.Popen([sys.executable, "-c", start, *args], text=True, **options)
