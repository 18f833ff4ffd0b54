"""What many of one thing cost: processes, threads, descriptors, connections, mappings; in all, and each.

    python tests/bench/many.py [WHAT=COUNT …]        some of all if none is given; "files=3000,pipes=1000" is one case

Frozen is what crtool says. Checkpoint and restart are whole commands, as a user waits for them, and, behind them, the
CPU time that crtool has taken, which other users of the machine do not change much. Medians of three. More descriptors
than `ulimit -Hn` allows are more than a process can have. Not a test: nothing fails here.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from crtool.record import dataclass

HERE = Path(__file__).parent
ROUNDS = 3
CASES = (
    "processes=1", "processes=200", "processes=1000", "threads=500", "files=3000,pipes=1000", "files=5000",
    "files=50000", "tcp=200", "tcp=2000", "mappings=20000",
)  # fmt: skip


@dataclass(frozen=True)
class Command:
    """One run of crtool."""

    wall: float  # seconds
    cpu: float  # seconds, of crtool and what it has started and waited for
    said: dict[str, float]  # --json


def crtool(*words: object) -> Command:
    """Runs crtool in this process's place."""
    with tempfile.TemporaryFile() as said:
        start = time.perf_counter()
        pid = os.posix_spawn(
            sys.executable, [sys.executable, "-m", "crtool", *map(str, words)], os.environ,
            file_actions=[(os.POSIX_SPAWN_DUP2, said.fileno(), 1)],
        )  # fmt: skip
        _, status, usage = os.wait4(pid, 0)
        wall = time.perf_counter() - start
        if status:
            raise SystemExit(f"crtool {words[0]} ended with {os.waitstatus_to_exitcode(status)}")
        said.seek(0)
        return Command(wall, usage.ru_utime + usage.ru_stime, json.load(said))


def reap() -> None:
    """Waits for all children, who are dying."""
    while True:
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            return


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
    saved = [crtool("checkpoint", process.pid, "-f", "--json", "-o", image) for _ in range(ROUNDS)]
    crtool("checkpoint", process.pid, "-f", "--json", "--kill", "-o", image)
    reap()
    back = []
    for _ in range(ROUNDS):
        back.append(crtool("restart", "--detach", "--json", image))
        os.killpg(process.pid, signal.SIGKILL)
        reap()
    frozen = median(one.said["frozen_seconds"] for one in saved)
    count = sum(map(int, words[1::2]))
    columns = [1000 * frozen, 1e6 * frozen / count]
    for runs in (saved, back):
        cpu = median(one.cpu for one in runs)
        columns += [median(one.wall for one in runs), cpu, 1e6 * cpu / count]
    return f"{case:24} " + "  ".join(
        f"{value:{width}.{digits}f}"
        for value, (width, digits) in zip(columns, ((9, 1), (6, 0), *2 * ((10, 2), (6, 2), (6, 0))), strict=True)
    )


def main() -> None:
    """Prints the table."""
    ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER: restored targets come to us
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        program = folder / "many"
        subprocess.run(["gcc", "-O1", "-pthread", "-o", str(program), str(HERE / "many.c")], check=True)
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
