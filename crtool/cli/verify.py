"""``crtool verify``: is an image whole and unchanged."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

import crtool
from crtool.cli.group import VERBS, Example, Verb
from crtool.cli.options import image_argument, json_output, parents_option, quiet, source_of, verbose
from crtool.cli.secrets import key_options
from crtool.cli.story import tell_amounts
from crtool.cli.text import as_json, printable, size
from crtool.cli.views import ProgressBar

if TYPE_CHECKING:
    from crtool.image.keys import Keys

__all__ = ["command"]

_EXAMPLES = (
    Example("Look at every byte of an image after a transfer.", "crtool verify work.crt"),
    Example("Compare the memory of processes in two images.", "crtool verify --deep work.crt"),
)


_NOTES = (
    (
        "MEMORY",
        "With --deep a checksum of the memory of each process is printed, too. Two images have the same one if the "
        "process had the same memory, however that is stored: so save what crtool restart --leave-stopped has brought "
        "back once more, and compare.",
    ),
)


@click.command(
    "verify", cls=Verb, short_help=VERBS["verify"].help, examples=_EXAMPLES, usual="--deep", result="VerifyResult",
    notes=_NOTES,
)  # fmt: skip
@image_argument()
@parents_option
@click.option("--deep", is_flag=True, help="Also print a checksum of the memory of each process.")
@key_options
@json_output
@quiet
@verbose
def command(
    image: str, parents: tuple[str, ...], deep: bool, keys: Keys | None, as_object: bool, quiet: bool
) -> None:
    """Tell whether IMAGE is whole and unchanged: every byte of it is compared with its checksum.

    The exit status is 0 if it is, and 123 if it is damaged, cut off, or of an unknown version.
    """
    with ProgressBar(enabled=not quiet) as bar:
        result = crtool.verify(source_of(image), progress=bar, parents=parents, deep=deep, keys=keys)
    tell_amounts(bar)
    if as_object:
        click.echo(as_json(result))
    elif not quiet:
        signed = f", signed by {result.signed_by}" if result.signed_by else ""
        sections = ", ".join(result.sections)
        click.echo(f"{printable(image)}: whole and unchanged{signed}, {size(result.size)} ({sections})")
        for parent in result.parents:
            click.echo(f"  builds on {printable(parent)}, which is whole too")
        for found in result.memory:
            click.echo(f"PID {found.pid}: {size(found.nbytes)} of memory, xxh3 {found.xxh3}")
