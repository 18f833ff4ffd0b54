"""``crtool check``: what this machine can do, or what stands in the way of a checkpoint."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import click

import crtool
from crtool.cli.group import VERBS, Example, Verb
from crtool.cli.options import (
    files_option,
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
from crtool.cli.text import as_json, duration, printable, size

if TYPE_CHECKING:
    from crtool import CheckReport

__all__ = ["command", "verdict"]

_EXAMPLES = (
    Example("See what kernel and permissions allow.", "crtool check"),
    Example("See everything that would hinder a checkpoint of process 4711.", "crtool check 4711"),
)

_NOTES = (
    (
        "ANSWER",
        "The exit status is the answer: 0 if everything is good, 1 if a checkpoint is possible, with warnings, 2 if it "
        "is impossible. The process is only looked at: it is not stopped or changed. What stands in the way, and what "
        "would be lost, depends on --stdio, --tcp, --unix, --files and --sysvipc: give them as to crtool checkpoint. "
        "How long it will stand still is an estimate for a machine that is not busy. With PID, what the machine can "
        "do is listed by --verbose only, and always what it cannot do.",
    ),
)


@click.command(
    "check", cls=Verb, short_help=VERBS["check"].help, examples=_EXAMPLES, usual="", result="CheckReport", notes=_NOTES
)
@pid_argument(metavar="[PID]")
@stdio_option
@tcp_option("TCP connections with others: saved, or reset.")
@unix_option
@files_option
@sysvipc_option
@json_output
@quiet
@verbose
def command(
    pid: int | None,
    tree: int | None,
    stdio: Literal["refuse", "inherit"],
    tcp: Literal["keep", "close"],
    unix: Literal["refuse", "close", "reconnect"],
    files: Literal["names", "content"],
    sysvipc: bool,
    as_object: bool,
    quiet: bool,
) -> int:
    """Tell what this kernel and the caller's rights allow; with PID, also everything in the process and its
    descendants that stands in the way of a checkpoint."""
    target = target_pid(pid, tree, required=False)
    report = crtool.check(target, stdio=stdio, tcp=tcp, unix=unix, files=files, sysvipc=sysvipc)
    if as_object:
        click.echo(as_json(report))
    elif not quiet:
        everything = target is None or verbosity(click.get_current_context()) > 0
        for line in lines(report, target, everything=everything):
            click.echo(line)
    return verdict(report)


def verdict(report: CheckReport) -> int:
    """0 everything good, 1 possible with warnings, 2 impossible."""
    if report.obstacles or any(feature.needed and not feature.available for feature in report.features):
        return 2
    return 1 if report.warnings else 0


def lines(report: CheckReport, pid: int | None, *, everything: bool) -> list[str]:
    """The report for a human: features, or only those that are missing, what stands in the way, and the verdict."""
    width = max((len(feature.name) for feature in report.features), default=0)
    found = []
    for feature in report.features:
        if feature.available and not everything:
            continue
        answer = "yes" if feature.available else "MISSING" if feature.needed else "no"
        found.append(f"{answer:7}  {printable(feature.name):{width}}  {printable(feature.detail)}".rstrip())
    for obstacle in report.obstacles:
        found += [f"obstacle: {printable(str(obstacle))}", f"  {printable(obstacle.remedy)}"]
    found += [f"warning: {printable(warning)}" for warning in report.warnings]
    what = "checkpoints are" if pid is None else f"a checkpoint of PID {pid} is"
    answer = ("possible", "possible, with warnings", "impossible")[verdict(report)]
    about = f"; the image will have about {size(report.estimated_size)}" if report.estimated_size else ""
    if report.estimated_frozen_seconds is not None and report.estimated_copy_seconds is not None:
        still, copied = duration(report.estimated_frozen_seconds), duration(report.estimated_copy_seconds)
        about += f", and it will stand still for about {still} if it goes on, {copied} if not"
    return [*found, f"{what} {answer}{about}"]
