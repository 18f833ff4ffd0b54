"""What a checkpoint and a restart cost, as ratios to what the same machine takes for `cp` and for starting Python.

    python tests/bench/run.py [MIB …]        0 256 1024 4096 if none is given; 0 is a tiny process

Frozen is the longest time between two heartbeats as the target itself has seen it; fork is what a bare fork takes it.
All times are medians of five, of whole commands, as a user waits for them; `cp` copies the same bytes on the same file
system, in the same run, once as it is and once with a sync, which a checkpoint includes. Not a test: nothing fails
here.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from statistics import median

from harness import ROUNDS, Target, bench, compiled, crtool, python, ready_memory, timed


def measure(program: Path, mib: int, folder: Path) -> dict[str, float]:
    """One row of the table."""
    image = folder / "image.crt"
    ready_memory(3 * mib)
    target = Target(program, mib, folder)
    frozen, saving, peaks, forks = [], [], [], []
    for _ in range(ROUNDS):
        image.unlink(missing_ok=True)  # to throw away an old image of 4 GiB takes as long as to write a small one
        ready_memory(mib)
        target.forget()
        saved = crtool("checkpoint", target.pid, "-f", "-o", image)
        saving.append(saved.wall)
        peaks.append(saved.peak)
        target.await_beat()
        frozen.append(target.longest_gap())
        forks.append(target.fork())
    copies, synced = [], []
    for _ in range(ROUNDS):
        ready_memory(mib)
        copies.append(timed(lambda: subprocess.run(["cp", str(image), str(folder / "copy")], check=True)))
        synced.append(copies[-1] + timed(lambda: subprocess.run(["sync", str(folder / "copy")], check=True)))
        (folder / "copy").unlink()
    crtool("checkpoint", target.pid, "-f", "--kill", "-o", image)
    target.end()
    restarting = []
    for _ in range(ROUNDS):
        ready_memory(mib)
        start = time.perf_counter()
        peaks.append(crtool("restart", "--detach", image).peak)
        target.await_beat()
        restarting.append(time.perf_counter() - start)
        target.end()
    size = image.stat().st_size
    image.unlink()
    return {
        "frozen": median(frozen),
        "fork": median(forks),
        "checkpoint": median(saving),
        "restart": median(restarting),
        "cp": median(copies),
        "cp+sync": median(synced),
        "image": size,
        "peak": max(peaks),
    }


def main() -> None:
    """Prints the table."""
    with bench() as folder:
        program, start = compiled("heartbeat.c", folder), python()
        print(f"python3 -c pass: {start * 1000:.0f} ms")
        print("  MiB  frozen ms  fork ms  checkpoint  /cp  /cp+sync  /python  restart  /cp  /python  image MiB  peak")
        for mib in [int(word) for word in sys.argv[1:]] or [0, 256, 1024, 4096]:
            row = measure(program, mib, folder)
            print(
                f"{mib:5}  {row['frozen'] * 1000:9.1f}  {row['fork'] * 1000:7.1f}  {row['checkpoint']:10.3f}  "
                f"{row['checkpoint'] / row['cp']:3.1f}  {row['checkpoint'] / row['cp+sync']:8.2f}  "
                f"{row['checkpoint'] / start:7.1f}  {row['restart']:7.3f}  {row['restart'] / row['cp']:3.1f}  "
                f"{row['restart'] / start:7.1f}  {row['image'] / 2**20:9.1f}  {row['peak'] / 1024:8.0f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
