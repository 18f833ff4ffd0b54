"""``crtool ls``: the images of a folder."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from crtool.cli.fold import columns_of_terminal, fold
from crtool.cli.group import VERBS, Example, Verb
from crtool.cli.options import PATH, json_output, verbose
from crtool.cli.secrets import key_options
from crtool.cli.story import tell_amounts
from crtool.cli.text import as_json, printable, size
from crtool.cli.views import ProgressBar

if TYPE_CHECKING:
    from crtool.image.keys import Keys

__all__ = ["command"]

_EXAMPLES = (
    Example("See the images of a job, the newest first.", "crtool ls job.d"),
    Example("See which of them are whole.", "crtool ls --verify job.d"),
)


@click.command("ls", cls=Verb, short_help=VERBS["ls"].help, examples=_EXAMPLES, usual="--verify", result="StoreListing")
@click.argument("folder", metavar="[DIR]", required=False, default=".", type=PATH)
@click.option("--verify", "verify_all", is_flag=True, help="Look at every byte of every image.")
@key_options
@json_output
@verbose
def command(folder: str, verify_all: bool, keys: Keys | None, as_object: bool) -> None:
    """List the images of folder DIR, the newest first; without DIR those of the current folder."""
    from crtool.engine.store import list_store  # noqa: PLC0415 - help and errors of usage do without

    with ProgressBar(enabled=True) as bar:
        listing = list_store(folder, verify_all=verify_all, progress=bar, keys=keys)
    tell_amounts(bar)
    if as_object:
        click.echo(as_json(listing))
        return
    columns, width = "{:20}  {:>8}  {:>7}  {:>9}  ", columns_of_terminal()
    lines = [(columns.format("WRITTEN", "SIZE", "PID", "PROCESSES"), "IMAGE")]
    for image in listing.images:
        what = image.damaged or f"{image.path}: {image.command or 'encrypted'}"
        notes = ["encrypted"] if image.encrypted and image.command else []
        if image.parents:
            notes.append(f"builds on {', '.join(map(os.path.basename, image.parents))}")
        if notes:
            what += f" ({', '.join(notes)})"
        head = columns.format(image.written, size(image.size), image.root or "-", image.processes or "-")
        lines.append((head, printable(what)))
    for head, tail in lines:
        for line in fold(head, tail, width):
            click.echo(line)
