"""Fault points × faults: each cell is one checkpoint, or restart, in a copy of this process, which is already warm."""

from __future__ import annotations

import faulthandler
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from crtool import faults
from crtool.cli.ending import Interrupted, listen_to_signals
from crtool.errors import CrtoolError

__all__ = [
    "CRTOOL_FAULTS",
    "DONE",
    "INTERRUPTED",
    "NOT_REACHED",
    "UNUSED",
    "chosen",
    "points_of",
    "record",
    "run_with",
    "tables",
]

PROPERTY = "fault matrix"
CRTOOL_FAULTS = ("SIGKILL", "exception", "EINTR", "ENOMEM", "EIO", "ENOSPC")
DONE, REFUSED, BROKE, NOT_REACHED, INTERRUPTED, UNUSED = 50, 51, 52, 53, 54, 55
"""UNUSED: done, and no call came after the point that the error could have met."""
ENDINGS = (DONE, REFUSED, BROKE, NOT_REACHED, INTERRUPTED, UNUSED, -signal.SIGKILL)
HANGS = 20.0  # seconds

Story = Callable[[], None]


def points_of(story: Story) -> list[str]:
    """The names of all points that *story* passes, told by a copy of this process through a pipe."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(reader)
            faults.arm("", lambda name: os.write(writer, f"{name}\n".encode()) and None)
            story()
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as lines:
        names = [line.rstrip("\n") for line in lines]
    os.waitpid(child, 0)
    return names


def chosen(points: list[str], count: int) -> list[str]:
    """So many of the points, evenly spread, or, with CRTOOL_LONG=1, all."""
    if len(points) <= count or os.environ.get("CRTOOL_LONG") == "1":
        return points
    return [points[index * len(points) // count] for index in range(count)]


def run_with(story: Story, point: str, fault: str | Callable[[str], None]) -> int:
    """Runs *story* in a copy of this process with a fault at a point; how it ended, one of ENDINGS.

    TimeoutError if it hangs: it is killed.
    """
    child = os.fork()
    if child == 0:
        status = BROKE
        try:
            status = _attempt(story, point, fault)
        finally:
            os._exit(status)
    until = time.monotonic() + HANGS
    pause = 0.001
    while True:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            code = os.waitstatus_to_exitcode(status)
            assert code in ENDINGS, f"{point}: {code}"
            return code
        if time.monotonic() > until:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            raise TimeoutError(point)
        time.sleep(pause)
        pause = min(pause * 1.3, 0.01)


def _attempt(story: Story, point: str, fault: str | Callable[[str], None]) -> int:
    reached = False
    act = faults.action(fault) if isinstance(fault, str) else fault

    def note(name: str) -> None:
        nonlocal reached
        reached = True
        act(name)

    faulthandler.dump_traceback_later(HANGS / 2, file=sys.__stderr__)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    listen_to_signals()
    faults.arm(point, note)
    try:
        story()
    except CrtoolError:
        return REFUSED if reached else NOT_REACHED
    except Exception:  # noqa: BLE001 - what is injected, and what comes of it
        return BROKE
    except (KeyboardInterrupt, Interrupted):
        return INTERRUPTED
    if faults.pending():
        return UNUSED
    return DONE if reached else NOT_REACHED


def record(
    title: str,
    cells: dict[tuple[str, str], str],
    columns: Sequence[str],
    legend: str,
    part: tuple[int, int],
) -> tuple[str, list[object]]:
    """A property of a test, which is *part* (its number, of how many) of a matrix; see :func:`tables`."""
    return PROPERTY, [title, [[*cell, letter] for cell, letter in cells.items()], list(columns), legend, list(part)]


def tables(properties: Iterable[tuple[str, Any]]) -> list[str]:
    """The matrices for the end of the log, put together from the properties of the parts that have passed."""
    cells: dict[str, dict[tuple[str, str], str]] = {}
    parts: dict[str, set[int]] = {}
    rest: dict[str, tuple[list[str], str, int]] = {}
    for name, value in properties:
        if name == PROPERTY:
            title, found, columns, legend, (part, count) = value
            cells.setdefault(title, {}).update({(point, fault): letter for point, fault, letter in found})
            parts.setdefault(title, set()).add(part)
            rest[title] = columns, legend, count
    return [
        table(f"{title}: {len(parts[title])} of {count} parts", cells[title], columns, legend)
        for title, (columns, legend, count) in rest.items()
    ]


def table(title: str, cells: dict[tuple[str, str], str], columns: Sequence[str], legend: str) -> str:
    """The matrix: a line for each kind of point, with the number of its cells by outcome."""
    kinds: dict[str, list[str]] = {}
    for point, _ in cells:
        kind = point.rpartition(" ")[0]
        if point not in kinds.setdefault(kind, []):
            kinds[kind].append(point)
    lines = [title, f"  {legend}", "  " + "point".ljust(22) + "".join(name.rjust(13) for name in columns)]
    for kind, points in kinds.items():
        words = []
        for name in columns:
            found = Counter(cells[point, name] for point in points if (point, name) in cells)
            words.append(" ".join(f"{count}{letter}" for letter, count in sorted(found.items())))
        lines.append("  " + f"{kind} ×{len(points)}".ljust(22) + "".join(word.rjust(13) for word in words))
    points_in_all = len({point for point, _ in cells})
    lines.append(f"  {points_in_all} points × {len(columns)} faults: {len(cells)} cells")
    return "\n".join(lines)
