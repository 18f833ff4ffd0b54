"""``crtool extract``: one thing out of an image."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from crtool.cli.ending import finish, say
from crtool.cli.group import VERBS, Example, Verb
from crtool.cli.options import PATH, image_argument, json_output, quiet, verbose
from crtool.cli.secrets import key_options
from crtool.cli.story import tell_amounts
from crtool.cli.text import as_json, printable, size
from crtool.cli.views import ProgressBar
from crtool.errors import EnvironmentDiffers, UsageError

if TYPE_CHECKING:
    from crtool.image.keys import Keys

__all__ = ["command"]

_EXAMPLES = (
    Example("Get back a log that was deleted while it was open.", "crtool extract --file /var/log/x.log work.crt -o x"),
    Example("See what nobody had read yet.", "crtool extract --fd 0 work.crt -o - | less"),
    Example("Search the stack.", "crtool extract --memory '[stack]' work.crt -o - | strings"),
)


@click.command(
    "extract",
    cls=Verb,
    short_help=VERBS["extract"].help,
    examples=_EXAMPLES,
    usual="--file --fd --memory --pid --output --force",
    result="ExtractResult",
)
@image_argument()
@click.option("--file", metavar="NAME", help="A file that came along: a deleted one, or memfd:NAME.")
@click.option("--fd", type=click.IntRange(min=0), metavar="N", help="What a descriptor leads to: a file, unread data.")
@click.option("--memory", metavar="RANGE", help="START-END, START+LENGTH (in hex), or a mapping.")
@click.option("-p", "--pid", type=click.IntRange(min=1), metavar="PID", help="The process, by default the first one.")
@click.option("-o", "--output", type=PATH, metavar="FILE", help="Where to; - is stdout.")
@click.option("-f", "--force", is_flag=True, help="Replace an existing file.")
@key_options
@json_output
@quiet
@verbose
def command(
    image: str,
    file: str | None,
    fd: int | None,
    memory: str | None,
    pid: int | None,
    output: str | None,
    force: bool,
    keys: Keys | None,
    as_object: bool,
    quiet: bool,
) -> None:
    """Write one thing out of IMAGE: a file, unread data, or memory."""
    from crtool.engine.extract import extract  # noqa: PLC0415 - help and errors of usage do without

    if image == "-":
        raise UsageError("nothing can be extracted from a pipe", "save the image to a file first")
    to_stdout = output in (None, "-")
    if to_stdout and sys.stdout is None:
        raise UsageError("standard output is closed", "name a file with -o")
    if output is None and sys.stdout.isatty():
        raise UsageError("it would go to the terminal", "name a file with -o; -o - is standard output all the same")
    if to_stdout and as_object:
        raise UsageError("both the content and --json want standard output", "name a file with -o")
    where = sys.stdout.fileno() if to_stdout else output
    assert where is not None
    with ProgressBar(enabled=not quiet) as bar:
        try:
            result = extract(
                image, where, file=file, fd=fd, memory=memory, pid=pid, force=force, progress=bar, keys=keys,
                done=finish,
            )
        except EnvironmentDiffers as error:
            if to_stdout and isinstance(error.__cause__, BrokenPipeError):
                raise error.__cause__ from None  # whoever reads, less(1) say, has seen enough
            raise
    tell_amounts(bar)
    if as_object:
        click.echo(as_json(result))
    elif not quiet and not to_stdout:
        click.echo(f"{printable(str(result.path))}: {size(result.size)}")
    elif not quiet:
        say(f"{size(result.size)} written")
