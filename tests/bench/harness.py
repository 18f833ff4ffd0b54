"""What the benches have in common: a target whose heart beats, crtool as a command, and memory that is there at once.

Set ROUNDS in the environment to repeat everything that often; five times if it is not set.
"""

from __future__ import annotations

import ctypes
import json
import mmap
import os
import resource
import signal
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from statistics import median

from crtool.record import dataclass

HERE = Path(__file__).parent
ROUNDS = int(os.environ.get("ROUNDS", "5"))
BEATS, GAP, GAP_END, FORK, CHANGE, SLOW, FORK_TOOK, FORK_END = range(8)
"""Words of heartbeat.c."""
FIRST_SLOW, NOTED = 64, 100


@dataclass(frozen=True)
class Command:
    """One run of crtool."""

    wall: float  # seconds
    cpu: float  # seconds, of crtool and what it has started and waited for
    peak: int  # KiB, the most memory in use
    said: dict[str, float]  # --json


class Failed(SystemExit):
    """crtool has ended with something else than 0; the bench does, too, unless it minds."""


def crtool(*words: object) -> Command:
    """Runs crtool with --json."""
    with tempfile.TemporaryFile() as said:
        start = time.perf_counter()
        pid = os.posix_spawn(
            sys.executable, [sys.executable, "-m", "crtool", *map(str, words), "--json"], os.environ,
            file_actions=[(os.POSIX_SPAWN_DUP2, said.fileno(), 1)],
        )  # fmt: skip
        _, status, usage = os.wait4(pid, 0)
        wall = time.perf_counter() - start
        if status:
            raise Failed(f"crtool {words[0]} ended with {os.waitstatus_to_exitcode(status)}")
        said.seek(0)
        return Command(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss, json.load(said))


class Target:
    """A heartbeat with *mib* MiB of memory, and the *options* of heartbeat.c; *under* a command that runs it."""

    def __init__(self, program: Path, mib: int, folder: Path, *options: str, under: Sequence[str] = ()) -> None:
        self.file = folder / "-".join(["beat", str(mib), *options])
        self.file.unlink(missing_ok=True)
        null = subprocess.DEVNULL
        self.pid = subprocess.Popen(
            [*under, program, str(mib), self.file, *options],
            cwd=folder, stdin=null, stdout=null, stderr=null, start_new_session=True,
        ).pid  # fmt: skip
        while not self.file.exists() or self.file.stat().st_size < mmap.PAGESIZE:
            time.sleep(0.01)
        with open(self.file, "r+b") as file:
            self.memory = mmap.mmap(file.fileno(), mmap.PAGESIZE)
        self.await_beat()

    def word(self, number: int) -> int:
        value: int = struct.unpack_from("<Q", self.memory, 8 * number)[0]
        return value

    def set(self, number: int, value: int) -> None:
        struct.pack_into("<Q", self.memory, 8 * number, value)

    def ask(self, number: int, value: int) -> None:
        """Sets a word, and waits until it has seen to that."""
        self.set(number, value)
        while self.word(number):
            time.sleep(0.001)

    def await_beat(self) -> None:
        """Returns when the heart has beaten once more."""
        before = self.word(BEATS)
        while self.word(BEATS) == before:
            time.sleep(0.0001)

    def forget(self) -> None:
        """Starts anew to look for the longest gap and for slow writes."""
        self.set(SLOW, 0)
        self.set(GAP, 0)

    def longest_gap(self) -> float:
        """Seconds between two beats, at the most, since it has forgotten them last."""
        return self.word(GAP) / 1e9

    def worst_writes(self, since: int = 0) -> tuple[float, float]:
        """Seconds that a write took at the most of those that began after *since*, and 0 if less than 0.1 ms.

        Only of those in which no other thread got the CPU, and of all.
        """
        noted = range(FIRST_SLOW, FIRST_SLOW + 3 * min(self.word(SLOW), NOTED), 3)
        writes = [(self.word(one + 1) / 1e9, self.word(one + 2)) for one in noted if self.word(one) > since]
        alone = [took for took, preemptions in writes if not preemptions]
        return max(alone, default=0), max((took for took, _ in writes), default=0)

    def fork(self, seconds: float = 0) -> float:
        """Seconds that a bare fork takes it; the child lives for some more."""
        self.ask(FORK, int(1000 * seconds) + 1)
        return self.word(FORK_TOOK) / 1e9

    def end(self, by: signal.Signals = signal.SIGKILL) -> None:
        """Ends it, and waits for it."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, by)
        reap()


def timed(action: Callable[[], object]) -> float:
    """Seconds that *action* takes."""
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def python() -> float:
    """Seconds that starting Python takes."""
    return median(timed(lambda: subprocess.run([sys.executable, "-c", "pass"], check=True)) for _ in range(ROUNDS))


def reap() -> None:
    """Waits for all children, who are dying."""
    while True:
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            return


def compiled(source: str, folder: Path) -> Path:
    """The program of *source*, in *folder*."""
    program = folder / Path(source).stem
    subprocess.run(["gcc", "-O2", "-pthread", "-o", str(program), str(HERE / source)], check=True)
    return program


def ready_memory(mib: int) -> None:
    """Touches *mib* MiB of free memory, or nearly all of it if there is less.

    The host may have taken back free pages, and then the first touch takes up to 2 s for each GiB. In a child: what
    this process has had would count as the peak of everything that it starts.
    """
    if pid := os.fork():
        os.waitpid(pid, 0)
        return
    available = os.sysconf("SC_AVPHYS_PAGES") * resource.getpagesize()
    with mmap.mmap(-1, min(mib << 20, available * 9 // 10) or 4096, flags=mmap.MAP_PRIVATE) as area:
        area.madvise(mmap.MADV_HUGEPAGE)
        for offset in range(0, len(area), 4096):
            area[offset] = 1
    os._exit(0)


@contextmanager
def bench() -> Iterator[Path]:
    """A folder for a bench below the current one; restored targets become children of this process, and end with it."""
    ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(f"ended by SIGTERM; load {os.getloadavg()[0]:.1f}"))
    with tempfile.TemporaryDirectory(dir=".") as name:
        _tell_load("before")
        try:
            yield Path(name).resolve()
        finally:
            _end_children()
        _tell_load("after")


def _end_children() -> None:
    """Kills whoever is still there, and those of theirs that come to us by that."""
    while children := Path(f"/proc/self/task/{os.getpid()}/children").read_text().split():
        for pid in map(int, children):
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def _tell_load(when: str) -> None:
    print(f"load {when}: {os.getloadavg()[0]:.1f} on {os.cpu_count()} CPUs", flush=True)
