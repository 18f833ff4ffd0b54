"""``crtool show``: what is inside an image."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

import crtool
from crtool.cli.group import VERBS, Example, Verb
from crtool.cli.options import image_argument, json_output, source_of, verbose
from crtool.cli.text import as_json, count, printable, size

if TYPE_CHECKING:
    from crtool import ImageSummary
    from crtool.engine.results import ProcessSummary

__all__ = ["command"]

_EXAMPLES = (
    Example("See the processes, like ps, and what the image needs.", "crtool show work.crt"),
    Example("See the open files.", "crtool show --fds work.crt"),
    Example("Use the facts in a script.", "crtool show --json work.crt | python3 -m json.tool"),
)


@click.command("show", cls=Verb, short_help=VERBS["show"].help, examples=_EXAMPLES, result="ImageSummary")
@image_argument()
@click.option("--ps", "processes", is_flag=True, help="Show the processes as a tree.")
@click.option("--fds", "descriptors", is_flag=True, help="Show the open files of each process.")
@click.option("--maps", "mappings", is_flag=True, help="Show the memory mappings of each process.")
@click.option("--env", "environment", is_flag=True, help="Show the environment of each process; it may hold secrets.")
@json_output
@verbose
def command(
    image: str,
    processes: bool,
    descriptors: bool,
    mappings: bool,
    environment: bool,
    as_object: bool,
) -> None:
    """Tell what is inside IMAGE. Without an option: when and where it was made, and its processes."""
    summary = crtool.show(source_of(image))
    if as_object:
        click.echo(as_json(summary))
        return
    parts: list[Iterator[str]] = []
    if not (processes or descriptors or mappings or environment):
        parts.append(header(summary, image))
        processes = True
    if processes:
        parts.append(process_tree(summary))
    if descriptors:
        parts.append(per_process(summary, [_descriptors(process) for process in summary.processes]))
    if mappings:
        parts.append(per_process(summary, [_mappings(process) for process in summary.processes]))
    if environment:
        parts.append(per_process(summary, [map(printable, process.environment) for process in summary.processes]))
    for number, part in enumerate(parts):
        if number:
            click.echo()
        for line in part:
            click.echo(line)


def header(summary: ImageSummary, image: str) -> Iterator[str]:
    """When, where, and how much."""
    yield f"image      {printable(image)}: format {summary.format}, {size(summary.size)}"
    yield f"written    {summary.created}"
    yield f"machine    {printable(summary.cpu)}, {printable(summary.kernel)}"
    threads = sum(process.threads for process in summary.processes)
    root = f"root PID {summary.root}"
    yield f"processes  {count(len(summary.processes), 'process')}, {count(threads, 'thread')}, {root}"
    yield f"data       {size(summary.data_bytes)}"
    if summary.tty:
        yield f"terminal   {printable(summary.tty)}"


def process_tree(summary: ImageSummary) -> Iterator[str]:
    """Like ``ps --forest``: children below their parents, indented."""
    columns = "{:>7} {:>7} {:>7} {:>7} {:1} {:>7} {:>9}  {}"
    yield columns.format("PID", "PPID", "PGID", "SID", "S", "THREADS", "MEMORY", "COMMAND")
    for depth, process in _walk(summary):
        name = "  " * depth + _command_of(process)
        memory = size(process.memory_bytes)
        yield columns.format(
            process.pid, process.ppid, process.pgid, process.sid, process.state[:1], process.threads, memory, name
        )


def _walk(summary: ImageSummary) -> Iterator[tuple[int, ProcessSummary]]:
    """Every process once, with its depth; whoever's parent is not in the image is at the top."""
    present = {process.pid for process in summary.processes}
    children: dict[int, list[ProcessSummary]] = {}
    for process in summary.processes:
        children.setdefault(process.ppid if process.ppid in present else 0, []).append(process)
    # A stack and not a recursion: a chain of a thousand parents is unusual, but no reason to fail.
    stack = [(0, process) for process in reversed(children.get(0, []))]
    while stack:
        depth, process = stack.pop()
        yield depth, process
        stack += [(depth + 1, child) for child in reversed(children.get(process.pid, []))]


def _command_of(process: ProcessSummary) -> str:
    """The command line, or the name in brackets, as ps shows what has none."""
    return printable(" ".join(process.cmdline)) if process.cmdline else f"[{printable(process.comm)}]"


def per_process(summary: ImageSummary, parts: list[Iterator[str]]) -> Iterator[str]:
    """A line about each process, and below it, indented, what there is to say."""
    for process, part in zip(summary.processes, parts, strict=True):
        yield f"PID {process.pid}  {_command_of(process)}"
        for line in part:
            yield f"  {line}"


def _descriptors(process: ProcessSummary) -> Iterator[str]:
    width = max((len(descriptor.kind) for descriptor in process.descriptors), default=0)
    for descriptor in process.descriptors:
        yield f"{descriptor.fd:>5}  {descriptor.kind:{width}}  {printable(descriptor.detail)}".rstrip()


def _mappings(process: ProcessSummary) -> Iterator[str]:
    for mapping in process.mappings:
        saved = size(mapping.saved_bytes) if mapping.saved_bytes else "-"
        extent = f"{mapping.start:012x}-{mapping.end:012x}"
        yield f"{extent} {mapping.permissions} {saved:>9}  {printable(mapping.name)}".rstrip()
