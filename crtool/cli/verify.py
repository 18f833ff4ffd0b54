"""``crtool verify``: is an image whole and unchanged."""

from __future__ import annotations

import click

import crtool
from crtool.cli.group import VERBS, Example, Verb
from crtool.cli.options import image_argument, json_output, quiet, source_of, verbose
from crtool.cli.text import as_json, printable, size
from crtool.cli.views import ProgressBar

__all__ = ["command"]

_EXAMPLES = (Example("Look at every byte of an image after a transfer.", "crtool verify work.crt"),)


@click.command("verify", cls=Verb, short_help=VERBS["verify"].help, examples=_EXAMPLES, result="VerifyResult")
@image_argument()
@json_output
@quiet
@verbose
def command(image: str, as_object: bool, quiet: bool) -> None:
    """Tell whether IMAGE is whole and unchanged: every byte of it is compared with its checksum.

    The exit status is 0 if it is, and 123 if it is damaged, cut off, or of an unknown version.
    """
    with ProgressBar(enabled=not quiet) as bar:
        result = crtool.verify(source_of(image), progress=bar)
    if as_object:
        click.echo(as_json(result))
    elif not quiet:
        click.echo(f"{printable(image)}: whole and unchanged, {size(result.size)} ({', '.join(result.sections)})")
