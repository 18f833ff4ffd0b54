"""What this machine can do, or what stands in the way of a checkpoint of one process. Nothing is touched."""

from __future__ import annotations

from crtool.engine.preflight import Report, survey
from crtool.engine.results import CheckReport, Feature
from crtool.kernel import features
from crtool.resources.policy import Files, Policy, Stdio, Tcp, Unix

__all__ = ["check"]

# What docs/performance.md has measured, rounded up; a busy machine takes longer.
_FIRST = 0.007  # seconds that the smallest process stands still
_PROCESS = 0.002  # for each further process
_THREAD = 0.0003  # for each further thread
_FORK = 0.025 / (1 << 30)  # for each byte of a process that is forked
_COPY = 1.0 / (1 << 30)  # for each byte that is copied while it stands still


def check(
    pid: int | None = None,
    *,
    stdio: Stdio = "refuse",
    tcp: Tcp = "keep",
    unix: Unix = "refuse",
    files: Files = "names",
    sysvipc: bool = False,
) -> CheckReport:
    """Probes kernel and rights; with *pid*, also looks at that process and its descendants for obstacles.

    *stdio*, *tcp*, *unix*, *files* and *sysvipc* are what the checkpoint would be told, see there: what stands in
    the way, and what would be lost, depends on them.

    Raises TargetError if *pid* is nothing that can be checkpointed.
    """
    found = tuple(Feature(probe.name, probe.available, probe.detail, probe.needed) for probe in features.probe_all())
    if pid is None:
        return CheckReport(found)
    report = survey(pid, Policy(stdio=stdio, tcp=tcp, unix=unix, files=files, sysvipc=sysvipc))
    others = _overhead(report)
    return CheckReport(
        features=found,
        obstacles=tuple(report.obstacles),
        warnings=tuple(report.warnings),
        estimated_size=report.memory,
        estimated_frozen_seconds=others + _FORK * (report.memory - report.small) + _COPY * report.small,
        estimated_copy_seconds=others + _COPY * report.memory,
    )


def _overhead(report: Report) -> float:
    """Seconds that are not about memory."""
    processes = max(len(report.pids), 1)
    return _FIRST + _PROCESS * (processes - 1) + _THREAD * max(report.threads - processes, 0)
