"""The entry of the command line: runs a verb and decides how the process ends."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from typing import NoReturn, TextIO, cast

import click

from crtool import __version__
from crtool.cli.ending import (
    Interrupted,
    Output,
    complain,
    complain_about_bug,
    complain_about_usage,
    end_by_signal,
    leave,
    listen_no_more,
    listen_to_signals,
    say,
)
from crtool.cli.group import VerbGroup
from crtool.cli.options import verbosity
from crtool.errors import CrtoolError, TargetError, UsageError
from crtool.used_up import used_up

__all__ = ["cli", "main", "run"]

_LEAST = 52  # click's help is 50 wide and more, between margins
_COMPLETION = "_CRTOOL_COMPLETE"


@click.group(
    cls=VerbGroup, subcommand_metavar="VERB [ARGS]...", context_settings={"help_option_names": ["-h", "--help"]}
)
@click.version_option(__version__, message="crtool %(version)s")
def cli() -> None:
    """Save running processes, unprepared, to one file; bring them back as they were."""


def run() -> NoReturn:
    """The command ``crtool``."""
    if sys.stdout is not None:
        sys.stdout = cast(TextIO, Output(sys.stdout))
    try:
        status = main(sys.argv[1:])
        listen_no_more()
    except Interrupted as late:  # before, or after, there was anything to be cleaned up
        end_by_signal(late.number)
    leave(status)


def main(args: Sequence[str]) -> int:
    """Does what a command line says and returns its exit status; ends by a signal where one was the reason."""
    if os.geteuid() != os.getuid() or os.getegid() != os.getgid():
        return complain(TargetError("crtool runs with rights that its caller does not have", "do not make it setuid"))
    if os.getuid() and _has_capabilities_of_its_file():
        cause = "crtool runs with capabilities that its caller does not have"
        return complain(TargetError(cause, "take them from the file (setcap -r); let it have ambient ones"))
    listen_to_signals()
    for stream in (sys.stdout, sys.stderr):
        if stream is not None and hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # a locale without − and … is no reason to fail
    context: click.Context | None = None
    try:
        if instruction := os.environ.get(_COMPLETION):
            return _complete(instruction)
        if not args:
            raise UsageError("what is to be done?", "crtool --help lists the verbs")
        with cli.make_context("crtool", list(args), terminal_width=_narrow()) as context:
            status = cli.invoke(context)
        if sys.stdout is not None:
            sys.stdout.flush()
        return status if isinstance(status, int) else 0
    except click.exceptions.Exit as end:
        return end.exit_code
    except click.ClickException as error:
        return complain_about_usage(error)
    except CrtoolError as error:
        return complain(used_up(error) or error, trace=_wants_trace(context))
    except (KeyboardInterrupt, Interrupted) as reason:
        number = reason.number if isinstance(reason, Interrupted) else signal.SIGINT
        say(f"crtool: interrupted by {signal.Signals(number).name}")
        end_by_signal(number)
    except BrokenPipeError:
        end_by_signal(signal.SIGPIPE)  # `crtool show … | head`: what other programs do
    except Exception as error:  # noqa: BLE001 - the last line of defence
        if (lack := used_up(error)) is not None:
            return complain(lack)
        return complain_about_bug(error, trace=_wants_trace(context))


def _narrow() -> int | None:
    """The columns of a terminal that has fewer than click's help takes at the least; None for click to choose."""
    try:  # as shutil.get_terminal_size does, which takes long to import
        columns = int(os.environ.get("COLUMNS") or os.get_terminal_size(1).columns)
    except (OSError, ValueError):
        return None
    return max(columns, 20) - 1 if columns < _LEAST else None


def _has_capabilities_of_its_file() -> bool:
    """Whether execve(2) has given an ordinary user some that are not in his ambient set, as setcap(8) makes it do."""
    with open("/proc/self/status", "rb") as file:
        sets = dict(line.split(b":\t") for line in file.read().splitlines() if line.startswith(b"Cap"))
    return bool(int(sets[b"CapPrm"], 16) & ~int(sets[b"CapAmb"], 16))


def _wants_trace(context: click.Context | None) -> bool:
    return verbosity(context) > 1 or os.environ.get("CRTOOL_DEBUG", "0") not in ("", "0")


def _complete(instruction: str) -> int:
    """Prints the completion script of a shell, or completes a word for it."""
    from click.shell_completion import shell_complete  # noqa: PLC0415 - used by few calls

    return shell_complete(cli, {}, "crtool", _COMPLETION, instruction)
