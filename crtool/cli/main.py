"""The entry of the command line: runs a verb and decides how the process ends."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from typing import NoReturn

import click

from crtool import __version__
from crtool.cli.ending import (
    Interrupted,
    complain,
    complain_about_bug,
    complain_about_usage,
    end_by_signal,
    listen_to_signals,
    say,
)
from crtool.cli.group import VerbGroup
from crtool.cli.options import verbosity
from crtool.errors import CrtoolError, UsageError

__all__ = ["cli", "main", "run"]

_COMPLETION = "_CRTOOL_COMPLETE"


@click.group(
    cls=VerbGroup, subcommand_metavar="VERB [ARGS]...", context_settings={"help_option_names": ["-h", "--help"]}
)
@click.version_option(__version__, message="crtool %(version)s")
def cli() -> None:
    """Save running processes to one file and bring them back: memory, threads, open files, pipes, terminals, signals
    and timers as they were. The programs need no preparation and notice nothing.

    crtool VERB --help tells more about a verb.
    """


def run() -> NoReturn:
    """The command ``crtool``."""
    sys.exit(main(sys.argv[1:]))


def main(args: Sequence[str]) -> int:
    """Does what a command line says and returns its exit status; ends by a signal where one was the reason."""
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
        with cli.make_context("crtool", list(args)) as context:
            status = cli.invoke(context)
        if sys.stdout is not None:
            sys.stdout.flush()
        return status if isinstance(status, int) else 0
    except click.exceptions.Exit as end:
        return end.exit_code
    except click.ClickException as error:
        return complain_about_usage(error)
    except CrtoolError as error:
        return complain(error, trace=_wants_trace(context))
    except (KeyboardInterrupt, Interrupted) as reason:
        number = reason.number if isinstance(reason, Interrupted) else signal.SIGINT
        say(f"crtool: interrupted by {signal.Signals(number).name}")
        end_by_signal(number)
    except BrokenPipeError:
        end_by_signal(signal.SIGPIPE)  # `crtool show … | head`: what other programs do
    except Exception as error:  # noqa: BLE001 - the last line of defence
        return complain_about_bug(error, trace=_wants_trace(context))


def _wants_trace(context: click.Context | None) -> bool:
    return verbosity(context) > 1 or os.environ.get("CRTOOL_DEBUG", "0") not in ("", "0")


def _complete(instruction: str) -> int:
    """Prints the completion script of a shell, or completes a word for it."""
    from click.shell_completion import shell_complete  # noqa: PLC0415 - used by few calls

    return shell_complete(cli, {}, "crtool", _COMPLETION, instruction)
