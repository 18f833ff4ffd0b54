"""What a checkpoint and a restart cost, as ratios to what the same machine takes for `cp` and for starting Python.

    python tests/bench/run.py [MIB …]        0 256 1024 4096 if none is given; 0 is a tiny process

Frozen is the longest time between two heartbeats as the target itself has seen it; fork is what a bare fork takes it.
All times are medians of five, of
whole commands, as a user waits for them; `cp` copies the same bytes on the same file system, in the same run, once as
it is and once with a sync, which a checkpoint includes. Not a test: nothing fails here.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import resource
import signal
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

HERE = Path(__file__).parent
ROUNDS = 5
CRTOOL = [sys.executable, "-m", "crtool"]


def timed(action: Callable[[], object]) -> float:
    """Seconds that *action* takes."""
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


class Target:
    """A heartbeat with *mib* MiB of memory."""

    def __init__(self, program: Path, mib: int, folder: Path) -> None:
        self.file = folder / f"beat-{mib}"
        null = subprocess.DEVNULL
        self.process: subprocess.Popen[bytes] | None = subprocess.Popen(
            [str(program), str(mib), str(self.file)],
            cwd=folder, stdin=null, stdout=null, stderr=null, start_new_session=True,
        )  # fmt: skip
        self.pid = self.process.pid
        while not self.file.exists() or self.file.stat().st_size < 4096:
            time.sleep(0.01)
        with open(self.file, "r+b") as file:
            self.memory = mmap.mmap(file.fileno(), 4096)
        self.await_beat()

    def await_beat(self) -> None:
        """Returns when the heart has beaten once more."""
        before = self.memory[:8]
        while self.memory[:8] == before:
            time.sleep(0.0001)

    def longest_gap(self) -> float:
        """Seconds between two beats, at the most, since this was asked last."""
        (gap,) = struct.unpack("<Q", self.memory[8:16])
        self.memory[8:16] = bytes(8)
        return float(gap) / 1e9

    def fork(self) -> float:
        """Seconds that a bare fork takes it."""
        self.memory[16:24] = struct.pack("<Q", 1)
        while (took := struct.unpack("<Q", self.memory[16:24])[0]) == 1:
            time.sleep(0.001)
        return float(took) / 1e9

    def wait(self) -> None:
        """Waits for it and for whatever else has come to us."""
        while True:
            try:
                os.waitpid(-1, 0)
            except ChildProcessError:
                return


def crtool(*arguments: object) -> int:
    """Runs crtool; returns its peak memory in KiB."""
    pid = os.posix_spawn(
        sys.executable, [*CRTOOL, *map(str, arguments)], os.environ,
        file_actions=[(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)],
    )  # fmt: skip
    _, status, usage = os.wait4(pid, 0)
    if status:
        raise SystemExit(f"crtool {arguments[0]} ended with {os.waitstatus_to_exitcode(status)}")
    return usage.ru_maxrss


def measure(program: Path, mib: int, folder: Path) -> dict[str, float]:
    """One row of the table."""
    image = folder / "image.crt"
    target = Target(program, mib, folder)
    frozen, saving, peaks, forks = [], [], [], []
    for _ in range(ROUNDS):
        image.unlink(missing_ok=True)  # to throw away an old image of 4 GiB takes as long as to write a small one
        target.longest_gap()
        saving.append(timed(lambda: peaks.append(crtool("checkpoint", target.pid, "-f", "-q", "-o", image))))
        target.await_beat()
        frozen.append(target.longest_gap())
        forks.append(target.fork())
    copies, synced = [], []
    for _ in range(ROUNDS):
        copies.append(timed(lambda: subprocess.run(["cp", str(image), str(folder / "copy")], check=True)))
        synced.append(copies[-1] + timed(lambda: subprocess.run(["sync", str(folder / "copy")], check=True)))
        (folder / "copy").unlink()
    crtool("checkpoint", target.pid, "-f", "-q", "--kill", "-o", image)
    target.wait()
    restarting = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        peaks.append(crtool("restart", "--detach", "-q", image))
        target.await_beat()
        restarting.append(time.perf_counter() - start)
        os.kill(target.pid, signal.SIGKILL)
        target.wait()
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
    ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER: restored targets come to us
    sizes = [int(word) for word in sys.argv[1:]] or [0, 256, 1024, 4096]
    with tempfile.TemporaryDirectory(dir=".") as name:
        folder = Path(name).resolve()
        program = folder / "heartbeat"
        subprocess.run(["gcc", "-O2", "-o", str(program), str(HERE / "heartbeat.c")], check=True)
        touch_free_memory(max(sizes))
        nothing = [sys.executable, "-c", "pass"]
        python = median(timed(lambda: subprocess.run(nothing, check=True)) for _ in range(ROUNDS))
        print(f"python3 -c pass: {python * 1000:.0f} ms")
        print("  MiB  frozen ms  fork ms  checkpoint  /cp  /cp+sync  /python  restart  /cp  /python  image MiB  peak")
        for mib in sizes:
            row = measure(program, mib, folder)
            print(
                f"{mib:5}  {row['frozen'] * 1000:9.1f}  {row['fork'] * 1000:7.1f}  {row['checkpoint']:10.3f}  "
                f"{row['checkpoint'] / row['cp']:3.1f}  {row['checkpoint'] / row['cp+sync']:8.2f}  "
                f"{row['checkpoint'] / python:7.1f}  {row['restart']:7.3f}  {row['restart'] / row['cp']:3.1f}  "
                f"{row['restart'] / python:7.1f}  {row['image'] / 2**20:9.1f}  {row['peak'] / 1024:8.0f}",
                flush=True,
            )


def touch_free_memory(mib: int) -> None:
    """Touches as much memory as the largest target and its image need: the first touch after a boot is slow.

    In a child: what this process has had would count as the peak of everything that it starts.
    """
    if pid := os.fork():
        os.waitpid(pid, 0)
        return
    available = os.sysconf("SC_AVPHYS_PAGES") * resource.getpagesize()
    with mmap.mmap(-1, min(3 * mib << 20, available // 2) or 4096) as area:
        for offset in range(0, len(area), 4096):
            area[offset] = 1
    os._exit(0)


if __name__ == "__main__":
    main()
