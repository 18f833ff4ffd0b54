"""``crtool core``: a core file that gdb opens."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

import click

from crtool.cli.ending import finish
from crtool.cli.group import VERBS, Example, Verb
from crtool.cli.options import PATH, image_argument, json_output, quiet, verbose
from crtool.cli.secrets import key_options
from crtool.cli.story import tell_amounts
from crtool.cli.text import as_json, count, printable, size
from crtool.cli.views import ProgressBar
from crtool.errors import UsageError

if TYPE_CHECKING:
    from crtool.image.keys import Keys

__all__ = ["command"]

_EXAMPLES = (
    Example("Look at the first process of an image with gdb.", "crtool core work.crt -o core.work"),
    Example("Look at another process of it.", "crtool core --pid 4712 work.crt"),
)


@click.command(
    "core",
    cls=Verb,
    short_help=VERBS["core"].help,
    examples=_EXAMPLES,
    usual="--output --pid --force",
    result="CoreResult",
)
@image_argument()
@click.option("-o", "--output", type=PATH, metavar="FILE", help="The core file, core.PID by default.")
@click.option("-p", "--pid", type=click.IntRange(min=1), metavar="PID", help="The process, by default the first one.")
@click.option("-f", "--force", is_flag=True, help="Replace an existing file.")
@key_options
@json_output
@quiet
@verbose
def command(
    image: str,
    output: str | None,
    pid: int | None,
    force: bool,
    keys: Keys | None,
    as_object: bool,
    quiet: bool,
) -> None:
    """Write an ELF core file of a process of IMAGE: all threads, registers, memory and names of mapped files, as if the
    process had dumped core at the moment of the checkpoint. The image is verified first."""
    from crtool.engine.core import core  # noqa: PLC0415 - help and errors of usage do without

    if image == "-":
        raise UsageError("a core file cannot be made from a pipe", "save the image to a file first")
    if output == "-":
        raise UsageError("a core file has holes, and cannot be written to a pipe", "give the name of a file with -o")
    with ProgressBar(enabled=not quiet) as bar:
        result = core(image, output, pid=pid, force=force, progress=bar, keys=keys, done=finish)
    tell_amounts(bar)
    if as_object:
        click.echo(as_json(result))
    elif not quiet:
        what = f"PID {result.pid}, {count(result.threads, 'thread')}, {size(result.size)}"
        click.echo(f"{printable(result.path)}: {what}")
        if result.exe:
            click.echo(f"  gdb {printable(shlex.quote(result.exe))} {printable(shlex.quote(result.path))}")
