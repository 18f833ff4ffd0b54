"""Fault points × faults: each cell is one checkpoint, or restart, in a copy of this process, which is already warm."""

from __future__ import annotations

import faulthandler
import os
import signal
import sys
import time
import zlib
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
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
    "points_of",
    "record",
    "run_with",
    "share",
    "tables",
]

PROPERTY = "fault matrix"
CRTOOL_FAULTS = ("SIGKILL", "exception", "EINTR", "ENOMEM", "EIO", "ENOSPC")
DONE, REFUSED, BROKE, NOT_REACHED, INTERRUPTED, UNUSED = 50, 51, 52, 53, 54, 55
"""UNUSED: done, and no call came after the point that the error could have met."""
ENDINGS = (DONE, REFUSED, BROKE, NOT_REACHED, INTERRUPTED, UNUSED, -signal.SIGKILL)
HANGS = 60.0  # seconds

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


def share(points: list[str], part: int, parts: int) -> list[str]:
    """The points that are this part's, whoever asks: not every run passes just the same, so they are not counted."""
    return [point for point in points if zlib.crc32(point.encode()) % parts == part]


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
    points: Collection[str] = (),
) -> tuple[str, list[object]]:
    """A property of a test, which is *part* (its number, of how many) of a matrix and has passed *points*, of which it
    has taken its share; see :func:`tables`.
    """
    found = [[*cell, letter] for cell, letter in cells.items()]
    return PROPERTY, [title, found, list(columns), legend, list(part), list(points)]


@dataclass
class _Matrix:
    """What the parts of one have found."""

    columns: list[str]
    legend: str
    count: int  # of its parts
    parts: set[int] = field(default_factory=set)
    cells: dict[tuple[str, str], str] = field(default_factory=dict)
    points: set[str] = field(default_factory=set)  # that anybody has passed


def tables(properties: Iterable[tuple[str, Any]]) -> list[str]:
    """The matrices for the end of the log, put together from the properties of the parts that have passed."""
    matrices: dict[str, _Matrix] = {}
    for name, value in properties:
        if name == PROPERTY:
            title, found, columns, legend, (part, count), points = value
            matrix = matrices.setdefault(title, _Matrix(columns, legend, count))
            matrix.parts.add(part)
            matrix.cells |= {(point, fault): letter for point, fault, letter in found}
            matrix.points.update(points)
    return [_table(title, matrix) for title, matrix in matrices.items()]


def _table(title: str, matrix: _Matrix) -> str:
    """The matrix: a line for each kind of point, with the number of its cells by outcome."""
    cells, columns = matrix.cells, matrix.columns
    kinds: dict[str, list[str]] = {}
    for point, _ in cells:
        kind = point.rpartition(" ")[0]
        if point not in kinds.setdefault(kind, []):
            kinds[kind].append(point)
    lines = [
        f"{title}: {len(matrix.parts)} of {matrix.count} parts",
        f"  {matrix.legend}",
        "  " + "point".ljust(22) + "".join(name.rjust(13) for name in columns),
    ]
    for kind, points in kinds.items():
        words = []
        for name in columns:
            found = Counter(cells[point, name] for point in points if (point, name) in cells)
            words.append(" ".join(f"{count}{letter}" for letter, count in sorted(found.items())))
        lines.append("  " + f"{kind} ×{len(points)}".ljust(22) + "".join(word.rjust(13) for word in words))
    taken = {point for point, _ in cells}
    lines.append(f"  {len(taken)} points × {len(columns)} faults: {len(cells)} cells")
    if missing := sorted(matrix.points - taken):
        lines.append(f"  passed, but not by the part that would have taken them: {', '.join(missing)}")
    return "\n".join(lines)
