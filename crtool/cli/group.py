"""The verbs as click sees them: known by name and one line of help, imported only when one of them is used."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from importlib import import_module
from typing import Any

import click

from crtool.errors import UsageError
from crtool.record import dataclass

__all__ = ["VERBS", "Example", "Summary", "Verb", "VerbGroup"]


@dataclass(frozen=True)
class Summary:
    """What is known of a verb without importing it: ``crtool.cli.NAME`` has its ``command``."""

    help: str
    aliases: tuple[str, ...] = ()


VERBS = {
    "checkpoint": Summary("Save a process and all its descendants to one file.", ("dump",)),
    "restart": Summary("Bring the processes of an image back, with the PIDs they had.", ("restore",)),
    "check": Summary("Tell what this machine can do, or what stands in the way of a checkpoint."),
    "show": Summary("Tell what is inside an image."),
    "verify": Summary("Tell whether an image is whole and unchanged."),
    "eclone": Summary("Start a command with the PIDs asked for."),
}
"""In the order in which the help lists them."""

_ALIASES = {alias: name for name, summary in VERBS.items() for alias in summary.aliases}


@dataclass(frozen=True)
class Example:
    """A command line that does something useful, and what that is."""

    about: str
    command: str


class Verb(click.Command):
    """A click command with what the manual says beyond its options.

    *result* names the dataclass of :mod:`crtool.engine.results` that ``--json`` prints, *notes* are more
    sections of the manual page, title and text.
    """

    def __init__(
        self,
        *args: Any,
        examples: Sequence[Example] = (),
        result: str | None = None,
        notes: Sequence[tuple[str, str]] = (),
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.examples = tuple(examples)
        self.result = result
        self.notes = tuple(notes)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Shows the examples below the options."""
        if self.examples:
            with formatter.section("Examples"):
                for example in self.examples:
                    formatter.write_text(f"{example.command}")
                    with formatter.indentation():
                        formatter.write_text(example.about)
        super().format_epilog(ctx, formatter)


class VerbGroup(click.Group):
    """The group of all verbs."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names of all verbs, without their aliases."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Imports a verb, by its name or alias."""
        name = _ALIASES.get(cmd_name, cmd_name)
        if name not in VERBS:
            return None
        command = import_module(f"crtool.cli.{name}").command
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Finds the verb of a command line, or suggests the one that was meant."""
        name = args[0]
        if not name.startswith("-") and name not in VERBS and name not in _ALIASES:
            near = get_close_matches(name, [*VERBS, *_ALIASES])
            remedy = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(VERBS)}"
            raise UsageError(f"no such verb: {name}", f"{remedy} see crtool --help" if near else f"{remedy}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Lists the verbs without importing them."""
        with formatter.section("Verbs"):
            formatter.write_dl([(name, _with_aliases(summary)) for name, summary in VERBS.items()])


def _with_aliases(summary: Summary) -> str:
    return f"{summary.help} Alias: {', '.join(summary.aliases)}." if summary.aliases else summary.help
