"""``crtool squash``: one image of a chain."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from crtool.cli.ending import finish, warn
from crtool.cli.group import VERBS, Example, Verb
from crtool.cli.options import PATH, image_argument, image_stream, json_output, parents_option, quiet, verbose
from crtool.cli.secrets import lock_and_key_options
from crtool.cli.story import tell_amounts
from crtool.cli.text import as_json, count, printable, size
from crtool.cli.views import ProgressBar
from crtool.errors import UsageError

if TYPE_CHECKING:
    from crtool.image.keys import Keys, Lock

__all__ = ["command"]

_EXAMPLES = (
    Example("Make an image that needs no other one.", "crtool squash monday.crt -o whole.crt"),
    Example("Put it in the place of the image.", "crtool squash --force monday.crt -o monday.crt"),
)


def _is_new(options: dict[str, Any]) -> bool:
    """Whether the image will not show that the passphrase was mistyped."""
    from crtool.image.sealed import has_passphrase  # noqa: PLC0415 - help and errors of usage do without

    return not has_passphrase(options["image"])


@click.command(
    "squash",
    cls=Verb,
    short_help=VERBS["squash"].help,
    examples=_EXAMPLES,
    usual="--output --force --parent",
    result="SquashResult",
)
@image_argument()
@click.option(
    "-o",
    "--output",
    type=PATH,
    metavar="FILE",
    required=True,
    help="The image to be made; - is standard output.",
)
@click.option("-f", "--force", is_flag=True, help="Replace an existing file; it may be IMAGE itself.")
@click.option("--compress", default="none", show_default=True, metavar="HOW", help="As of crtool checkpoint.")
@parents_option
@lock_and_key_options(_is_new)
@json_output
@quiet
@verbose
def command(
    image: str,
    output: str,
    force: bool,
    compress: str,
    parents: tuple[str, ...],
    lock: Lock | None,
    keys: Keys | None,
    as_object: bool,
    quiet: bool,
) -> None:
    """Write an image of the same as IMAGE, with everything that IMAGE takes from its parents in it.

    Nothing is removed. An image that builds on IMAGE still needs IMAGE itself, and not what is made of it here.
    """
    from crtool.engine.squash import squash  # noqa: PLC0415 - help and errors of usage do without

    if image == "-":
        raise UsageError("a pipe cannot be squashed", "save the image to a file first")
    where = image_stream(as_object=as_object) if output == "-" else output
    with ProgressBar(enabled=not quiet) as bar:
        result = squash(
            image, where, force=force, compress=compress, parents=parents, lock=lock, keys=keys, progress=bar,
            done=finish,
        )
    for warning in result.warnings:
        warn(warning)
    tell_amounts(bar)
    if as_object:
        click.echo(as_json(result))
    elif not quiet:
        name = "the stream" if result.image is None else printable(result.image)
        said = f"{name}: {size(result.size)}, made of {count(result.images, 'image')}"
        click.echo(said, err=result.image is None)
