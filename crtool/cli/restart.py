"""``crtool restart``: bring the processes of an image back."""

from __future__ import annotations

import click

import crtool
from crtool.cli.ending import end_like, warn
from crtool.cli.group import VERBS, Example, Verb
from crtool.cli.options import (
    criu_habits,
    directory,
    image_argument,
    in_directory,
    json_output,
    quiet,
    source_of,
    verbose,
)
from crtool.cli.text import as_json, count, duration
from crtool.cli.views import ProgressBar

__all__ = ["command"]

_EXAMPLES = (
    Example("Bring the processes back, wait, and end as the first of them ends.", "crtool restart work.crt"),
    Example("Bring them back and return; write the PID to a file.", "crtool restart -d --pidfile work.pid work.crt"),
    Example("Take the image from a pipe.", "ssh HOST cat work.crt | crtool restart -"),
)

_NOTES = (
    (
        "WAITING",
        "Without --detach crtool is the parent of the restored root process and waits for it: signals that crtool gets "
        "go on to the root, and crtool ends as the root ends, with the same exit status, or by the same signal.",
    ),
    (
        "AGAIN AND AGAIN",
        "A restart does not change the image: it can be restarted any number of times. Nothing is built before the "
        "image has been verified; and if anything fails on the way, nothing of the restart is left behind.",
    ),
)


@click.command(
    "restart", cls=Verb, short_help=VERBS["restart"].help, examples=_EXAMPLES, result="RestartResult", notes=_NOTES
)
@image_argument(required=False)
@click.option("-d", "--detach", is_flag=True, help="Return once everything runs; do not wait for its end.")
@click.option("--pidfile", type=click.Path(), metavar="FILE", help="Write the PID of the root process to FILE.")
@click.option("-s", "--leave-stopped", is_flag=True, help="Leave the processes stopped; SIGCONT lets them go on.")
@directory
@criu_habits
@json_output
@quiet
@verbose
def command(
    image: str | None,
    detach: bool,
    pidfile: str | None,
    leave_stopped: bool,
    folder: str | None,
    as_object: bool,
    quiet: bool,
) -> int:
    """Bring the processes of IMAGE back, with the PIDs they had; - is standard input."""
    path = in_directory(folder, image)
    source = source_of(path)
    with ProgressBar(enabled=not quiet) as bar:
        result = crtool.restart(source, detach=detach, leave_stopped=leave_stopped, pidfile=pidfile, progress=bar)
    for warning in result.warnings:
        warn(warning)
    if as_object:
        click.echo(as_json(result))
    elif detach and not quiet:
        state = "stopped" if leave_stopped else "running"
        took = duration(result.wall_seconds)
        click.echo(f"PID {result.pid} is back and {state}: {count(result.processes, 'process')}, {took}")
    return 0 if result.status is None else end_like(result.status)
