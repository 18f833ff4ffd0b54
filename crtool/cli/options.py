"""Options and arguments that several verbs share."""

from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from crtool.cli.ending import keep_log, warn
from crtool.errors import NotFound, UsageError
from crtool.image.trouble import is_url

if TYPE_CHECKING:
    from crtool.engine.news import Watch
    from crtool.image.keys import Keys

__all__ = [
    "PATH",
    "criu_habits",
    "directory",
    "duration_option",
    "files_option",
    "image_argument",
    "image_stream",
    "in_directory",
    "json_output",
    "newest_in",
    "offer",
    "parents_option",
    "pid_argument",
    "quiet",
    "signal_option",
    "signals_of",
    "source_of",
    "stdio_option",
    "sysvipc_option",
    "target_pid",
    "tcp_option",
    "unix_option",
    "verbose",
    "verbosity",
]

_Function = TypeVar("_Function", bound=Callable[..., Any])

_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
# A PID is a pid_t, 32 bits; the kernel's own limit (PID_MAX_LIMIT, linux/threads.h) is far below.
PID_MAX = 2**31 - 1
# Whether it can be read is seen by whoever reads it: only he knows what is to be said then, and with which exit status.
PATH = click.Path(readable=False)
_VERBOSITY = "crtool.verbosity"
_INFO, _DEBUG = 20, 10  # of the module logging, which takes long to import


parents_option = click.option(
    "--parent",
    "parents",
    type=PATH,
    metavar="PATH",
    multiple=True,
    help="A file or folder in which an image that IMAGE builds on is looked for first.",
)


def duration_option(name: str, *, help: str) -> Callable[[_Function], _Function]:
    """An option that takes seconds, or a number with s, m, h or d behind it, as timeout(1) does."""
    return click.option(name, metavar="TIME", callback=_seconds, help=help)


def _seconds(context: click.Context, parameter: click.Parameter, value: str | None) -> float | None:
    if value is None:
        return None
    match = re.fullmatch(r"(\d+\.?\d*|\.\d+)([smhd]?)", value, re.ASCII)
    if match is None or not (seconds := float(match[1]) * _SECONDS[match[2]]):
        raise click.BadParameter(f"{value!r} is no duration: give seconds, or 90s, 2.5m, 1h", context, parameter)
    return seconds


def pid_argument(*, metavar: str = "PID", alone: bool = True) -> Callable[[_Function], _Function]:
    """PID, or -t PID as fingers know it from CRIU; :func:`target_pid` makes one of both.

    *alone*: False if other arguments follow it; then there is no -t.
    """

    def decorate(function: _Function) -> _Function:
        if not alone:
            return click.argument("pid", metavar=metavar, callback=_pid, shell_complete=offer("processes"))(function)
        function = click.option(
            "-t", "--tree", metavar="PID", callback=_pid, shell_complete=offer("processes"), help="The same as PID."
        )(function)
        return click.argument("pid", metavar=metavar, callback=_pid, required=False, shell_complete=offer("processes"))(
            function
        )

    return decorate


def _pid(context: click.Context, parameter: click.Parameter, value: str | None) -> int | None:
    if value is None:
        return None
    if not re.fullmatch(r"[0-9]{1,10}", value) or not 0 < int(value) <= PID_MAX:
        raise click.BadParameter(f"{value!r} is no PID", context, parameter)
    return int(value)


def offer(what: str) -> Callable[[click.Context, click.Parameter, str], Any]:
    """What :mod:`crtool.cli.complete` has for a word, imported only when a shell asks."""

    def offer(context: click.Context, parameter: click.Parameter, incomplete: str) -> Any:
        from crtool.cli import complete  # noqa: PLC0415

        return getattr(complete, what)(context, parameter, incomplete)

    return offer


def target_pid(pid: int | None, tree: int | None, *, required: bool = True) -> int | None:
    """The process that is meant; UsageError if none or two are."""
    if pid is not None and tree is not None and pid != tree:
        raise UsageError(f"two processes are given: {pid} and {tree}", "give one; its descendants come along")
    found = tree if pid is None else pid
    if found is None and required:
        raise UsageError("which process is to be saved?", "give its PID; ps and pgrep find it")
    return found


def image_argument(*, required: bool = True) -> Callable[[_Function], _Function]:
    """IMAGE, a path, or - for standard input."""
    name = "IMAGE" if required else "[IMAGE]"
    return click.argument("image", type=PATH, metavar=name, required=required, shell_complete=offer("images"))


def image_stream(*, as_object: bool) -> int:
    """Standard output, for an image; UsageError if it is wanted for something else, or is a terminal."""
    if as_object:
        raise UsageError("both the image and --json want standard output", "write the image to a file")
    if sys.stdout is None:
        raise UsageError("standard output is closed", "redirect it, or name a file with -o")
    if sys.stdout.isatty():
        raise UsageError("the image would go to the terminal", "redirect standard output, or name a file with -o")
    return sys.stdout.fileno()


def source_of(image: str) -> str | int:
    """What the Python API is given for IMAGE; UsageError if a human would have to type it in."""
    if image != "-":
        return image
    if sys.stdin is None or sys.stdin.isatty():
        raise UsageError("standard input is no image", "give a file, or pipe the image in")
    return sys.stdin.fileno()


def directory(function: _Function) -> _Function:
    """-D DIR: where images are."""
    return click.option(
        "-D", "--images-dir", "folder", type=PATH, metavar="DIR", help="The folder that IMAGE is in."
    )(function)


def in_directory(folder: str | None, image: str | None) -> str:
    """The path of the image to read: *image* in *folder*, or the folder itself, for :func:`newest_in`."""
    if image is not None:
        return image if folder is None or image == "-" or is_url(image) else os.path.join(folder, image)
    if folder is None:
        raise UsageError("which image?", "give its path, or - for standard input")
    if is_url(folder):
        raise UsageError(f"{folder}: no folder of this machine", "give the whole URL of an image instead")
    if not os.path.isdir(folder):
        raise NotFound(f"{folder}: no such folder", "see its name")
    return folder


def newest_in(path: str, progress: Watch | None = None, keys: Keys | None = None) -> str:
    """The newest whole image of *path* if that is a folder; the damaged ones on the way are warned of."""
    if path == "-" or not os.path.isdir(path):
        return path
    from crtool.engine.store import images_in, newest_whole  # noqa: PLC0415 - seldom needed

    found = images_in(path)
    return found[0] if len(found) == 1 else newest_whole(path, warn, progress, keys)


def stdio_option(function: _Function) -> _Function:
    """--stdio: what becomes of standard streams that lead out of the tree."""
    return click.option(
        "--stdio",
        type=click.Choice(["refuse", "inherit"]),
        default="refuse",
        help="What becomes of standard streams that are pipes or streams of unix sockets to somebody outside: refused "
        "(the default), or a restart puts its own in their place.",
    )(function)


def criu_habits(function: _Function) -> _Function:
    """What users of CRIU type without thinking: it is not needed here, and does nothing."""
    for names in (("-j", "--shell-job"), ("--tcp-established",)):
        function = click.option(
            *names, is_flag=True, expose_value=False, help="Not needed; understood for users of CRIU."
        )(function)
    return function


def tcp_option(help: str) -> Callable[[_Function], _Function]:
    """--tcp: what is to become of connections with somebody outside the tree."""
    return click.option("--tcp", type=click.Choice(["keep", "close"]), default="keep", help=help)


def unix_option(function: _Function) -> _Function:
    """--unix: what is to become of unix sockets whose other end is outside the tree."""
    return click.option(
        "--unix",
        type=click.Choice(["refuse", "close", "reconnect"]),
        default="refuse",
        help="What becomes of unix sockets whose other end is outside the tree: refused (the default), as if the other "
        "side had closed it, or connected to the same name again by the restart.",
    )(function)


def files_option(function: _Function) -> _Function:
    """--files: what is saved of files that have a name."""
    return click.option(
        "--files",
        type=click.Choice(["names", "content"]),
        default="names",
        help="What is saved of files that are open or mapped: their names (the default), or also what is in them.",
    )(function)


def sysvipc_option(function: _Function) -> _Function:
    """--sysvipc: System V IPC objects of the machine come along."""
    return click.option(
        "--sysvipc",
        is_flag=True,
        help="Save the System V shared memory, semaphores and message queues that the processes use, too.",
    )(function)


def signals_of(context: click.Context, parameter: click.Parameter, value: str | None) -> frozenset[int]:
    """The signals that *value* lists, by names or numbers with commas between them."""
    found = set()
    for word in (value or "").split(",") if value is not None else ():
        name = word.strip().upper().removeprefix("SIG")
        if re.fullmatch(r"[0-9]{1,2}", name, re.ASCII) and 0 < int(name) < signal.NSIG:
            found.add(int(name))
        elif f"SIG{name}" in signal.Signals.__members__:
            found.add(int(signal.Signals[f"SIG{name}"]))
        else:
            raise click.BadParameter(f"{word!r} is no signal: give names with commas between them", context, parameter)
    return frozenset(found)


def signal_option(function: _Function) -> _Function:
    """--signal: by which programs are told that they have been restarted."""
    return click.option(
        "--signal",
        "told_by",
        metavar="NAME",
        callback=_one_signal,
        help="Tell every process that catches this signal, before it runs on: so it can seed random numbers anew.",
    )(function)


def _one_signal(context: click.Context, parameter: click.Parameter, value: str | None) -> int:
    found = signals_of(context, parameter, value)
    if len(found) > 1:
        raise click.BadParameter("one signal is enough", context, parameter)
    return next(iter(found), 0)


def json_output(function: _Function) -> _Function:
    """--json: the result as an object for programs."""
    return click.option("--json", "as_object", is_flag=True, help="Print the result as a JSON object.")(function)


def quiet(function: _Function) -> _Function:
    """-q: no progress, no closing line."""
    return click.option("-q", "--quiet", is_flag=True, help="Say nothing but warnings and errors.")(function)


def verbose(function: _Function) -> _Function:
    """-v, -vv: what the layers below log (INFO, DEBUG) on standard error; :func:`verbosity` finds the count."""
    return click.option(
        "-v",
        "--verbose",
        count=True,
        expose_value=False,
        callback=_set_verbosity,
        help="Tell what is done; -vv tells every system call.",
    )(function)


def _set_verbosity(context: click.Context, _parameter: click.Parameter, count: int) -> None:
    context.meta[_VERBOSITY] = count
    if count:
        keep_log(_DEBUG if count > 1 else _INFO)


def verbosity(context: click.Context | None) -> int:
    """How often -v was given."""
    return int(context.meta.get(_VERBOSITY, 0)) if context else 0
