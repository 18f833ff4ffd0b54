"""What this machine can do, or what stands in the way of a checkpoint of one process. Nothing is touched."""

from __future__ import annotations

from crtool.engine.preflight import survey
from crtool.engine.results import CheckReport, Feature
from crtool.kernel import features

__all__ = ["check"]


def check(pid: int | None = None) -> CheckReport:
    """Probes kernel and rights; with *pid*, also looks at that process and its descendants for obstacles.

    Raises TargetError if *pid* is nothing that can be checkpointed.
    """
    found = tuple(Feature(probe.name, probe.available, probe.detail, probe.needed) for probe in features.probe_all())
    if pid is None:
        return CheckReport(found)
    report = survey(pid)
    return CheckReport(found, tuple(report.obstacles), tuple(report.warnings), report.memory)
