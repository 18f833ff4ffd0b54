"""``crtool eclone``: start a command with the PIDs asked for."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeVar

import click

from crtool.cli.ending import end_like, finish
from crtool.cli.group import VERBS, Example, Verb
from crtool.cli.options import PID_MAX

__all__ = ["command"]

_Function = TypeVar("_Function", bound=Callable[..., Any])

_EXAMPLES = (
    Example("Start a shell that has PID 4711.", "crtool eclone --pids 4711 -- sh"),
    Example(
        "Start a command as PID 1 of a new PID namespace, and as PID 815 here.",
        "crtool eclone --pids 815 --newpid --newns -- ps ax",
    ),
    Example(
        "Without root: choose PIDs in a PID namespace of one's own.",
        "crtool eclone --newuser --newpid --newns -- crtool eclone --pids 77 -- sh",
    ),
)

_NOTES = (
    (
        "PIDS",
        "A process has a PID in each PID namespace that it can be seen in. They are given outermost first; the last is "
        "that in the namespace of the caller. If fewer are given than there are levels, they are those of the inner "
        "levels. 0 lets the kernel choose. The 1 that a command has in the new namespace of --newpid is not given.\n\n"
        "Choosing needs CAP_CHECKPOINT_RESTORE or CAP_SYS_ADMIN. A PID is taken as long as a process, thread or zombie "
        "has it, or a process group or session is called by it.",
    ),
    (
        "WAITING",
        "crtool waits for the command, passes on the signals that it gets, and ends as the command ends, with the same "
        "exit status, or by the same signal. The first process of a PID namespace is shielded from signals that it "
        "does not handle; one that would end any other program ends it, too.",
    ),
    (
        "NAMESPACES",
        "With --newuser the caller is root in the new user namespace, and is nobody else there. With --newns no mount "
        "in it is seen outside; together with --newpid the /proc of the new PID namespace is mounted.",
    ),
)

_NAMESPACES = {
    "newpid": ("pid", "In a new PID namespace, as its first process."),
    "newuser": ("user", "In a new user namespace, as its root."),
    "newnet": ("net", "In a new network namespace."),
    "newuts": ("uts", "In a new namespace for host and domain name."),
    "newipc": ("ipc", "In a new namespace for System V IPC and message queues."),
    "newns": ("mnt", "In a new mount namespace; with --newpid, with its /proc."),
    "newcgroup": ("cgroup", "In a new cgroup namespace."),
    "newtime": ("time", "In a new time namespace."),
}


def _pids(context: click.Context, parameter: click.Parameter, value: str | None) -> tuple[int, ...]:
    if value is None:
        return ()
    if not re.fullmatch(r"[0-9]+(,[0-9]+)*", value, re.ASCII):
        raise click.BadParameter(
            f"{value!r} is no list of PIDs: give numbers with commas between them", context, parameter
        )
    pids = tuple(map(int, value.split(",")))
    if max(pids) > PID_MAX:
        raise click.BadParameter(f"{max(pids)} is no PID", context, parameter)
    return pids


def _namespace_options(function: _Function) -> _Function:
    for name, (_, about) in reversed(_NAMESPACES.items()):
        function = click.option(f"--{name}", is_flag=True, help=about)(function)
    return function


@click.command(
    "eclone",
    cls=Verb,
    short_help=VERBS["eclone"].help,
    examples=_EXAMPLES,
    notes=_NOTES,
    context_settings={"allow_interspersed_args": False},
)
@click.option("--pids", metavar="N[,N...]", callback=_pids, help="The PIDs, outermost namespace first; 0 for any.")
@_namespace_options
@click.argument("words", metavar="CMD...", nargs=-1, required=True, type=click.UNPROCESSED)
def command(pids: tuple[int, ...], words: tuple[str, ...], **wanted: bool) -> int:
    """Start command CMD with the PIDs asked for, one for each PID namespace that it is in, and end as it ends."""
    from crtool.engine.start import start  # noqa: PLC0415 - help and errors of usage do without

    namespaces = [name for option, (name, _) in _NAMESPACES.items() if wanted[option]]
    return end_like(start(words, pids, namespaces, finish))
