"""``crtool show``: what is inside an image."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, TypeAlias

import click

import crtool
from crtool.cli.ending import finish, warn
from crtool.cli.fold import columns_of_terminal, fold
from crtool.cli.group import VERBS, Example, Verb
from crtool.cli.options import PATH, image_argument, json_output, source_of, verbose
from crtool.cli.secrets import key_options
from crtool.cli.text import as_json, count, duration, printable, size
from crtool.errors import UsageError

if TYPE_CHECKING:
    from crtool import ImageSummary
    from crtool.engine.results import ProcessSummary
    from crtool.image.keys import Keys

__all__ = ["command"]

_Line: TypeAlias = "tuple[str, str]"  # all fields but the last, and that one, which is folded on a narrow terminal

_EXAMPLES = (
    Example("See the processes, like ps, and what the image needs.", "crtool show work.crt"),
    Example("See the open files.", "crtool show --fds work.crt"),
    Example("See which signals it waits for, and when its timers expire.", "crtool show --signals --timers work.crt"),
    Example("Draw the processes, or the memory of one of them.", "crtool show --map -o work.svg work.crt"),
    Example("Use the facts in a script.", "crtool show --json work.crt | python3 -m json.tool"),
)

_NOTES = (
    (
        "PIPES AND URLS",
        "Of an image that comes through a pipe or from a URL only the head is read. Command lines and environments "
        "are in the memory behind it and are not shown; the names of the programs stand in their place, in brackets, "
        "and a warning says so. For all of it, save the image to a file first.",
    ),
)


@click.command(
    "show",
    cls=Verb,
    short_help=VERBS["show"].help,
    examples=_EXAMPLES,
    usual="--ps --fds --maps --sockets --signals --timers --env --map",
    result="ImageSummary",
    notes=_NOTES,
)
@image_argument()
@click.option("--ps", "processes", is_flag=True, help="Show the processes as a tree.")
@click.option("--fds", "descriptors", is_flag=True, help="Show the open files of each process.")
@click.option("--maps", "mappings", is_flag=True, help="Show the memory mappings of each process.")
@click.option("--sockets", is_flag=True, help="Show the sockets of each process, with both ends.")
@click.option("--signals", is_flag=True, help="Show which signals are caught, blocked or waiting.")
@click.option("--timers", is_flag=True, help="Show the timers of each process, and when they expire.")
@click.option("--map", "picture", is_flag=True, help="Draw the tree, or the memory of --pid, as SVG.")
@click.option("-p", "--pid", type=click.IntRange(min=1), metavar="PID", help="The process that --map draws.")
@click.option("-o", "--output", type=PATH, metavar="FILE", help="Where --map draws to.")
@click.option("-f", "--force", is_flag=True, help="Replace an existing file.")
@click.option("--env", "environment", is_flag=True, help="Show the environment, which may hold secrets.")
@key_options
@json_output
@verbose
def command(
    image: str,
    processes: bool,
    descriptors: bool,
    mappings: bool,
    sockets: bool,
    signals: bool,
    timers: bool,
    picture: bool,
    pid: int | None,
    output: str | None,
    force: bool,
    environment: bool,
    keys: Keys | None,
    as_object: bool,
) -> None:
    """Tell what is inside IMAGE. Without an option: when and where it was made, and its processes."""
    if not picture and (pid is not None or output is not None or force):
        raise UsageError("--pid, --output and --force are for --map", "leave them out, or add --map")
    if picture and as_object:
        raise UsageError("--map and --json exclude each other", "choose one")
    summary = crtool.show(source_of(image), keys)
    for warning in summary.warnings:
        warn(warning)
    if picture:
        draw(summary, pid, output, force=force)
        return
    if as_object:
        click.echo(as_json(summary))
        return
    parts: list[Iterator[_Line]] = []
    views = (
        (descriptors, _descriptors),
        (mappings, _mappings),
        (sockets, _sockets),
        (signals, _signals),
        (timers, _timers),
        (environment, _environment),
    )
    if not (processes or any(wanted for wanted, _ in views)):
        parts.append(header(summary, image))
        processes = True
    if processes:
        parts.append(process_tree(summary))
    parts += [per_process(summary, view) for wanted, view in views if wanted]
    width = columns_of_terminal()
    for number, part in enumerate(parts):
        if number:
            click.echo()
        for head, tail in part:
            for line in fold(head, tail, width):
                click.echo(line)


def draw(summary: ImageSummary, pid: int | None, output: str | None, *, force: bool) -> None:
    """Writes the picture to a new file, or to standard output if none is named."""
    from crtool.engine import picture  # noqa: PLC0415 - seldom needed

    if pid is None:
        text = picture.tree(summary)
    else:
        found = [process for process in summary.processes if process.pid == pid]
        if not found:
            known = ", ".join(str(process.pid) for process in summary.processes)
            raise UsageError(f"there is no process {pid} in the image", f"it has {known}")
        text = picture.space(found[0])
    if output in (None, "-"):
        click.echo(text, nl=False)
        return
    picture.write(text, str(output), force=force, done=finish)


def header(summary: ImageSummary, image: str) -> Iterator[_Line]:
    """When, where, and how much."""
    for name, what in _facts(summary, image):
        yield f"{name:9}  ", what


def _facts(summary: ImageSummary, image: str) -> Iterator[tuple[str, str]]:
    yield "image", f"{printable(image)}: format {summary.format}, {size(summary.size)}"
    yield "written", summary.created
    if summary.encrypted:
        yield "encrypted", "yes"
    if summary.signed_by:
        yield "signed", f"by {summary.signed_by}; whether that is true is said by --require-signature"
    yield "machine", f"{printable(summary.cpu)}, {printable(summary.kernel)}"
    threads = sum(process.threads for process in summary.processes)
    root = f"root PID {summary.root}"
    yield "processes", f"{count(len(summary.processes), 'process')}, {count(threads, 'thread')}, {root}"
    yield "data", size(summary.data_bytes)
    for parent in summary.parents:
        yield "builds on", printable(parent)
    if summary.tty:
        yield "terminal", printable(summary.tty)


def process_tree(summary: ImageSummary) -> Iterator[_Line]:
    """Like ``ps --forest``: children below their parents, indented."""
    # Who is in a nested PID namespace has more than one: the outermost first, as in /proc/PID/status.
    nested = any(len(process.pids) > 1 for process in summary.processes)
    shown = {process.pid: "/".join(map(str, process.pids)) or str(process.pid) for process in summary.processes}
    width = max(map(len, shown.values())) if nested else 7
    columns = f"{{:>{max(width, 7)}}} " + "{:>7} {:>7} {:>7} {:1} {:>7} {:>9}  "
    yield columns.format("PID", "PPID", "PGID", "SID", "S", "THREADS", "MEMORY"), "COMMAND"
    for depth, process in summary.tree():
        name = "  " * depth + _command_of(process)
        memory = size(process.memory_bytes)
        ids = (shown[process.pid], process.ppid, process.pgid, process.sid)
        yield columns.format(*ids, process.state[:1], process.threads, memory), name


def _command_of(process: ProcessSummary) -> str:
    """The command line, or the name in brackets, as ps shows what has none."""
    return printable(" ".join(process.cmdline)) if process.cmdline else f"[{printable(process.comm)}]"


def per_process(summary: ImageSummary, view: Callable[[ProcessSummary], Iterable[_Line]]) -> Iterator[_Line]:
    """A line about each process, and below it, indented, what there is to say."""
    for process in summary.processes:
        yield f"PID {process.pid}  ", _command_of(process)
        for head, tail in view(process):
            yield f"  {head}", tail


def _environment(process: ProcessSummary) -> Iterator[_Line]:
    for variable in process.environment:
        yield "", printable(variable)


def _descriptors(process: ProcessSummary) -> Iterator[_Line]:
    width = max((len(descriptor.kind) for descriptor in process.descriptors), default=0)
    for descriptor in process.descriptors:
        yield f"{descriptor.fd:>5}  {descriptor.kind:{width}}  ", printable(descriptor.detail)


def _mappings(process: ProcessSummary) -> Iterator[_Line]:
    for mapping in process.mappings:
        saved = size(mapping.saved_bytes) if mapping.saved_bytes else "-"
        extent = f"{mapping.start:012x}-{mapping.end:012x}"
        yield f"{extent} {mapping.permissions} {saved:>9}  ", printable(mapping.name)


def _sockets(process: ProcessSummary) -> Iterator[_Line]:
    for socket in process.sockets:
        ends = " → ".join(printable(end) for end in (socket.local, socket.remote) if end)
        yield f"{socket.fd:>5}  {socket.kind:7}  ", f"{ends or '*'}  {printable(socket.detail)}"


def _signals(process: ProcessSummary) -> Iterator[_Line]:
    for signal in process.signals:
        blocked = "by all threads" if len(signal.blocked) == process.threads else f"by {_tids(signal.blocked)}"
        notes = [f"blocked {blocked}"] if signal.blocked else []
        notes += [f"{signal.pending} waiting"] if signal.pending else []
        yield f"{signal.number:>5}  {signal.name:12}  {signal.action:7}  ", ", ".join(notes)


def _tids(tids: tuple[int, ...]) -> str:
    return f"{'thread' if len(tids) == 1 else 'threads'} {', '.join(map(str, tids))}"


def _timers(process: ProcessSummary) -> Iterator[_Line]:
    for timer in process.timers:
        left = f"in {duration(timer.left / 1e9)}" if timer.left else "off"
        every = f", every {duration(timer.interval / 1e9)}" if timer.interval else ""
        yield f"{timer.timer:14}  {timer.clock:15}  ", f"{left}{every}; {timer.effect}"
