"""``crtool checkpoint``: save a process and all its descendants to one file."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Literal

import click

import crtool
from crtool.cli.ending import finish, say, warn
from crtool.cli.group import VERBS, Example, Verb
from crtool.cli.options import (
    PATH,
    criu_habits,
    directory,
    duration_option,
    files_option,
    image_stream,
    json_output,
    pid_argument,
    quiet,
    stdio_option,
    sysvipc_option,
    target_pid,
    tcp_option,
    unix_option,
    verbose,
    verbosity,
)
from crtool.cli.secrets import SECRETS, lock_options
from crtool.cli.story import tell_stages
from crtool.cli.text import as_json, count, duration, printable, size
from crtool.cli.views import ProgressBar
from crtool.errors import EnvironmentDiffers, UsageError
from crtool.image.trouble import is_url

if TYPE_CHECKING:
    from crtool import CheckpointResult
    from crtool.image.keys import Lock

__all__ = ["command"]

Stdio = Literal["refuse", "inherit"]
Exclude = Literal["none", "dontdump"]
Files = Literal["names", "content"]
Tcp = Literal["keep", "close"]
Unix = Literal["refuse", "close", "reconnect"]
Leave = Literal["running", "stopped", "killed"]
LiveMode = Literal["auto", "fork", "off"]

_EXAMPLES = (
    Example("Save process 4711 and let it go on.", "crtool checkpoint 4711"),
    Example("Save it and end it, once the image is safely on disk.", "crtool checkpoint 4711 -k -o work.crt"),
    Example(
        "Send it to another machine; crtool migrate also waits until it runs there.",
        "crtool checkpoint 4711 -k -o - | ssh HOST crtool restart -",
    ),
    Example(
        "Save it again, but only what has changed since.", "crtool checkpoint 4711 --parent mon.crt -o tue.crt"
    ),
    Example("Save it to an object store.", "crtool checkpoint 4711 -o s3://BUCKET/work.crt"),
)

_NOTES = (
    (
        "WHAT HAPPENS TO THE PROCESS",
        "The processes are stopped while their state is read, and go on afterwards, unless --kill or --leave-stopped "
        "is given. The closing line says how long they stood still. Whatever happens, and even if crtool itself is "
        "killed, they are left as they were: only a complete image that has reached the disk lets --kill end them. An "
        "image that goes to a pipe has to be taken by its reader to the last byte; from then on --kill trusts him to "
        "keep it. One who refuses it early, since it is not signed, say, closes the pipe, and the processes go on.",
    ),
    (
        "LIVE CHECKPOINTS",
        "Processes that go on stand still for a moment only: each is forked by crtool and goes on, and its twin is "
        "written to the image at leisure. The program does not notice it, and it vanishes even if crtool is killed. "
        "Processes of less than 1 MiB, and what a fork does not carry, are copied while they stand still. Where a fork "
        "is refused everything is, and a warning says so; --live=off asks for that, and --live=fork forks small "
        "processes too. At the end each process with a twin is stopped once more, for about a millisecond.",
    ),
    (
        "THE IMAGE",
        "One file, readable by its owner only, with a checksum over every byte. It appears under its name when it is "
        "complete, never before. By default it is called NAME-PID-YYYYMMDDTHHMMSS.crt and lies in the current folder. "
        "--compress makes it smaller where a sample says that it pays, if the package lz4 or zstandard is installed "
        "(pip install 'crtool[compress]'). Processes that go on do not stand still longer for it; those that are ended "
        "do.",
    ),
    SECRETS,
    (
        "INCREMENTS",
        "With --parent the new image stores only the pages that are not, byte for byte, in that earlier image at the "
        "same address, and needs it from then on; a parent may have a parent itself. The earlier image is verified "
        "first. Which one is meant is written down by its root hash: if it is gone, has changed, or another image has "
        "its name, a restart says so, and which, before anything is made. It is looked for beside the new image, then "
        "where it was. All verbs take a chain as one image; crtool squash makes one of it. For processes that go on, "
        "pages are compared when they run again already; those that are ended stand still for it.",
    ),
    (
        "OBJECT STORES",
        "IMAGE may be a URL, here and for the verbs that read an image: s3://BUCKET/NAME, and whatever else the Python "
        "package fsspec can reach (pip install 'crtool[remote]'). The image is sent in parts while it is made, and "
        "appears under its name when it is whole, as the last step; if anything fails on the way, the parts are "
        "deleted. core, diff and extract fetch an image to a file without a name, in the folder TMPDIR. Credentials "
        "and addresses are found where other programs find them: AWS_ACCESS_KEY_ID, AWS_ENDPOINT_URL, ~/.aws.",
    ),
    (
        "TCP CONNECTIONS",
        "Connections go on after the restart, those with programs outside the tree too: with --kill they end without a "
        "word to the other end, and nftables holds them until the restart, so that the kernel does not answer in their "
        "place. A warning names the table, to be deleted by hand if there is to be no restart. With --tcp close only "
        "connections within the tree are saved; the others come back as reset by the other end.",
    ),
    (
        "UNIX SOCKETS",
        "A unix socket whose other end is outside the tree is refused, with the name of who holds that. With --unix "
        "close it comes back as if the other side had closed it, its unread data still there. With --unix reconnect "
        "the restart connects it to the same name again: what log and name services want. A socket that has been "
        "accepted from outside has no name to connect to, and is closed. Warnings name each of them.",
    ),
    (
        "FILES",
        "An image has the names of the files that are open or mapped, and what has no name any more. With --files "
        "content it also has what is in them, programs and libraries included, so that crtool restart --files restore "
        "can put back what has changed by then. Of processes that go on, files are copied while they stand "
        "still, unless the file system can clone them (btrfs, XFS), which takes no time.",
    ),
    (
        "MEMORY",
        "Everything is saved that the programs have written. Left out are pages of zeros, and memory of which the "
        "program has said that no other process may have it (MADV_WIPEONFORK): after a restart it is empty, as it is "
        "after a fork. With --exclude dontdump private memory is left out, too, that the program keeps out of core "
        "dumps (MADV_DONTDUMP): caches, keys. A restart finds it as if it had never been touched, so this is for "
        "programs that can do without.",
    ),
    (
        "SYSTEM V IPC",
        "Shared memory, semaphores and message queues of the kind that ipcs(1) lists belong to the machine and not to "
        "a process. With --sysvipc those are saved that a process of the tree has made, used last, or attached, and "
        "what is to be undone to semaphores; a restart makes them anew with their ids and keys, or gives those that "
        "are still there what was in them. Each IPC namespace that a tree has for itself comes along with all "
        "its objects and sysctls, without being asked.",
    ),
)


@click.command(
    "checkpoint",
    cls=Verb,
    short_help=VERBS["checkpoint"].help,
    examples=_EXAMPLES,
    extra="the image is named with -o, as in: crtool checkpoint PID -o IMAGE",
    usual="--output --force --kill --leave-stopped --compress --encrypt-to --timeout",
    result="CheckpointResult",
    notes=_NOTES,
)
@pid_argument()
@click.option(
    "-o",
    "--output",
    type=PATH,
    metavar="IMAGE",
    help="Where to; - is standard output.",
)
@click.option("-f", "--force", is_flag=True, help="Replace IMAGE if it exists.")
@click.option(
    "--parent",
    type=PATH,
    metavar="IMAGE",
    help="Write only what this earlier image does not have; both are needed then.",
)
@click.option("-k", "--kill", is_flag=True, help="End the processes once the image is safely on disk.")
@click.option("-R", "--leave-running", is_flag=True, help="Let the processes go on (the default).")
@click.option("-s", "--leave-stopped", is_flag=True, help="Leave the processes stopped; SIGCONT lets them go on.")
@stdio_option
@tcp_option("TCP connections with others: save them, or let them come back as reset.")
@unix_option
@files_option
@sysvipc_option
@click.option(
    "--exclude",
    type=click.Choice(["none", "dontdump"]),
    default="none",
    help="Private memory to leave out: none (the default), or what is kept out of core dumps (MADV_DONTDUMP).",
)
@directory
@click.option(
    "--live",
    type=click.Choice(["auto", "fork", "off"]),
    default="auto",
    show_default=True,
    help="How processes that go on are copied: from a fork, or while they stand still.",
)
@click.option(
    "--compress",
    default="none",
    metavar="HOW",
    help="Make it smaller: auto, lz4, zstd, or zstd:1 to zstd:22.",
)
@lock_options
@duration_option("--timeout", help="Give up after TIME: seconds, or 90s, 2m, 1h.")
@criu_habits
@json_output
@quiet
@verbose
@click.pass_context
def command(
    context: click.Context,
    pid: int | None,
    tree: int | None,
    output: str | None,
    force: bool,
    parent: str | None,
    kill: bool,
    leave_running: bool,
    leave_stopped: bool,
    stdio: Stdio,
    tcp: Tcp,
    unix: Unix,
    files: Files,
    sysvipc: bool,
    exclude: Exclude,
    folder: str | None,
    live: LiveMode,
    compress: str,
    lock: Lock | None,
    timeout: float | None,
    as_object: bool,
    quiet: bool,
) -> None:
    """Save process PID and all its descendants, as they are now, to one file.
    The processes go on running by default: nobody loses one by mistake.
    """
    target = target_pid(pid, tree)
    assert target is not None
    leave = _leave(kill=kill, running=leave_running, stopped=leave_stopped)
    if parent is not None and not is_url(parent):
        parent = os.path.abspath(parent if folder is None else os.path.join(folder, parent))
    where = _destination(output, folder, as_object=as_object)
    with ProgressBar(enabled=not quiet, preload=True) as bar:
        result = crtool.checkpoint(
            target, where, leave=leave, force=force, timeout=timeout, live=live, compress=compress, lock=lock,
            stdio=stdio, tcp=tcp, unix=unix, files=files, sysvipc=sysvipc, exclude=exclude, parent=parent, progress=bar,
            done=finish,
        )
    for warning in result.warnings:
        warn(warning)
    tell_stages(result.stages)
    if verbosity(context):
        pages = f"{result.pages_scanned:,} scanned: {result.pages_written:,} written, {result.pages_skipped:,} skipped"
        same = f"; {result.pages_same:,} in the parent" if parent is not None else ""
        say(f"pages      {pages}, {result.pages_zero:,} of them zero, {result.pages_shared:,} shared{same}")
        say(f"written    {size(round(result.bytes_per_second))} a second, {count(result.forked, 'process')} forked")
    if as_object:
        click.echo(as_json(result))
    elif not quiet:
        click.echo(closing_line(result), err=result.image is None)


def _leave(*, kill: bool, running: bool, stopped: bool) -> Leave:
    if kill + running + stopped > 1:
        raise UsageError(
            "--kill, --leave-running and --leave-stopped exclude each other", "say what is to become of the processes"
        )
    return "killed" if kill else "stopped" if stopped else "running"


def _destination(output: str | None, folder: str | None, *, as_object: bool) -> str | int | None:
    """What the Python API is given as its output."""
    if output == "-":
        return image_stream(as_object=as_object)
    if folder is None:
        return output
    if output is not None:
        return output if is_url(output) else os.path.join(folder, output)
    if is_url(folder):
        raise UsageError(f"{folder}: no folder of this machine", "give the whole URL of the image with -o")
    # The default name is made where the process is looked at, for the current folder.
    try:
        os.chdir(folder)
    except OSError as error:
        raise EnvironmentDiffers(f"{folder}: {error.strerror}", "make the folder, or choose another one") from None
    return None


def closing_line(result: CheckpointResult) -> str:
    """What happened: what is saved, what became of it, where the image is, how long the target stood still."""
    what = f"PID {result.pid}" if result.processes == 1 else f"PID {result.pid} and {result.processes - 1:,} more"
    left = {"running": "left running", "stopped": "left stopped", "killed": "killed"}[result.left]
    where = "the stream"
    if result.image is not None:
        where = printable(result.image if is_url(result.image) else os.path.abspath(result.image))
    pages = f"{count(result.pages_written, 'page')} saved"
    if result.pages_same:
        pages += f", {result.pages_same:,} in the parent"
    return (
        f"{what} saved and {left}: {where}, {size(result.size)}, {pages}, {result.pages_skipped:,} skipped, "
        f"frozen for {duration(result.frozen_seconds)}"
    )
