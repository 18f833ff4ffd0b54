"""What crtool costs where there is nothing to copy: a tiny process, and one with 64 GiB that it has never touched.

    python tests/bench/tiny.py [ROUNDS]        15 if it is not given

Checkpoint and restart (--detach) are whole commands, from spawn to exit, and ratios to `python3 -c pass`, by the clock
and in CPU time; frozen is the longest time between two heartbeats, and what crtool says. Medians; all kinds in turns,
and what 64 GiB add is the median of the differences within each turn. Not a test: nothing fails here.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from statistics import median

from harness import Target, bench, compiled, crtool

KINDS: dict[str, tuple[str, ...]] = {
    "tiny": (), "64 GiB PROT_NONE": ("reserved=64",), "64 GiB unused": ("untouched=64",),
}  # fmt: skip
COLUMNS = {
    "python ms": 1, "frozen ms": 2, "said ms": 2, "checkpoint ms": 1, "/python": 2, "CPU ms": 1, "/py CPU": 2,
    "restart ms": 1, "/python ": 2, "CPU ms ": 1, "/py CPU ": 2, "image kB": 1,
}  # fmt: skip
"""Each with the digits behind its point."""


def python() -> tuple[float, float]:
    """Seconds that starting Python takes, and of CPU time."""
    start = time.perf_counter()
    pid = os.posix_spawn(sys.executable, [sys.executable, "-c", "pass"], os.environ)
    usage = os.wait4(pid, 0)[2]
    return time.perf_counter() - start, usage.ru_utime + usage.ru_stime


def measure(target: Target, image: Path) -> list[float]:
    """One row of the table, once."""
    wall, cpu = python()
    target.forget()
    saved = crtool("checkpoint", target.pid, "-f", "-o", image)
    target.await_beat()
    row = [1000 * wall, 1000 * target.longest_gap(), 1000 * saved.said["frozen_seconds"]]
    crtool("checkpoint", target.pid, "-f", "-k", "-o", image)
    target.end()
    back = crtool("restart", "--detach", image)
    target.await_beat()
    for done in (saved, back):
        row += [1000 * done.wall, done.wall / wall, 1000 * done.cpu, done.cpu / cpu]
    return [*row, image.stat().st_size / 1000]


def table(name: str, row: list[float]) -> str:
    """A line of it."""
    cells = zip(row, COLUMNS.items(), strict=True)
    return "  ".join([f"{name:22}", *(f"{value:{len(column)}.{digits}f}" for value, (column, digits) in cells)])


def main(rounds: int) -> None:
    """Prints the table."""
    with bench() as folder:
        program = compiled("heartbeat.c", folder)
        rows: dict[str, list[list[float]]] = {kind: [] for kind in KINDS}
        for _ in range(rounds):
            for kind, options in KINDS.items():
                target = Target(program, 0, folder, *options)
                rows[kind].append(measure(target, folder / "image.crt"))
                target.end()
        print(" " * 22, *COLUMNS, sep="  ")
        for kind, found in rows.items():
            print(table(kind, [median(column) for column in zip(*found, strict=True)]))
        tiny = rows["tiny"]
        for kind in list(KINDS)[1:]:
            pairs = [zip(one, other, strict=True) for one, other in zip(rows[kind], tiny, strict=True)]
            added = [[here - there for here, there in pair] for pair in pairs]
            print(table(f"{kind} adds", [median(column) for column in zip(*added, strict=True)]))


if __name__ == "__main__":
    main(int(sys.argv[1]) if sys.argv[1:] else 15)
