"""Images of one who stays and knows what was written in between: he never takes for unchanged what is not."""

from __future__ import annotations

import ctypes
import mmap
import os
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from crtool.abi import mman
from crtool.engine.checkpoint import checkpoint
from crtool.engine.comparison import Work
from crtool.engine.live import LiveMode
from crtool.engine.references import read_snapshot
from crtool.engine.restart import restart
from crtool.engine.results import CheckpointResult, RestartResult
from crtool.engine.show import show
from crtool.engine.tracker import Tracker
from crtool.errors import CrtoolError
from crtool.image.reader import ImageReader
from crtool.kernel import features
from crtool.kernel.syscall import syscall
from crtool.procfs import smaps as smaps_file
from crtool.procfs import stat as stat_file
from crtool.procfs.read import read
from crtool.resources.memory.mappings import MappingRecord

from .harness.processes import Deadline, all_ended
from .victim import changed, sleeper
from .writer import writer

pytestmark = pytest.mark.skipif(
    features._track_writes() is not None, reason="needs asynchronous write protection (Linux 6.7)"
)

PAGE = mmap.PAGESIZE
SIZE = 2 << 20
RW = mman.PROT_READ | mman.PROT_WRITE
ANONYMOUS = mman.MAP_PRIVATE | mman.MAP_ANONYMOUS
AT = 0x1000_0000_0000
MADV_PAGEOUT = 21
HUGE = "[never]" not in Path("/sys/kernel/mm/transparent_hugepage/enabled").read_text(encoding="ascii")

Step = Callable[[], object]


@pytest.fixture
def compared(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Addresses of the pages that are compared with the parent's."""
    found: list[int] = []
    real = Work._loaded

    def watch(self: Work, start: int, length: int, *rest: Any) -> bool:
        found.extend(range(start, start + length, PAGE))
        return real(self, start, length, *rest)

    monkeypatch.setattr(Work, "_loaded", watch)
    return found


def map_at(at: int, size: int = SIZE, protection: int = RW) -> None:
    assert syscall("mmap", at, size, protection, ANONYMOUS | mman.MAP_FIXED, -1, 0) == at


def fill(at: int, number: int, size: int = SIZE) -> None:
    for page in range(at, at + size, PAGE):
        put(page, number)


def put(page: int, number: int) -> None:
    ctypes.memmove(page, struct.pack("<QQ", page, number) * (PAGE // 16), PAGE)


class Steps:
    """A child that makes one step after the other, when it is told so, and stands still after each. Its name tells how
    many it has made: that it has stopped is told anew after each checkpoint.
    """

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._done = 0

    def step(self) -> None:
        self._done += 1
        os.kill(self.pid, signal.SIGCONT)
        os.kill(self.pid, signal.SIGUSR1)
        self.wait()

    def wait(self) -> None:
        Deadline(60, f"step {self._done}").wait_until(self._stands)

    def _stands(self) -> bool:
        stat = stat_file.parse(read(self.pid, "stat"))
        assert stat.state not in "ZX"
        return stat.state == "T" and stat.comm == b"step%d" % self._done


def name(number: int) -> None:
    ctypes.CDLL(None).prctl(15, b"step%d" % number, 0, 0, 0)  # PR_SET_NAME


@contextmanager
def stepping(*steps: Step) -> Iterator[Steps]:
    """Such a child, which has made the first of *steps*."""

    def prepare() -> object:
        rest = list(steps)

        def step(*_: object) -> None:
            rest.pop(0)()
            name(len(steps) - len(rest) - 1)
            os.kill(os.getpid(), signal.SIGSTOP)

        os.setsid()
        signal.signal(signal.SIGUSR1, step)
        rest.pop(0)()
        return step

    with sleeper(prepare) as pid:
        yield Steps(pid)


def watched(pid: int) -> list[tuple[int, int]]:
    """The mappings that a userfaultfd write-protects."""
    smaps = smaps_file.parse(read(pid, "smaps"))
    return [(entry.mapping.start, entry.mapping.end) for entry in smaps if "uw" in entry.flags]


def images(folder: Path, steps: Steps, count: int, live: LiveMode, tracker: Tracker) -> Iterator[CheckpointResult]:
    """An image after each of *count* steps, on the one before; each is compared with one that knows no other."""
    last = str(folder / "0.crt")
    checkpoint(steps.pid, last, live=live, tracker=tracker)
    for number in range(1, count + 1):
        steps.step()
        whole, part = str(folder / f"whole{number}.crt"), str(folder / f"{number}.crt")
        checkpoint(steps.pid, whole, live=live)
        result = checkpoint(steps.pid, part, live=live, tracker=tracker, parent=last)
        assert changed(whole, part) == []
        one, other = (show(path).processes[0].memory_bytes for path in (part, whole))
        assert abs(one - other) <= other // 100  # single pages of zeros are found by chance
        last = part
        yield result


def filled() -> None:
    map_at(AT)
    fill(AT, 1)


def some_written() -> None:
    for page in range(AT, AT + SIZE, 64 * PAGE):
        put(page, 2)


@pytest.mark.parametrize("live", ["auto", "fork", "off"])
def test_only_what_was_written_is_compared(live: LiveMode, tmp_path: Path, compared: list[int]) -> None:
    with stepping(filled, some_written, some_written, lambda: put(AT + PAGE, 3)) as steps, Tracker() as tracker:
        for number, result in enumerate(images(tmp_path, steps, 3, live, tracker)):
            inside = sorted(page for page in compared if AT <= page < AT + SIZE)
            assert inside == ([AT + PAGE] if number == 2 else [*range(AT, AT + SIZE, 64 * PAGE)])
            assert result.pages_same >= SIZE // PAGE - 32
            compared.clear()
        assert (AT, AT + SIZE) in watched(steps.pid)
        assert os.listdir(f"/proc/{steps.pid}/fd") == []
        tracker.close()
        assert watched(steps.pid) == []


LARGE = 128 << 20
_STEPS = """
import ctypes, mmap, os, signal
memory = mmap.mmap(-1, 128 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
def fill(word, step):
    for page in range(0, len(memory), step):
        memory[page:page + 4096] = word * 4096
def made(number):
    ctypes.CDLL(None).prctl(15, b"step%d" % number, 0, 0, 0)
    os.kill(os.getpid(), signal.SIGSTOP)
def step(*_):
    globals()["number"] += 1
    fill(bytes([number]) if number != 2 else bytes(1), 1 << 20 if number < 4 else 4096)
    made(number)
signal.signal(signal.SIGUSR1, step)
number = 0
fill(b"a", 4096)
made(0)
while True: signal.pause()
"""


@contextmanager
def program_stepping() -> Iterator[Steps]:
    """A program with much memory, of which it writes little in three steps, zeros in the second, and all in the last.
    """
    with all_ended():
        command = [sys.executable, "-c", _STEPS]
        child = subprocess.Popen(command, stdin=-3, stdout=-3, stderr=-3, start_new_session=True)
        steps = Steps(child.pid)
        steps.wait()
        yield steps
        child.kill()
        child.wait()


def test_nobody_is_forked_for_little(tmp_path: Path, compared: list[int]) -> None:
    """What the parent does not have is copied while the target stands still, and nothing else is."""
    with program_stepping() as steps, Tracker() as tracker:
        found = images(tmp_path, steps, 4, "auto", tracker)
        assert [0, 0, 0] == [next(found).forked for _ in range(3)]
        assert len(compared) < LARGE // PAGE // 8
        assert next(found).forked == 1


def test_what_seemed_little_is_forked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When it stands still, it turns out to be much."""
    monkeypatch.setattr("crtool.engine.live.is_more_written", lambda *_: False)
    monkeypatch.setattr("crtool.engine.live._LITTLE", 0)
    with program_stepping() as steps, Tracker() as tracker:
        assert [1] == [result.forked for result in images(tmp_path, steps, 1, "auto", tracker)]


def test_flags_that_are_known_are_those_of_smaps(tmp_path: Path) -> None:
    """Advice that has never been seen is read there."""

    def advised() -> None:
        syscall("madvise", AT, SIZE // 2, mman.MADV_DONTFORK)
        put(AT, 5)

    def back() -> None:
        syscall("madvise", AT, SIZE // 2, 11)  # MADV_DOFORK
        syscall("madvise", AT + SIZE // 2, SIZE // 2, mman.MADV_DONTDUMP)

    with stepping(filled, advised, back, nothing, advised) as steps, Tracker() as tracker:
        for result in images(tmp_path, steps, 4, "auto", tracker):
            assert result.image is not None
            folder, number = os.path.split(result.image)
            one, other = (mappings_in(os.path.join(folder, name)) for name in (number, f"whole{number}"))
            assert one == other


def mappings_in(image: str) -> tuple[MappingRecord, ...]:
    with ImageReader.open(image) as reader:
        return read_snapshot(reader).memories[0].mappings


# -- what is not what it was -----------------------------------------------------------------------------------------


def emptied() -> None:
    syscall("madvise", AT, SIZE // 2, mman.MADV_DONTNEED)
    put(AT + 5 * PAGE, 7)
    assert ctypes.string_at(AT + 6 * PAGE, 1) == b"\0"


def mapped_anew() -> None:
    syscall("munmap", AT, SIZE)
    map_at(AT)
    fill(AT, 2, SIZE // 2)


def mapped_over() -> None:
    map_at(AT + SIZE // 4, SIZE // 2)
    fill(AT + SIZE // 4, 3, SIZE // 4)


def two_filled() -> None:
    filled()
    map_at(AT + 4 * SIZE)
    fill(AT + 4 * SIZE, 5)


def moved_over() -> None:
    flags = mman.MREMAP_MAYMOVE | mman.MREMAP_FIXED
    syscall("mremap", AT + 4 * SIZE, SIZE, SIZE, flags, AT)


def moved_there_and_back() -> None:
    flags = mman.MREMAP_MAYMOVE | mman.MREMAP_FIXED
    syscall("mremap", AT, SIZE, SIZE, flags, AT + 8 * SIZE)
    put(AT + 8 * SIZE + 9 * PAGE, 4)
    syscall("mremap", AT + 8 * SIZE, SIZE, SIZE, flags, AT)


def half_moved_over() -> None:
    flags = mman.MREMAP_MAYMOVE | mman.MREMAP_FIXED
    syscall("mremap", AT + 4 * SIZE + SIZE // 2, SIZE // 2, SIZE // 2, flags, AT + SIZE // 4)


def grown() -> None:
    assert syscall("mremap", AT, SIZE, 2 * SIZE, 0) == AT
    fill(AT + SIZE, 6, SIZE // 2)


def forked() -> None:
    """The child writes where the parent does not, and the other way round."""
    if os.fork() == 0:
        fill(AT, 8, SIZE // 2)
        while True:
            signal.pause()
    fill(AT + SIZE // 2, 9, SIZE // 4)


def hidden_and_written() -> None:
    syscall("mprotect", AT, SIZE, mman.PROT_NONE)
    syscall("mprotect", AT, SIZE // 2, RW)
    some_of = range(AT, AT + SIZE // 2, 32 * PAGE)
    for page in some_of:
        put(page, 10)
    syscall("mprotect", AT, SIZE // 4, mman.PROT_READ)


def read_into() -> None:
    """By the kernel: system calls that write to protected pages."""
    fd = os.open("/dev/urandom", os.O_RDONLY)
    for page in range(AT, AT + SIZE, 128 * PAGE):
        assert syscall("read", fd, page + 100, 5000) == 5000
    os.close(fd)


def huge() -> None:
    map_at(AT, 2 * SIZE)
    syscall("madvise", AT, 2 * SIZE, mman.MADV_HUGEPAGE)
    fill(AT, 1, 2 * SIZE)
    smaps = smaps_file.parse(read(os.getpid(), "smaps"))
    assert not HUGE or any(entry.anon_huge_pages for entry in smaps if entry.mapping.start == AT)


def paged_out() -> None:
    with suppress(OSError):
        syscall("madvise", AT, SIZE, MADV_PAGEOUT)
    put(AT + 33 * PAGE, 11)


def free_at_will() -> None:
    syscall("madvise", AT, SIZE // 2, 8)  # MADV_FREE
    put(AT + 3 * PAGE, 12)


def guarded() -> None:
    with suppress(OSError):
        syscall("madvise", AT + PAGE, 8 * PAGE, mman.MADV_GUARD_INSTALL)
    put(AT + 10 * PAGE, 13)


def unguarded() -> None:
    with suppress(OSError):
        syscall("madvise", AT + PAGE, 8 * PAGE, 103)  # MADV_GUARD_REMOVE
    put(AT + 2 * PAGE, 14)


def mergeable() -> None:
    syscall("madvise", AT, SIZE, mman.MADV_MERGEABLE)
    put(AT + 2 * PAGE, 14)


def grow_heap() -> None:
    libc = ctypes.CDLL(None)
    libc.sbrk.restype = ctypes.c_void_p
    at = (libc.sbrk(ctypes.c_long(2 << 20)) + PAGE) & -PAGE
    fill(at, 15, 1 << 20)


def shared_instead() -> None:
    flags = mman.MAP_SHARED | mman.MAP_ANONYMOUS | mman.MAP_FIXED
    syscall("mmap", AT, SIZE, RW, flags, -1, 0)
    fill(AT, 16)


def nothing() -> None:
    pass


PITFALLS: dict[str, tuple[Step, ...]] = {
    "emptied": (filled, emptied, nothing, emptied),
    "mapped anew": (filled, mapped_anew, some_written, mapped_anew),
    "mapped over": (filled, mapped_over, nothing, mapped_over),
    "moved over": (two_filled, moved_over, some_written),
    "half moved over": (two_filled, half_moved_over, nothing, some_written),
    "moved there and back": (filled, moved_there_and_back, moved_there_and_back, some_written),
    "grown": (filled, grown, some_written),
    "forked": (filled, forked, some_written, nothing),
    "hidden": (filled, hidden_and_written, nothing),
    "read into": (filled, read_into, read_into),
    "huge": (huge, some_written, read_into, lambda: put(AT + SIZE // 2, 8), emptied),
    "paged out": (filled, paged_out, paged_out, some_written),
    "free at will": (filled, free_at_will, nothing, some_written),
    "guarded": (filled, guarded, nothing, unguarded, nothing),
    "mergeable": (filled, mergeable, nothing, some_written),
    "a heap that grows": (grow_heap, grow_heap, grow_heap, nothing, grow_heap),
    "shared instead": (filled, shared_instead, filled, some_written),
    "two beside each other": (filled, lambda: (map_at(AT + SIZE), fill(AT + SIZE, 4)), nothing, mapped_over, nothing),
}


@pytest.mark.parametrize("name", PITFALLS)
def test_what_is_not_what_it_was(name: str, tmp_path: Path) -> None:
    steps_of = PITFALLS[name]
    with stepping(*steps_of) as steps, Tracker() as tracker:
        assert len(list(images(tmp_path, steps, len(steps_of) - 1, "auto", tracker))) == len(steps_of) - 1


_EXECUTED = """
import ctypes, mmap, os, signal, sys
memory = mmap.mmap(-1, 8 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
for page in range(0, 8 << 20, 4096):
    memory[page:page + 4096] = (sys.argv[1] * 4096).encode()
def again(*_):
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
    os.execv(sys.executable, [sys.executable, "-c", os.environ["PROGRAM"], chr(ord(sys.argv[1]) + 1)])
signal.signal(signal.SIGUSR1, again)
ctypes.CDLL(None).prctl(15, b"step%d" % (ord(sys.argv[1]) - ord("a")), 0, 0, 0)
os.kill(os.getpid(), signal.SIGSTOP)
signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGUSR1])
while True: signal.pause()
"""


def test_another_program_at_the_same_addresses(tmp_path: Path) -> None:
    """The memory of the old one is gone, the descriptor for it is not."""
    with all_ended():
        command = ["setarch", "-R", sys.executable, "-c", _EXECUTED, "a"]
        child = subprocess.Popen(
            command, env={**os.environ, "PROGRAM": _EXECUTED}, stdin=-3, stdout=-3, stderr=-3, start_new_session=True
        )
        steps = Steps(child.pid)
        steps.wait()
        with Tracker() as tracker:
            assert len(list(images(tmp_path, steps, 3, "auto", tracker))) == 3
        child.kill()
        child.wait()


def test_what_others_write_into_it(tmp_path: Path) -> None:
    with stepping(filled, nothing) as steps, Tracker() as tracker:
        base, whole, part = (str(tmp_path / name) for name in ("base.crt", "whole.crt", "part.crt"))
        checkpoint(steps.pid, base, tracker=tracker)
        with open(f"/proc/{steps.pid}/mem", "r+b", buffering=0) as memory:
            memory.seek(AT + 50 * PAGE)
            memory.write(b"from outside")
        text = ctypes.create_string_buffer(b"by process_vm_writev")
        local = struct.pack("<QQ", ctypes.addressof(text), 20)
        remote = struct.pack("<QQ", AT + 60 * PAGE + 10, 20)
        assert ctypes.CDLL(None).process_vm_writev(steps.pid, local, 1, remote, 1, 0) == 20
        checkpoint(steps.pid, part, tracker=tracker, parent=base)
        checkpoint(steps.pid, whole)
        assert len(changed(base, whole)) >= 1
        assert changed(whole, part) == []


# -- what goes wrong -------------------------------------------------------------------------------------------------


def test_what_was_written_before_one_that_failed(tmp_path: Path, compared: list[int]) -> None:
    """The failed one has protected all again; what it has seen is not forgotten."""
    base, whole, part = (str(tmp_path / name) for name in ("base.crt", "whole.crt", "part.crt"))
    with stepping(filled, some_written, lambda: put(AT + 9 * PAGE, 9)) as steps, Tracker() as tracker:
        checkpoint(steps.pid, base, tracker=tracker)
        steps.step()
        full = os.open("/dev/full", os.O_WRONLY)
        with pytest.raises((OSError, CrtoolError)):
            checkpoint(steps.pid, full, tracker=tracker, parent=base)
        os.close(full)
        steps.step()
        compared.clear()
        checkpoint(steps.pid, part, tracker=tracker, parent=base)
        checkpoint(steps.pid, whole)
    assert changed(whole, part) == []
    inside = sorted(page for page in compared if AT <= page < AT + SIZE)
    assert inside == sorted([*range(AT, AT + SIZE, 64 * PAGE), AT + 9 * PAGE])


def test_another_parent_is_compared(tmp_path: Path, compared: list[int]) -> None:
    """The tracker knows what has changed since the last image, not since this one."""
    first, second, whole, part = (str(tmp_path / f"{name}.crt") for name in ("first", "second", "whole", "part"))
    with stepping(filled, some_written) as steps, Tracker() as tracker:
        checkpoint(steps.pid, first, tracker=tracker)
        steps.step()
        checkpoint(steps.pid, second, tracker=tracker)
        checkpoint(steps.pid, part, tracker=tracker, parent=first)
        checkpoint(steps.pid, whole)
    assert changed(whole, part) == []
    assert len([page for page in compared if AT <= page < AT + SIZE]) == SIZE // PAGE


def test_two_who_watch(tmp_path: Path) -> None:
    """Who comes second compares; neither disturbs the other."""
    with stepping(filled, some_written, some_written) as steps, Tracker() as first, Tracker() as second:
        for number in range(2):
            # The one who came second looks first when something has been written.
            for name, tracker in (("a", first), ("b", second))[:: -1 if number else 1]:
                parent = str(tmp_path / f"{name}{number - 1}.crt") if number else None
                checkpoint(steps.pid, tmp_path / f"{name}{number}.crt", tracker=tracker, parent=parent)
            checkpoint(steps.pid, tmp_path / f"whole{number}.crt")
            for name in "ab":
                assert changed(tmp_path / f"whole{number}.crt", tmp_path / f"{name}{number}.crt") == []
            steps.step()


def recorded(path: str) -> list[object]:
    with ImageReader.open(path) as image:
        return [memory.mappings for memory in read_snapshot(image).memories]


def test_an_image_shows_nothing_of_it(tmp_path: Path) -> None:
    before, after = str(tmp_path / "before.crt"), str(tmp_path / "after.crt")
    with stepping(filled) as steps, Tracker() as tracker:
        checkpoint(steps.pid, before)
        checkpoint(steps.pid, tmp_path / "watched.crt", tracker=tracker)
        assert watched(steps.pid)
        for live in ("auto", "off"):
            checkpoint(steps.pid, after, live=live, force=True)  # type: ignore[arg-type]
            assert changed(before, after) == []
            assert recorded(before) == recorded(after)


@pytest.mark.parametrize("live", ["auto", "off"])
def test_a_chain_of_a_program_that_writes_comes_back(live: LiveMode, tmp_path: Path) -> None:
    paths = [str(tmp_path / f"{number}.crt") for number in range(5)]

    def ask(result: RestartResult) -> None:
        os.kill(result.pid, signal.SIGTERM)

    with writer() as pid, Tracker() as tracker:
        for number, path in enumerate(paths):
            leave = "killed" if path == paths[-1] else "running"
            parent = paths[number - 1] if number else None
            checkpoint(pid, path, live=live, leave=leave, tracker=tracker, parent=parent)  # type: ignore[arg-type]
            time.sleep(0.05)
        os.waitpid(pid, 0)
        for path in paths:
            assert restart(path, running=ask).status == 0


def test_crtool_dies(tmp_path: Path) -> None:
    """The program goes on, and nothing of the watch is left."""
    program = "memory = bytearray(b'x') * (32 << 20)\nwhile True:\n  import time; time.sleep(0.02); memory[7] ^= 1"
    options = ("--image", "images/", "--incremental", "--keep", "2", "--every", "0.2")
    with all_ended():
        run = subprocess.Popen(
            [sys.executable, "-m", "crtool", "run", *options, "--", sys.executable, "-c", program],
            cwd=tmp_path, stdin=-3, stdout=-3, stderr=-3, start_new_session=True,
        )  # fmt: skip
        folder = tmp_path / "images"
        Deadline(60, "three images").wait_until(lambda: folder.is_dir() and len(list(folder.glob("*.crt"))) >= 3)
        with open(f"/proc/{run.pid}/task/{run.pid}/children", encoding="ascii") as children:
            pids = [int(word) for word in children.read().split()]
        (pid,) = [pid for pid in pids if watched(pid)]
        run.kill()
        run.wait()
        assert watched(pid) == []
        Deadline(10, "the program to go on").wait_until(lambda: read(pid, "stat").rpartition(b")")[2][1:2] in b"SR")
        links = [os.readlink(f"/proc/{pid}/fd/{number}") for number in os.listdir(f"/proc/{pid}/fd")]
        assert not any("userfaultfd" in link for link in links)
        os.kill(pid, signal.SIGKILL)
