"""What many of one thing cost: processes, threads, descriptors, connections, mappings; in all, and each.

    python tests/bench/many.py [WHAT=COUNT …]        some of all if none is given; "files=3000,pipes=1000" is one case

Frozen is what crtool says. Checkpoint and restart are whole commands, as a user waits for them, and, behind them, the
CPU time that crtool has taken, which other users of the machine do not change much. Medians of five. More than 10,000
descriptors are those of several processes; a restart takes about twice as many in crtool, and is left out where
`ulimit -Hn` does not allow that. Not a test: nothing fails here.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

from harness import ROUNDS, Command, Failed, bench, compiled, crtool, reap

CASES = (
    "processes=1", "processes=200", "processes=1000", "threads=500", "files=3000,pipes=1000", "files=5000",
    "files=10000", "files=50000", "tcp=200", "tcp=2000", "mappings=20000",
)  # fmt: skip


def measure(program: Path, case: str, folder: Path) -> str:
    """One row of the table."""
    words = [word for pair in case.split(",") for word in pair.split("=")]
    null = subprocess.DEVNULL
    with open(folder / "said", "w+b") as said:
        process = subprocess.Popen([program, *words], cwd=folder, stdin=null, stdout=said, start_new_session=True)
    while (text := (folder / "said").read_bytes()) != b"ready\n":
        if process.poll() is not None:
            return f"{case:24}  (it ended: {text!r})"
        time.sleep(0.01)
    image = folder / "image.crt"
    saved = [crtool("checkpoint", process.pid, "-f", "-o", image) for _ in range(ROUNDS)]
    crtool("checkpoint", process.pid, "-f", "--kill", "-o", image)
    reap()
    back = restarts(image, process.pid)
    frozen = median(one.said["frozen_seconds"] for one in saved)
    count = sum(map(int, words[1::2]))
    columns = [1000 * frozen, 1e6 * frozen / count]
    for runs in filter(None, (saved, back)):
        cpu = median(one.cpu for one in runs)
        columns += [median(one.wall for one in runs), cpu, 1e6 * cpu / count]
    return f"{case:24} " + "  ".join(
        f"{value:{width}.{digits}f}"
        for value, (width, digits) in zip(columns, ((9, 1), (6, 0), *2 * ((10, 2), (6, 2), (6, 0))), strict=False)
    )


def restarts(image: Path, group: int) -> list[Command]:
    """Each ended again; none if crtool cannot make so many here, of which it says why."""
    done = []
    for _ in range(ROUNDS):
        try:
            done.append(crtool("restart", "--detach", image))
        except Failed:
            return []
        os.killpg(group, signal.SIGKILL)
        reap()
    return done


def main() -> None:
    """Prints the table."""
    with bench() as folder:
        program = compiled("many.c", folder)
        start = os.times()
        for _ in range(ROUNDS):
            subprocess.run([sys.executable, "-c", "pass"], check=True)
        end = os.times()
        took = end.children_user + end.children_system - start.children_user - start.children_system
        print(f"python3 -c pass: {1000 * took / ROUNDS:.0f} ms of CPU time")
        print("what                     frozen ms  each µs  checkpoint s  CPU s  each µs  restart s  CPU s  each µs")
        for case in sys.argv[1:] or CASES:
            print(measure(program, case, folder), flush=True)


if __name__ == "__main__":
    main()
