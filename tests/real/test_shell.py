"""A bash script, and a pipeline of coreutils."""

from __future__ import annotations

from collections.abc import Callable

from .midwork import PROGRAMS, Program, need, progress

Survives = Callable[[Program], None]


@need("bash", "awk", "diff")
def test_bash_script(survives: Survives) -> None:
    """Subshells, traps, background jobs, a coprocess and process substitution go on where they were."""
    survives(
        Program(
            "bash script",
            ("bash", str(PROGRAMS / "jobs.sh")),
            working=progress(5),
            results=("heard",),
            status=3,
        )
    )


@need("bash", "awk", "sort", "tee", "cksum")
def test_pipeline(survives: Survives) -> None:
    """No byte is lost or doubled in the pipes between eight processes."""
    survives(
        Program(
            "pipeline",
            ("bash", str(PROGRAMS / "pipeline.sh")),
            working=progress(5000),
            results=("result", "check"),
        )
    )
