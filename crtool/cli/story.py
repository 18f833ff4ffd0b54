"""What -v tells when work is done: its stages, how long each took, and what was done in it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import click

from crtool.cli.ending import say
from crtool.cli.options import verbosity
from crtool.cli.text import duration, size

if TYPE_CHECKING:
    from crtool.cli.views import ProgressBar

__all__ = ["DONE", "tell_amounts", "tell_stages"]

DONE = {
    "preflight": "looked at everything, and touched nothing",
    "freeze": "stopped every thread of every process",
    "collect": "read what the kernel keeps of them",
    "memory": "wrote the records and the memory",
    "bury": "stopped each once more, to end the fork that was copied",
    "commit": "put the image on the disk, and gave it its name",
    "let go": "let them go, or ended them",
    "read": "read the records, and verified them",
    "prepare": "compared this machine with the image, and opened the files",
    "births": "started the processes, with their PIDs",
    "files": "put the open files into their places",
    "space": "mapped the memory, filled it, and started the threads",
    "state": "set signals, timers, limits and rights",
    "release": "let everybody run",
}
"""What has been done when a stage of :mod:`crtool.engine.stages` is over, in the words of a user."""


def tell_stages(seconds: Mapping[str, float]) -> None:
    """With -v: one line for each stage of a checkpoint or a restart, in order. *seconds*: by the stage's value."""
    if verbosity(click.get_current_context()):
        for stage, took in seconds.items():
            say(f"{stage:10} {duration(took):>7}  {DONE[stage]}")


def tell_amounts(bar: ProgressBar) -> None:
    """With -v: one line for each stage of which *bar* has had news."""
    if verbosity(click.get_current_context()):
        for stage, took in bar.seconds.items():
            say(f"{stage:10} {duration(took):>7}  {size(bar.amounts[stage])}")
