"""``crtool check``: what this machine can do, or what stands in the way of a checkpoint."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

import crtool
from crtool.cli.group import VERBS, Example, Verb
from crtool.cli.options import json_output, pid_argument, quiet, target_pid, verbose
from crtool.cli.text import as_json, printable, size

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
        "is impossible. The process is only looked at: it is not stopped or changed.",
    ),
)


@click.command(
    "check", cls=Verb, short_help=VERBS["check"].help, examples=_EXAMPLES, result="CheckReport", notes=_NOTES
)
@pid_argument(metavar="[PID]")
@json_output
@quiet
@verbose
def command(pid: int | None, tree: int | None, as_object: bool, quiet: bool) -> int:
    """Tell what this kernel and the caller's rights allow; with PID, also everything in the process and its
    descendants that stands in the way of a checkpoint."""
    target = target_pid(pid, tree, required=False)
    report = crtool.check(target)
    if as_object:
        click.echo(as_json(report))
    elif not quiet:
        for line in lines(report, target):
            click.echo(line)
    return verdict(report)


def verdict(report: CheckReport) -> int:
    """0 everything good, 1 possible with warnings, 2 impossible."""
    if report.obstacles or any(feature.needed and not feature.available for feature in report.features):
        return 2
    return 1 if report.warnings else 0


def lines(report: CheckReport, pid: int | None) -> list[str]:
    """The report for a human: features, then what stands in the way, then the verdict."""
    width = max((len(feature.name) for feature in report.features), default=0)
    found = []
    for feature in report.features:
        answer = "yes" if feature.available else "MISSING" if feature.needed else "no"
        found.append(f"{answer:7}  {printable(feature.name):{width}}  {printable(feature.detail)}".rstrip())
    for obstacle in report.obstacles:
        found += [f"obstacle: {printable(str(obstacle))}", f"  {printable(obstacle.remedy)}"]
    found += [f"warning: {printable(warning)}" for warning in report.warnings]
    what = "checkpoints are" if pid is None else f"a checkpoint of PID {pid} is"
    answer = ("possible", "possible, with warnings", "impossible")[verdict(report)]
    about = f"; the image will have about {size(report.estimated_size)}" if report.estimated_size else ""
    return [*found, f"{what} {answer}{about}"]
