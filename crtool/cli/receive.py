"""``crtool receive``: the other end of ``crtool migrate``."""

from __future__ import annotations

import sys
from typing import Literal

import click

from crtool.cli.ending import finish
from crtool.cli.group import VERBS, Example, Verb
from crtool.errors import UsageError

__all__ = ["command"]

_EXAMPLES = (Example("What crtool migrate 4711 HOST runs.", "ssh HOST crtool receive"),)


@click.command("receive", cls=Verb, short_help=VERBS["receive"].help, examples=_EXAMPLES)
@click.option("--pidns/--no-pidns", default=None, help="In a new PID namespace always, or never; else if need be.")
@click.option(
    "--clock",
    type=click.Choice(["auto", "continue", "host"]),
    default="auto",
    help="Clocks, as for crtool restart.",
)
def command(pidns: bool | None, clock: Literal["auto", "continue", "host"]) -> int:
    """Restart what crtool migrate sends through standard input, hold it until the last word, and let it run.

    It is not meant for humans: answers are lines of JSON on standard output.
    """
    from crtool.engine.receive import receive  # noqa: PLC0415 - help and errors of usage do without

    if sys.stdin is None or sys.stdin.isatty():
        raise UsageError("standard input is no connection", "use crtool migrate on the other host")
    return receive(pidns=pidns, clock=clock, done=finish)
