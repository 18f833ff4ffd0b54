"""How long a target stands still that goes on, as its own heart sees it, beside a bare fork of the same process.

    python tests/bench/frozen.py [CASE …]       1 4 8 GiB of each kind if none is given

A case is a number of MiB, with a kind: "1024" (pages of 4 KiB), "1024,huge" (of 2 MiB), "1024,write=100" (and another
thread dirties 100 MB of pages each second). "said" is what crtool itself says; the goal is 1.3 × fork + 5 ms. Of a
writer, also how long a single write took at the most, of those that it began after it had been let go: of those in
which no other thread got the CPU, and of all; beside that the same after a bare fork whose child lives for as long as
the checkpoint took, and while nothing is done. Medians of five. Not a test: nothing fails here.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from statistics import median

from harness import FORK_END, GAP_END, ROUNDS, Target, bench, compiled, crtool, ready_memory

KINDS = "", ",huge", ",write=100"
SPARE = 512
"""MiB that the copies of dirtied pages and everything else may need."""
CASES = tuple(f"{mib}{kind}" for kind in KINDS for mib in (1024, 4096, 8192))


def measure(program: Path, case: str, folder: Path) -> str:
    """One row of the table."""
    words = case.split(",")
    mib, writes = int(words[0]), any(word.startswith("write=") for word in words)
    ready_memory(2 * mib + SPARE)
    target = Target(program, mib, folder, *words[1:])
    image = folder / "image.crt"
    frozen, said, walls, forks = [], [], [], []
    worst: dict[str, list[tuple[float, float]]] = {"checkpoint": [], "fork": [], "nothing": []}
    for _ in range(ROUNDS):
        ready_memory(mib + SPARE)
        target.forget()
        done = crtool("checkpoint", target.pid, "-o", image)
        target.await_beat()
        frozen.append(1000 * target.longest_gap())
        said.append(1000 * done.said["frozen_seconds"])
        walls.append(done.wall)
        worst["checkpoint"].append(target.worst_writes(since=target.word(GAP_END)))
        image.unlink()
        target.forget()
        forks.append(1000 * target.fork(done.wall if writes else 0))
        worst["fork"].append(target.worst_writes(since=target.word(FORK_END)))
        if writes:
            target.forget()
            time.sleep(done.wall)
            worst["nothing"].append(target.worst_writes())
    target.end()
    row = f"{case:21}  {median(frozen):9.1f}  {median(forks):7.1f}  {median(frozen) / median(forks):6.2f}"
    row += f"  {1.3 * median(forks) + 5:7.1f}  {median(said):7.1f}  {median(walls):12.2f}"
    if writes:
        for pairs in worst.values():
            alone, of_all = zip(*pairs, strict=True)
            row += f"  {1000 * median(alone):6.1f} {1000 * median(of_all):6.1f}"
    return row


def main() -> None:
    """Prints the table."""
    with bench() as folder:
        program = compiled("heartbeat.c", folder)
        print(" " * 77, "worst write after the go, ms: alone, of all")
        print("MiB,kind               frozen ms  fork ms   /fork  goal ms  said ms  checkpoint s", end="")
        print("     checkpoint           fork        nothing")
        for case in sys.argv[1:] or CASES:
            print(measure(program, case, folder), flush=True)


if __name__ == "__main__":
    main()
