"""``crtool clone``: running copies of a process, side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import click

from crtool.cli.ending import end_like, finish, say, warn
from crtool.cli.group import VERBS, Example, Verb
from crtool.cli.options import (
    duration_option,
    json_output,
    pid_argument,
    quiet,
    signal_option,
    stdio_option,
    sysvipc_option,
    target_pid,
    unix_option,
    verbose,
)
from crtool.cli.story import tell_stages
from crtool.cli.text import as_json, count, duration, size
from crtool.cli.views import ProgressBar

if TYPE_CHECKING:
    from crtool.engine.results import CloneResult

__all__ = ["command"]

_EXAMPLES = (
    Example("Three more of a service that has warmed up, and return.", "crtool clone -d -n 3 4711"),
    Example("Try something on a copy; it ends with crtool's terminal or Ctrl-C.", "crtool clone 4711"),
)

_NOTES = (
    (
        "THE COPIES",
        "Each copy is in a PID namespace of its own, in which its processes have the PIDs that they know of; from "
        "outside they have others. The PIDs of the copies' first processes are printed, one a line. The original goes "
        "on, and stands still only as long as for crtool checkpoint. The image is in memory, and vanishes "
        "when all copies run. If one of them cannot come to life, all others are ended.",
    ),
    (
        "WHAT THEY SHARE",
        "Files are the same ones: copies that write to one file write over each other. TCP connections stay with the "
        "original; in the copies they come back as reset. What only one can have stands in the way and is named: ports "
        "that somebody listens on (unless with SO_REUSEPORT), names of unix sockets, the terminal of a session.",
    ),
    (
        "RANDOM NUMBERS",
        "All copies, and the original, would draw the same ones. With --signal NAME every process of a copy that "
        "catches that signal gets it before it runs on; crtool restart --help tells more.",
    ),
    (
        "WAITING",
        "Without --detach crtool is the parent of the copies, passes signals on to all of them, and ends when the last "
        "has ended: like the first of them, in their order, that did not end with 0.",
    ),
)


@click.command(
    "clone",
    cls=Verb,
    short_help=VERBS["clone"].help,
    examples=_EXAMPLES,
    usual="--number --detach --timeout",
    result="CloneResult",
    notes=_NOTES,
)
@pid_argument()
@click.option("-n", "--number", type=click.IntRange(1, 10_000), default=1, metavar="N", help="How many; 1 by default.")
@click.option("-d", "--detach", is_flag=True, help="Return once all copies run; do not wait for their end.")
@stdio_option
@unix_option
@sysvipc_option
@click.option(
    "--clock",
    type=click.Choice(["auto", "continue", "host"]),
    default="auto",
    help="Clocks of the copies, as for crtool restart.",
)
@signal_option
@duration_option("--timeout", help="Give up saving after TIME: seconds, or 90s, 2m, 1h.")
@json_output
@quiet
@verbose
def command(
    pid: int | None,
    tree: int | None,
    number: int,
    detach: bool,
    stdio: Literal["refuse", "inherit"],
    unix: Literal["refuse", "close", "reconnect"],
    sysvipc: bool,
    clock: Literal["auto", "continue", "host"],
    told_by: int,
    timeout: float | None,
    as_object: bool,
    quiet: bool,
) -> int:
    """Start N running copies of process PID and all its descendants, which go on themselves: a warm start."""
    from crtool.engine.clone import clone  # noqa: PLC0415 - help and errors of usage do without

    target = target_pid(pid, tree)
    assert target is not None

    def running(result: CloneResult) -> None:
        for warning in result.warnings:
            warn(warning)
        tell_stages(result.stages)
        if not as_object:
            click.echo("\n".join(map(str, result.copies)))
        if not quiet:
            what = f"PID {result.pid} goes on, beside {'a copy' if number == 1 else f'{number:,} copies'}"
            took = f"{duration(result.wall_seconds)}, frozen for {duration(result.frozen_seconds)}"
            say(f"{what} of {count(result.processes, 'process')}, {size(result.size)} each: {took}")

    with ProgressBar(enabled=not quiet, preload=True) as bar:
        result = clone(
            target, number, detach=detach, timeout=timeout, stdio=stdio, unix=unix, sysvipc=sysvipc,
            clock=clock, signal_number=told_by, progress=bar, running=running, done=finish,
        )
    if as_object:
        click.echo(as_json(result))
    return end_like(next((status for status in result.statuses if status), 0))
