"""``crtool diff``: what changed between two images."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from crtool.cli.group import VERBS, Example, Verb
from crtool.cli.options import PATH, json_output, offer, verbose
from crtool.cli.secrets import key_options
from crtool.cli.story import tell_amounts
from crtool.cli.text import as_json, count, printable
from crtool.cli.views import ProgressBar

if TYPE_CHECKING:
    from crtool.engine.results import Change, ImageDifference
    from crtool.image.keys import Keys

__all__ = ["command"]

_EXAMPLES = (Example("See what a job has done between two checkpoints.", "crtool diff monday.crt tuesday.crt"),)
_NOTES = (("ANSWER", "The exit status is that of diff(1): 0 if nothing has changed, 1 if something has."),)
_SIGNS = {"came": "+", "went": "-", "changed": "~"}


@click.command(
    "diff",
    cls=Verb,
    short_help=VERBS["diff"].help,
    examples=_EXAMPLES,
    usual="",
    result="ImageDifference",
    notes=_NOTES,
)
@click.argument("before", metavar="A", type=PATH, shell_complete=offer("images"))
@click.argument("after", metavar="B", type=PATH, shell_complete=offer("images"))
@key_options
@json_output
@verbose
def command(before: str, after: str, keys: Keys | None, as_object: bool) -> int:
    """Tell what changed from image A to image B: processes, open files and mappings that came (+), went (-) or changed
    (~), and how many pages of which mapping."""
    from crtool.engine.diff import diff  # noqa: PLC0415 - help and errors of usage do without

    with ProgressBar(enabled=True) as bar:
        result = diff(before, after, bar, keys)
    tell_amounts(bar)
    if as_object:
        click.echo(as_json(result))
    else:
        for line in _lines(result):
            click.echo(line)
    return 1 if result.changes else 0


def _lines(result: ImageDifference) -> Iterator[str]:
    pid = 0
    for change in result.changes:
        if change.pid != pid:
            pid = change.pid
            yield f"PID {pid}"
        yield f"  {_SIGNS[change.change]} {printable(_line(change))}"
    pages = f", {count(result.pages, 'page')} changed" if result.pages else ""
    yield f"{count(len(result.changes), 'difference')}{pages}"


def _line(change: Change) -> str:
    if change.thing == "pages":
        return f"{count(change.pages, 'page')} of {change.name}"
    values = " → ".join(value for value in (change.before, change.after) if value)
    name = change.thing if change.thing == "mapping" else f"{change.thing} {change.name}"
    return f"{name}: {values}" if values else name
