"""Options and arguments that several verbs share."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from typing import Any, TypeVar

import click

from crtool.errors import NotFound, UsageError

__all__ = [
    "criu_habits",
    "directory",
    "duration_option",
    "image_argument",
    "in_directory",
    "json_output",
    "pid_argument",
    "quiet",
    "source_of",
    "target_pid",
    "verbose",
    "verbosity",
]

_Function = TypeVar("_Function", bound=Callable[..., Any])

_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
# A PID is a pid_t, 32 bits; the kernel's own limit (PID_MAX_LIMIT, linux/threads.h) is far below.
PID_MAX = 2**31 - 1
_VERBOSITY = "crtool.verbosity"


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


def pid_argument(*, metavar: str = "PID") -> Callable[[_Function], _Function]:
    """PID, or -t PID as fingers know it from CRIU; :func:`target_pid` makes one of both."""

    def decorate(function: _Function) -> _Function:
        function = click.option("-t", "--tree", metavar="PID", callback=_pid, help="The same as PID.")(function)
        return click.argument("pid", metavar=metavar, callback=_pid, required=False)(function)

    return decorate


def _pid(context: click.Context, parameter: click.Parameter, value: str | None) -> int | None:
    if value is None:
        return None
    if not re.fullmatch(r"[0-9]{1,10}", value) or not 0 < int(value) <= PID_MAX:
        raise click.BadParameter(f"{value!r} is no PID", context, parameter)
    return int(value)


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
    path = click.Path(allow_dash=True)
    return click.argument("image", type=path, metavar="IMAGE" if required else "[IMAGE]", required=required)


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
        "-D", "--images-dir", "folder", type=click.Path(), metavar="DIR", help="The folder that IMAGE is in."
    )(function)


def in_directory(folder: str | None, image: str | None) -> str:
    """The path of the image to read: *image* in *folder*, or the only one that is there."""
    if image is not None:
        return image if folder is None or image == "-" else os.path.join(folder, image)
    if folder is None:
        raise UsageError("which image?", "give its path, or - for standard input")
    try:
        names = sorted(name for name in os.listdir(folder) if name.endswith(".crt"))
    except OSError as error:
        raise NotFound(f"{folder}: {error.strerror}", "see the name of the folder") from None
    if len(names) != 1:
        found = f"has {len(names)} images" if names else "has no image (*.crt)"
        raise UsageError(f"{folder} {found}", "give the path of one")
    return os.path.join(folder, names[0])


def criu_habits(function: _Function) -> _Function:
    """What users of CRIU type without thinking: it is not needed here, and does nothing."""
    for names in (("-j", "--shell-job"), ("--tcp-established",)):
        function = click.option(
            *names, is_flag=True, expose_value=False, help="Not needed; understood for users of CRIU."
        )(function)
    return function


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
        help="Say more on standard error: what is done and how long it takes; -vv also every system call.",
    )(function)


def _set_verbosity(context: click.Context, _parameter: click.Parameter, count: int) -> None:
    context.meta[_VERBOSITY] = count
    if count:
        import logging  # noqa: PLC0415 - used by few calls

        logging.basicConfig(level=logging.DEBUG if count > 1 else logging.INFO, format="%(name)s: %(message)s")


def verbosity(context: click.Context | None) -> int:
    """How often -v was given."""
    return int(context.meta.get(_VERBOSITY, 0)) if context else 0
