"""``crtool prune``: remove the older images of a folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from crtool.cli.group import VERBS, Example, Verb
from crtool.cli.options import PATH, json_output, quiet, verbose
from crtool.cli.secrets import key_options
from crtool.cli.story import tell_amounts
from crtool.cli.text import as_json, count, printable, size
from crtool.cli.views import ProgressBar

if TYPE_CHECKING:
    from crtool.image.keys import Keys

__all__ = ["command"]

_EXAMPLES = (
    Example("Keep the newest three images that are whole.", "crtool prune --keep 3 job.d"),
    Example("See what would go.", "crtool prune --dry-run --keep 1 job.d"),
)


@click.command(
    "prune",
    cls=Verb,
    short_help=VERBS["prune"].help,
    examples=_EXAMPLES,
    usual="--keep --dry-run",
    result="PruneResult",
)
@click.argument("folder", metavar="DIR", type=PATH)
@click.option(
    "--keep", type=click.IntRange(min=1), metavar="N", required=True, help="Keep the newest N images that are whole."
)
@click.option("-n", "--dry-run", is_flag=True, help="Say what would be removed, and remove nothing.")
@key_options
@json_output
@quiet
@verbose
def command(folder: str, keep: int, dry_run: bool, keys: Keys | None, as_object: bool, quiet: bool) -> None:
    """Remove the images of folder DIR, but the newest that are whole and those that they build on.

    Damaged images go too, unless there is no whole one: then nothing is removed. One whose parent is not there stays.
    """
    from crtool.engine.store import prune  # noqa: PLC0415 - help and errors of usage do without

    with ProgressBar(enabled=not quiet) as bar:
        result = prune(folder, keep, dry_run=dry_run, progress=bar, keys=keys)
    tell_amounts(bar)
    if as_object:
        click.echo(as_json(result))
        return
    if quiet:
        return
    for path in result.removed:
        click.echo(f"{'would remove' if dry_run else 'removed'} {printable(path)}")
    for path in result.needed:
        click.echo(f"kept {printable(path)}, on which a newer one builds")
    for path in result.partial:
        click.echo(f"kept {printable(path)}, whose parent is not there: see crtool verify")
    kept = len(result.kept) + len(result.needed) + len(result.partial)
    click.echo(
        f"{count(kept, 'image')} kept, {count(len(result.removed), 'image')} removed, "
        f"{size(result.freed)} freed" + (" if it were not a dry run" if dry_run else "")
    )
