"""What a second image costs that builds on a first one, as ratios to the first; one page in a hundred has changed.

    python tests/bench/increments.py [MIB …]        1024 4096 if none is given

The changed pages lie scattered. First `checkpoint` and `checkpoint --parent`, whole commands; then `run --incremental`,
from the signal that asks for an image until it is there. Frozen is the longest time between two heartbeats. Medians of
five; of `run`, one first image and five after it. Not a test: nothing fails here.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from statistics import median

from harness import CHANGE, ROUNDS, Target, bench, compiled, crtool, ready_memory

Image = tuple[float, float, int]
"""Seconds, seconds that it took of the target's time, bytes."""


def by_checkpoint(program: Path, mib: int, folder: Path) -> tuple[list[Image], list[Image]]:
    """First and second images."""
    target = Target(program, mib, folder)
    first, second = folder / "first.crt", folder / "second.crt"
    found: tuple[list[Image], list[Image]] = [], []
    for _ in range(ROUNDS):
        ready_memory(mib)
        for images, path, words in (found[0], first, ()), (found[1], second, ("--parent", first)):
            target.forget()
            wall = crtool("checkpoint", target.pid, *words, "-o", path).wall
            target.await_beat()
            images.append((wall, target.longest_gap(), path.stat().st_size))
            target.ask(CHANGE, mib * 256 // 100)
        first.unlink()
        second.unlink()
    target.end()
    return found


def by_run(program: Path, mib: int, folder: Path) -> tuple[list[Image], list[Image]]:
    """First and further images."""
    store = folder / "store"
    store.mkdir()
    run = ["run", "-q", "--incremental", "--keep", "1000", "--on-signal", "USR1", "--image", str(store), "--"]
    target = Target(program, mib, folder, under=[sys.executable, "-m", "crtool", *run])
    found: list[Image] = []
    known: set[Path] = set()
    for _ in range(1 + ROUNDS):
        ready_memory(mib if not known else mib // 10)
        target.forget()
        start = time.perf_counter()
        os.kill(target.pid, signal.SIGUSR1)
        while not (new := set(store.glob("*.crt")) - known):
            time.sleep(0.001)
        wall = time.perf_counter() - start
        target.await_beat()
        (path,) = new
        known |= new
        found.append((wall, target.longest_gap(), path.stat().st_size))
        target.ask(CHANGE, mib * 256 // 100)
    target.end(by=signal.SIGTERM)
    for path in store.iterdir():
        path.unlink()
    store.rmdir()
    return found[:1], found[1:]


def main() -> None:
    """Prints the table."""
    with bench() as folder:
        program = compiled("heartbeat.c", folder)
        print("  MiB               first s  second      /  frozen ms  second      /      MiB  second      /")
        for mib in [int(word) for word in sys.argv[1:]] or [1024, 4096]:
            for way, name in (by_checkpoint, "checkpoint"), (by_run, "run"):
                ready_memory(2 * mib + 64)
                both = way(program, mib, folder)
                first, second = ([median(column) for column in zip(*images, strict=True)] for images in both)
                row = f"{mib:5}  {name:10}"
                for one, two, unit, digits in zip(first, second, (1, 1000, 2**-20), (2, 0, 1), strict=True):
                    row += f"  {unit * one:9.{digits}f}  {unit * two:6.{digits}f}  {100 * two / one:4.1f} %"
                print(row, flush=True)


if __name__ == "__main__":
    main()
