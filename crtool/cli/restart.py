"""``crtool restart``: bring the processes of an image back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

import crtool
from crtool.cli.dry_run import lines
from crtool.cli.ending import end_like, finish, say, warn
from crtool.cli.group import VERBS, Example, Verb
from crtool.cli.options import (
    PATH,
    criu_habits,
    directory,
    image_argument,
    in_directory,
    json_output,
    newest_in,
    parents_option,
    quiet,
    signal_option,
    source_of,
    tcp_option,
    verbose,
)
from crtool.cli.secrets import key_options
from crtool.cli.story import tell_stages
from crtool.cli.text import as_json, count, duration, printable
from crtool.cli.views import ProgressBar
from crtool.errors import UsageError

if TYPE_CHECKING:
    from crtool import RestartResult
    from crtool.engine.changed import ChangedFiles
    from crtool.engine.where import ClockPolicy
    from crtool.image.keys import Keys
    from crtool.resources.policy import Tcp

__all__ = ["command"]

_EXAMPLES = (
    Example("Bring the processes back, wait, and end as the first of them ends.", "crtool restart work.crt"),
    Example("Bring them back and return; write the PID to a file.", "crtool restart -d --pidfile work.pid work.crt"),
    Example("Start one more copy beside those that run already.", "crtool restart -d --pidns work.crt"),
    Example("See what that would grant and touch, and do nothing.", "crtool restart --dry-run work.crt"),
    Example("Let a large program run before its memory is there.", "crtool restart -d --lazy work.crt"),
    Example("Take the image from a pipe.", "ssh HOST cat work.crt | crtool restart -"),
)

_NOTES = (
    (
        "WAITING",
        "Without --detach crtool is the parent of the restored root process and waits for it: signals that crtool gets "
        "go on to the root, and crtool ends as the root ends, with the same exit status, or by the same signal.",
    ),
    (
        "PIDS",
        "The processes get the PIDs that they had. If one of these is taken, crtool says by whom and brings everything "
        "back in a new PID namespace, where all numbers are free, with a /proc that shows this namespace. From outside "
        "the processes have other numbers: that of the root process is printed, and goes to --pidfile and --json. With "
        "--no-pidns crtool ends with status 126 instead; with --pidns it never looks whether the PIDs are free. In the "
        "namespace a process crtool-init of a few pages is PID 1; it ends with the last of the others.",
    ),
    (
        "WITHOUT ROOT",
        "An ordinary user gets a new user namespace and in it a new PID namespace; with CAP_CHECKPOINT_RESTORE alone "
        "the processes come back beside the others. What only privilege can give back, like another user's identity, "
        "is refused by name.",
    ),
    (
        "CLOCKS",
        "A program may rely on CLOCK_MONOTONIC and CLOCK_BOOTTIME never going back; after a reboot or on another host "
        "they may stand behind. With --clock auto, the default, the processes then get a time namespace in which both "
        "go on from where they were, and otherwise find that time has passed, as after a suspend. With --clock "
        "continue no time has ever passed; with --clock host the clocks are those of the machine, whatever they show. "
        "Processes that had a time namespace before keep their distance to the machine's clocks.",
    ),
    (
        "FILES THAT HAVE CHANGED",
        "An image names the files that the programs had open and contains only deleted ones, unless it was made with "
        "checkpoint --files content. A file "
        "that a program only writes to may have changed, with a warning. One that it reads must have the size that it "
        "had: otherwise the restart names it and both sizes. With --files ignore it is taken as it is, with --files "
        "truncate a file that has grown is cut to its old size, as the very last step. With --files restore whatever "
        "has changed or is gone is put back as it was, if the image contains it: a new file takes the place of the one "
        "that is there, also as the very last step. Programs and libraries are left alone; if they differ, the "
        "processes get copies without a name. Extended attributes and access lists are not put back.",
    ),
    (
        "FILES THAT HAVE BEEN REPLACED",
        "A path may lead to something else by now. A program or library whose times or inode are not those that it had "
        "is read, and must have the content that it had (SHA-256). Another file is taken with a warning, whatever its "
        "times are; so is one that has another owner or mode. A path that leads through a symbolic link "
        "is followed if the link belongs to root or to the caller; a link of somebody else stands in the way, since it "
        "was not there at the checkpoint. With --files ignore all of these are only warned of. What was looked at is "
        "held, and that is what is opened, whatever is put in its place meanwhile.",
    ),
    (
        "TCP CONNECTIONS",
        "Connections go on, and what holds them since the checkpoint is taken away as the very last step: until then "
        "the other end hears nothing, so that a restart that fails can be tried again. A restart needs the addresses "
        "and ports that the connections had. With --tcp close those with others are reset.",
    ),
    (
        "ANOTHER USER",
        "With --user NAME root restarts an image as somebody else: crtool opens the image, becomes that user, and does "
        "everything else with his rights. All processes come back as he, with his groups and without capabilities, "
        "whoever they were; a file that he may not open stands in the way. An image that is his own needs no --trust "
        "then. PIDs can still be chosen. Everybody may name himself, and so take over an image of somebody else.",
    ),
    (
        "RANDOM NUMBERS",
        "A program that is restarted twice from one image, or goes on beside its copy, would draw the same random "
        "numbers twice, keys and nonces among them. Memory that the program has marked with MADV_WIPEONFORK, as "
        "cryptographic libraries do for the state of their generators, is empty after each restart, also the first: "
        "nothing tells crtool whether there will be another one. A program with a generator of its own can mark it so; "
        "or catch a signal and seed it anew, and be restarted with --signal NAME: every process that catches this "
        "signal, or blocks it in all threads to ask for it by sigwait or signalfd, gets it before it executes anything "
        "else. Or it calls crtool.checkpoint_self(), which tells it on which side it is.",
    ),
    (
        "TRUST",
        "Whoever can write an image decides what is executed, as which user, and with which files open. So an image "
        "that belongs to somebody else than the caller and root, or that others may write, is refused unless --trust "
        "is given.",
    ),
    (
        "DRY RUN",
        "With --dry-run nothing is made, opened or born. The image is verified and judged as for a restart; what would "
        "be granted and touched is listed, as a table or, with --json, as an object (DryRunResult): user and group "
        "ids, capabilities, setuid programs, the security label, seccomp, namespaces, PIDs, files that are opened for "
        "writing, cut or replaced, sockets, and priorities and limits above crtool's own. The exit status is 0, or the "
        "one with which the restart would have ended before it made anything. What only shows in the making, like a "
        "port that somebody else has, or a capability that crtool lacks, does not show here. An image that belongs to "
        "others is listed only with --trust, here too.",
    ),
    (
        "MEMORY THAT COMES LATER",
        "With --lazy everything runs at once, and large private memory comes from IMAGE when it is asked for, and else "
        "meanwhile, brought by a process crtool-lazy that ends when all is there; with --detach --detach-image crtool "
        "returns only then. Until then IMAGE may be removed, since it is open. If it is cut or overwritten, or "
        "crtool-lazy is killed, the processes are ended, and a line on standard error says so: every byte is verified "
        "before it is given to them, and a process crtool-warden stands by. What processes share since a fork, "
        "stacks, and small mappings do not come later. Until all is there the processes cannot be checkpointed, "
        "debuggers do not see what is missing, and one mremap(2) of several mappings fails. It takes root, and a file.",
    ),
    (
        "AGAIN AND AGAIN",
        "A restart does not change the image: it can be restarted any number of times. Nobody runs before all of the "
        "image has been verified, unless with --lazy; if anything fails on the way, nothing of the restart is left.",
    ),
)


@click.command(
    "restart",
    cls=Verb,
    short_help=VERBS["restart"].help,
    examples=_EXAMPLES,
    usual="--detach --pidfile --leave-stopped --pidns --dry-run --trust",
    result="RestartResult",
    notes=_NOTES,
)
@image_argument(required=False)
@click.option("-d", "--detach", is_flag=True, help="Return once everything runs.")
@click.option("--pidfile", type=PATH, metavar="FILE", help="Write the PID of the root process to FILE.")
@click.option("-s", "--leave-stopped", is_flag=True, help="Leave them stopped; SIGCONT lets them go on.")
@click.option("--pidns/--no-pidns", default=None, help="In a new PID namespace always, or never.")
@click.option(
    "--clock",
    type=click.Choice(["auto", "continue", "host"]),
    default="auto",
    help="Clocks that do not go back (auto), go on from where they were, or are the machine's.",
)
@click.option("--user", metavar="NAME", help="As this user: with his ids, and his rights to open files.")
@click.option("-n", "--dry-run", is_flag=True, help="List what it would grant and touch; do nothing.")
@click.option("--trust", is_flag=True, help="Take an image that others own or may write.")
@click.option(
    "--files",
    type=click.Choice(["refuse", "ignore", "truncate", "restore"]),
    default="refuse",
    help="Files that the program reads and that have another size now: refuse, take them as they are, cut them, or put "
    "them back.",
)
@parents_option
@click.option("--lazy", is_flag=True, help="Let everything run at once; memory comes when it is asked for.")
@click.option("--detach-image", is_flag=True, help="With --lazy --detach: return when all memory has come.")
@signal_option
@key_options
@tcp_option("TCP connections with others: go on with them, or let them be reset.")
@directory
@criu_habits
@json_output
@quiet
@verbose
def command(
    image: str | None,
    detach: bool,
    pidfile: str | None,
    leave_stopped: bool,
    pidns: bool | None,
    clock: ClockPolicy,
    user: str | None,
    dry_run: bool,
    trust: bool,
    files: ChangedFiles,
    parents: tuple[str, ...],
    lazy: bool,
    detach_image: bool,
    told_by: int,
    tcp: Tcp,
    keys: Keys | None,
    folder: str | None,
    as_object: bool,
    quiet: bool,
) -> int:
    """Bring the processes of IMAGE back, with the PIDs they had. - is standard
    input; of a folder, the newest image that is whole is taken.
    """
    path = in_directory(folder, image)
    with ProgressBar(enabled=not quiet) as bar:
        if user is None:
            source = source_of(newest_in(path, bar, keys))
        else:
            from crtool.cli.another_user import open_and_become  # noqa: PLC0415 - seldom needed

            source = open_and_become(user, source_of(path), keys, bar)
    if detach_image and not (lazy and detach):
        raise UsageError("--detach-image goes with --lazy and --detach", "see crtool restart --help")
    if dry_run:
        with ProgressBar(enabled=not quiet) as bar:
            seen = crtool.dry_run(
                source, detach=detach, pidfile=pidfile, pidns=pidns, clock=clock, tcp=tcp, trust=trust, files=files,
                parents=parents, signal=told_by, own=user is not None, lazy=lazy, progress=bar, keys=keys,
            )
        for warning in seen.warnings:
            warn(warning)
        if as_object or not quiet:
            click.echo(as_json(seen) if as_object else "\n".join(lines(seen)))
        return 0
    with ProgressBar(enabled=not quiet) as bar:

        def running(result: RestartResult) -> None:
            _tell(result, quiet=quiet)

        result = crtool.restart(
            source,
            detach=detach,
            leave_stopped=leave_stopped,
            pidfile=pidfile,
            pidns=pidns,
            clock=clock,
            tcp=tcp,
            trust=trust,
            files=files,
            parents=parents,
            signal=told_by,
            own=user is not None,
            lazy=lazy,
            detach_image=detach_image,
            keys=keys,
            progress=bar,
            running=running,
            done=finish,
        )
    if as_object:
        click.echo(as_json(result))
    elif detach and not quiet:
        state = "stopped" if leave_stopped else "running"
        took = duration(result.wall_seconds)
        click.echo(f"PID {result.pid} is back and {state}: {count(result.processes, 'process')}, {took}")
    return 0 if result.status is None else end_like(result.status)


def _tell(result: RestartResult, *, quiet: bool) -> None:
    """What is to be known at once, not only when the program has ended."""
    if result.pidns and not quiet:
        why = f"{printable(result.reason)}; " if result.reason else ""
        user = " and a user namespace" if result.userns else ""
        say(f"crtool: {why}in a PID namespace{user} of its own PID {result.own_pid} is PID {result.pid} of this one")
    for warning in result.warnings:
        warn(warning)
    tell_stages(result.stages)
