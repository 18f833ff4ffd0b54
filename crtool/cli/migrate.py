"""``crtool migrate``: move a running process to another host."""

from __future__ import annotations

import shlex
from typing import Literal

import click

from crtool.cli.ending import finish, warn
from crtool.cli.group import VERBS, Example, Verb
from crtool.cli.options import (
    duration_option,
    json_output,
    pid_argument,
    quiet,
    stdio_option,
    sysvipc_option,
    tcp_option,
    unix_option,
    verbose,
)
from crtool.cli.story import tell_stages
from crtool.cli.text import as_json, count, duration, printable, size
from crtool.cli.views import ProgressBar
from crtool.errors import UsageError

__all__ = ["command"]

_EXAMPLES = (
    Example("Move process 4711 to another machine.", "crtool migrate 4711 worker2"),
    Example("By another port.", "crtool migrate --ssh 'ssh -p 2222' 4711 worker2"),
)

_NOTES = (
    (
        "HOW IT GOES",
        "The processes stand still while their image goes through ssh to crtool receive on HOST. When everything is "
        "restored there it waits for a last word; then the processes run there, and only then they end here. If "
        "anything fails before that word, they go on here, and nothing is left on HOST. If the connection breaks just "
        "between the word and its answer, nobody can know whether they run there: they are left stopped here, and "
        "crtool says what is to be done; so they are if crtool itself is killed (SIGKILL) about that moment: look "
        "whether they run on HOST, and send SIGKILL to those here if they do, else SIGCONT. They never run at both "
        "places.",
    ),
    (
        "THE OTHER HOST",
        "crtool has to be installed there, and the files that the processes have open have to be there. Where PIDs are "
        "taken, or always with --pidns, they come back in a PID namespace of their own. They do not end with the "
        "connection. ssh is told to notice a connection that has gone silent (ServerAliveInterval); another command of "
        "--ssh has to see to that itself. Standard streams that lead to somebody outside are /dev/null there, with "
        "--stdio inherit.",
    ),
)


@click.command(
    "migrate",
    cls=Verb,
    short_help=VERBS["migrate"].help,
    examples=_EXAMPLES,
    usual="--ssh --remote-crtool --pidns --timeout",
    result="MigrateResult",
    notes=_NOTES,
)
@pid_argument(alone=False)
@click.argument("host", metavar="HOST")
@click.option(
    "--ssh",
    metavar="CMD",
    help="The command that connects, with its options.",
)
@click.option("--remote-crtool", default="crtool", metavar="PATH", help="The command of crtool on HOST.")
@click.option("--pidns/--no-pidns", default=None, help="In a new PID namespace there always, or never.")
@stdio_option
@tcp_option("TCP connections with others: go on with them, or let them be reset.")
@unix_option
@sysvipc_option
@duration_option("--timeout", help="Give up after TIME: seconds, or 90s, 2m, 1h.")
@json_output
@quiet
@verbose
def command(
    pid: int,
    host: str,
    ssh: str | None,
    remote_crtool: str,
    pidns: bool | None,
    stdio: Literal["refuse", "inherit"],
    tcp: Literal["keep", "close"],
    unix: Literal["refuse", "close", "reconnect"],
    sysvipc: bool,
    timeout: float | None,
    as_object: bool,
    quiet: bool,
) -> None:
    """Move process PID and all its descendants to HOST, where they go on, by ssh."""
    from crtool.engine.migrate import SSH, migrate, watchful  # noqa: PLC0415 - help and errors of usage do without

    if host.startswith("-"):
        raise UsageError(f"{host!r} is no host", "give its name, or an alias of ~/.ssh/config")
    try:
        words = [] if ssh is None else shlex.split(ssh)
    except ValueError as error:
        raise UsageError(f"--ssh: {str(error).lower()}", "quote it as for a shell") from None
    if ssh is not None and not words:
        raise UsageError("--ssh: an empty command", "leave it out for ssh itself")
    connect = watchful(words) if words else SSH
    with ProgressBar(enabled=not quiet, preload=True) as bar:
        result = migrate(
            pid,
            host,
            ssh=connect,
            remote_crtool=remote_crtool,
            pidns=pidns,
            timeout=timeout,
            stdio=stdio,
            tcp=tcp,
            unix=unix,
            sysvipc=sysvipc,
            progress=bar,
            done=finish,
        )
    for warning in result.warnings:
        warn(warning)
    tell_stages(result.stages)
    if as_object:
        click.echo(as_json(result))
    elif not quiet:
        what = f"PID {result.pid} is PID {result.remote_pid} on {printable(host)} now, and has ended here"
        much = f"{count(result.processes, 'process')}, {size(result.size)}"
        click.echo(f"{what}: {much}, stood still for {duration(result.frozen_seconds)}")
