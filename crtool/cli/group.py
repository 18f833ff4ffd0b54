"""The verbs as click sees them: known by name and one line of help, imported only when one of them is used."""

from __future__ import annotations

from collections.abc import Sequence
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
    "restart": Summary("Bring an image's processes back, PIDs and all.", ("restore",)),
    "run": Summary("Start a command under care, or go on from its image."),
    "clone": Summary("Start running copies of a process and its descendants."),
    "migrate": Summary("Move a process and its descendants to another host, by ssh."),
    "check": Summary("Tell what this machine can do, or what hinders a checkpoint."),
    "show": Summary("Tell what is inside an image."),
    "verify": Summary("Tell whether an image is whole and unchanged."),
    "diff": Summary("Tell what changed between two images."),
    "core": Summary("Write a core file of a process of an image, for gdb."),
    "extract": Summary("Write a file, unread data, or memory out of an image."),
    "squash": Summary("Make one image of an image and its parents."),
    "ls": Summary("List the images of a folder."),
    "prune": Summary("Remove the older images of a folder."),
    "receive": Summary("The other end of migrate, on the other host."),
    "eclone": Summary("Start a command with the PIDs asked for."),
}
"""In the order in which the help lists them."""

_FOR_PROGRAMS = frozenset(("receive",))  # nobody types it
_HELP_ALL = "crtool.help_all"
_ALWAYS = frozenset(("--json", "--quiet", "--verbose", "--help", "--help-all"))
_FEW = 2  # examples that --help shows where it has to choose

_ALIASES = {alias: name for name, summary in VERBS.items() for alias in summary.aliases}


@dataclass(frozen=True)
class Example:
    """A command line that does something useful, and what that is."""

    about: str
    command: str


class Verb(click.Command):
    """A click command with what the manual says beyond its options.

    *usual* are the options that ``--help`` lists, if those of the verb do not fit a screen; ``--help-all`` has the
    others too. *extra* is the remedy for an argument too many. *result* names the dataclass of
    :mod:`crtool.engine.results` that ``--json`` prints, *notes* are more sections of the manual page, title and text.
    """

    def __init__(
        self,
        *args: Any,
        examples: Sequence[Example] = (),
        usual: str | None = None,
        extra: str = "",
        result: str | None = None,
        notes: Sequence[tuple[str, str]] = (),
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.examples = tuple(examples)
        self.usual = None if usual is None else frozenset(usual.split())
        self.extra = extra
        self.result = result
        self.notes = tuple(notes)
        if self.usual is not None:
            self.params.append(_help_all())

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parses the arguments as click does; UsageError with a remedy for what is often typed at the end of them."""
        try:
            return super().parse_args(ctx, args)
        except click.UsageError as error:
            if self.extra and type(error) is click.UsageError:  # of a class of its own is what else can be wrong
                raise UsageError(error.message[:1].lower() + error.message[1:], self.extra) from None
            raise

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Lists the options: those that are usual, and the others if they were asked for."""
        usual: list[tuple[str, str]] = []
        rare: list[tuple[str, str]] = []
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx) if isinstance(parameter, click.Option) else None
            if record is not None:
                (usual if self._is_usual(parameter) else rare).append(record)
        with formatter.section("Options"):
            formatter.write_dl(usual)
        if rare and ctx.meta.get(_HELP_ALL):
            with formatter.section("More options"):
                formatter.write_dl(rare)

    def _is_usual(self, parameter: click.Parameter) -> bool:
        return self.usual is None or any(name in self.usual or name in _ALWAYS for name in parameter.opts)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Shows the examples below the options."""
        few = self.usual is not None and not ctx.meta.get(_HELP_ALL)
        if self.examples:
            with formatter.section("Examples"):
                for example in self.examples[: _FEW if few else None]:
                    formatter.write_text(f"{example.command}")
                    with formatter.indentation():
                        formatter.write_text(example.about)
        super().format_epilog(ctx, formatter)


def _help_all() -> click.Option:
    def show(context: click.Context, _parameter: click.Parameter, wanted: bool) -> None:
        if wanted and not context.resilient_parsing:
            context.meta[_HELP_ALL] = True
            click.echo(context.get_help(), color=context.color)
            context.exit()

    return click.Option(
        ["--help-all"], is_flag=True, is_eager=True, expose_value=False, callback=show, help="Show all options."
    )


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
            from difflib import get_close_matches  # noqa: PLC0415 - 10 ms, and seldom needed

            near = get_close_matches(name, [*VERBS, *_ALIASES])
            there = ", ".join(verb for verb in VERBS if verb not in _FOR_PROGRAMS)
            remedy = f"did you mean {' or '.join(near)}? see crtool --help" if near else f"there are {there}"
            raise UsageError(f"no such verb: {name}", remedy)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Lists the verbs without importing them."""
        shown = [(name, _with_aliases(summary)) for name, summary in VERBS.items() if name not in _FOR_PROGRAMS]
        with formatter.section("Verbs (crtool VERB --help tells more)"):
            formatter.write_dl(shown)


def _with_aliases(summary: Summary) -> str:
    return f"{summary.help} Alias: {', '.join(summary.aliases)}." if summary.aliases else summary.help
