"""``crtool checkpoint``: save a process and all its descendants to one file."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Literal

import click

import crtool
from crtool.cli.ending import say, warn
from crtool.cli.group import VERBS, Example, Verb
from crtool.cli.options import (
    criu_habits,
    directory,
    duration_option,
    json_output,
    pid_argument,
    quiet,
    target_pid,
    verbose,
    verbosity,
)
from crtool.cli.text import as_json, count, duration, printable, size
from crtool.cli.views import ProgressBar
from crtool.errors import EnvironmentDiffers, UsageError

if TYPE_CHECKING:
    from crtool import CheckpointResult

__all__ = ["command"]

Leave = Literal["running", "stopped", "killed"]

_EXAMPLES = (
    Example("Save process 4711 and let it go on.", "crtool checkpoint 4711"),
    Example("Save it and end it, once the image is safely on disk.", "crtool checkpoint 4711 -k -o work.crt"),
    Example("Move it to another machine.", "crtool checkpoint 4711 -k -o - | ssh HOST crtool restart -"),
)

_NOTES = (
    (
        "WHAT HAPPENS TO THE PROCESS",
        "The processes are stopped while their state is read, and go on afterwards, unless --kill or --leave-stopped "
        "is given. The closing line says how long they stood still. Whatever happens, and even if crtool itself is "
        "killed, they are left as they were: only a complete image that has reached the disk lets --kill end them.",
    ),
    (
        "THE IMAGE",
        "One file, readable by its owner only, with a checksum over every byte. It appears under its name when it is "
        "complete, never before. By default it is called NAME-PID-YYYYMMDDTHHMMSS.crt and lies in the current folder.",
    ),
)


@click.command(
    "checkpoint",
    cls=Verb,
    short_help=VERBS["checkpoint"].help,
    examples=_EXAMPLES,
    result="CheckpointResult",
    notes=_NOTES,
)
@pid_argument()
@click.option(
    "-o", "--output", type=click.Path(allow_dash=True), metavar="IMAGE", help="Where to; - is standard output."
)
@click.option("-f", "--force", is_flag=True, help="Replace IMAGE if it exists.")
@click.option("-k", "--kill", is_flag=True, help="End the processes once the image is safely on disk.")
@click.option("-R", "--leave-running", is_flag=True, help="Let the processes go on (the default).")
@click.option("-s", "--leave-stopped", is_flag=True, help="Leave the processes stopped; SIGCONT lets them go on.")
@directory
@duration_option("--timeout", help="Give up after TIME: seconds, or 90s, 2m, 1h.")
@criu_habits
@json_output
@quiet
@verbose
@click.pass_context
def command(
    context: click.Context,
    pid: int | None,
    tree: int | None,
    output: str | None,
    force: bool,
    kill: bool,
    leave_running: bool,
    leave_stopped: bool,
    folder: str | None,
    timeout: float | None,
    as_object: bool,
    quiet: bool,
) -> None:
    """Save process PID and all its descendants, as they are now, to one file.

    The processes go on running by default: nobody loses one by mistake.
    """
    target = target_pid(pid, tree)
    assert target is not None
    leave = _leave(kill=kill, running=leave_running, stopped=leave_stopped)
    where = _destination(output, folder, as_object=as_object)
    with ProgressBar(enabled=not quiet, preload=True) as bar:
        result = crtool.checkpoint(target, where, leave=leave, force=force, timeout=timeout, progress=bar)
    for warning in result.warnings:
        warn(warning)
    if verbosity(context):
        for stage, seconds in result.stages.items():
            say(f"{stage:10} {duration(seconds)}")
    if as_object:
        click.echo(as_json(result))
    elif not quiet:
        click.echo(closing_line(result), err=result.image is None)


def _leave(*, kill: bool, running: bool, stopped: bool) -> Leave:
    if kill + running + stopped > 1:
        raise UsageError(
            "--kill, --leave-running and --leave-stopped exclude each other", "say what is to become of the processes"
        )
    return "killed" if kill else "stopped" if stopped else "running"


def _destination(output: str | None, folder: str | None, *, as_object: bool) -> str | int | None:
    """What the Python API is given as its output."""
    if output == "-":
        if as_object:
            raise UsageError("both the image and --json want standard output", "write the image to a file")
        if sys.stdout is None or sys.stdout.isatty():
            raise UsageError("the image would go to the terminal", "redirect standard output, or name a file with -o")
        return sys.stdout.fileno()
    if folder is None:
        return output
    if output is not None:
        return os.path.join(folder, output)
    # The default name is made where the process is looked at, for the current folder.
    try:
        os.chdir(folder)
    except OSError as error:
        raise EnvironmentDiffers(f"{folder}: {error.strerror}", "make the folder, or choose another one") from None
    return None


def closing_line(result: CheckpointResult) -> str:
    """What happened: what is saved, what became of it, where the image is, how long the target stood still."""
    what = f"PID {result.pid}" if result.processes == 1 else f"PID {result.pid} and {result.processes - 1:,} more"
    left = {"running": "left running", "stopped": "left stopped", "killed": "killed"}[result.left]
    where = "the stream" if result.image is None else printable(os.path.abspath(result.image))
    return (
        f"{what} saved and {left}: {where}, {size(result.size)}, {count(result.pages_written, 'page')}, "
        f"frozen for {duration(result.frozen_seconds)}"
    )
