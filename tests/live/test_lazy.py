"""``restart --lazy``: programs run at once, get the right bytes or are ended, and never hang."""

from __future__ import annotations

import errno
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crtool.abi import mman
from crtool.engine.checkpoint import checkpoint
from crtool.engine.restart import restart
from crtool.kernel.syscall import memory_address, syscall
from crtool.resources.memory.lazy import LazySpace, may_be_lazy
from crtool.resources.memory.mappings import MappingRecord
from crtool.resources.memory.pages import Piece

from .harness.catalogue import catalogue
from .harness.processes import Deadline
from .harness.run import Run
from .lazy_child import PAGE, PAGES, lazy_child
from .victim import victim

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to hear of forks by a userfaultfd")

AS_ALWAYS = ["memory_fork_many", "memory_malloc", "memory_locked", "memory_transparent_huge", "memory_protections"]
HELD = ["env", "CRTOOL_FAULT=bring 3=SIGSTOP"]
KILLED = ["env", "CRTOOL_FAULT=bring 3=SIGKILL"]


@contextmanager
def run_of(name: str, folder: Path) -> Iterator[Run]:
    (specimen,) = [specimen for specimen in catalogue() if specimen.name == name]
    run = Run(specimen, folder)
    try:
        run.await_ready()
        yield run
    finally:
        for process in servers(run):
            process.kill()
        run.end()


def servers(run: Run) -> list[psutil.Process]:
    """The processes that bring memory, of this run."""
    left = psutil.Process().children(recursive=True)
    return [process for process in left if process.name() == "crtool-lazy"]


def the_stopped_server(run: Run) -> psutil.Process:
    def stopped() -> bool:
        return any(process.status() == psutil.STATUS_STOPPED for process in servers(run))

    Deadline(20, "the server to stop").wait_until(stopped)
    (server,) = servers(run)
    return server


def is_watched(pid: int) -> bool:
    return " um" in Path(f"/proc/{pid}/smaps").read_text()


@pytest.mark.parametrize("name", AS_ALWAYS)
def test_what_a_program_needs_is_there(name: str, tmp_path: Path) -> None:
    with run_of(name, tmp_path) as run:
        run.restart(run.checkpoint("--kill"), "--lazy")
        run.pass_judgement()


@pytest.mark.parametrize("compress", ["none", "lz4"])
def test_what_is_still_to_come_goes_where_memory_goes(compress: str, tmp_path: Path) -> None:
    """The program divides, moves, empties and unmaps its memory, and forks, while most of it is still to come."""
    with run_of("memory_much_changed", tmp_path) as run:
        image = run.checkpoint("--kill", "--compress", compress)
        run.restart(image, "--lazy", prefix=HELD)
        server = the_stopped_server(run)
        image.unlink()  # who has it open does not need its name
        assert is_watched(run.root)
        os.kill(run.root, signal.SIGTERM)
        time.sleep(0.3)  # it waits for a page, or for somebody to hear of its fork
        assert b"ready\n" == run.printed()
        server.send_signal(signal.SIGCONT)
        run.pass_judgement()


def test_a_checkpoint_has_to_wait(tmp_path: Path) -> None:
    with run_of("memory_much_changed", tmp_path) as run:
        run.restart(run.checkpoint("--kill"), "--lazy", prefix=HELD)
        server = the_stopped_server(run)
        refused = run.attempt("checkpoint", str(run.root), "-o", str(tmp_path / "second.crt"))
        server.send_signal(signal.SIGCONT)
        Deadline(20, "all memory to be there").wait_until(lambda: not is_watched(run.root))
        run.restart(run.checkpoint("--kill"))
        run.pass_judgement()

    assert 122 == refused.returncode
    assert b"--lazy" in refused.stdout


@pytest.mark.parametrize("damage", ["cut", "flipped", "killed"])
def test_rather_no_program_than_wrong_bytes(damage: str, tmp_path: Path) -> None:
    with run_of("memory_much_changed", tmp_path) as run:
        image = run.checkpoint("--kill")
        run.restart(image, "--lazy", prefix=KILLED if damage == "killed" else HELD)
        if damage == "cut":
            os.truncate(image, image.stat().st_size // 2)
        elif damage == "flipped":
            flip(image)
        if damage != "killed":
            the_stopped_server(run).send_signal(signal.SIGCONT)
        assert run.waiting is not None
        status = run.waiting.wait(20)
        said = (tmp_path / "restart.log").read_bytes()

    assert status in (-signal.SIGKILL, 128 + signal.SIGKILL)
    assert b"are ended: their memory could not be brought any more" in said
    assert damage == "killed" or b"the image is damaged: data, bytes" in said
    assert b"PASS" not in run.printed()


def test_what_nobody_asks_for_comes_when_everybody_runs(tmp_path: Path) -> None:
    image, before = str(tmp_path / "image.crt"), list[int]()

    def look(pid: int) -> None:
        time.sleep(0.5)
        before.append(psutil.Process(pid).memory_info().rss)

    with victim(64) as pid:
        checkpoint(pid, image, leave="killed")
        os.waitpid(pid, 0)
        back = restart(image, lazy=True, detach=True, ready=look).pid
        Deadline(20, "all memory to be there").wait_until(lambda: not is_watched(back))
        after = psutil.Process(back).memory_info().rss

    assert after - before[0] > 60 << 20


def test_detach_image_waits_until_the_image_is_not_needed(tmp_path: Path) -> None:
    with run_of("memory_much_changed", tmp_path) as run:
        image = run.checkpoint("--kill")
        run.crtool("restart", str(image), "--lazy", "--detach", "--detach-image")
        os.truncate(image, 0)
        watched = is_watched(run.root)
        os.kill(run.root, signal.SIGTERM)
        assert (run.root, 0) == os.waitpid(run.root, 0)

    assert not watched
    assert b"ready\nPASS\n" == run.printed()


def test_detach_image_tells_of_damage(tmp_path: Path) -> None:
    with run_of("memory_much_changed", tmp_path) as run:
        image = run.checkpoint("--kill")
        flip(image)
        refused = run.attempt("restart", str(image), "--lazy", "--detach", "--detach-image")

    assert 123 == refused.returncode
    assert b"what was restarted from it has been ended" in refused.stdout


def flip(image: Path) -> None:
    with open(image, "r+b") as file:
        file.seek(image.stat().st_size * 3 // 4)
        byte = file.read(1)
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte[0] ^ 1]))


def test_a_pipe_cannot_be_lazy(tmp_path: Path) -> None:
    with run_of("memory_zero_pages", tmp_path) as run:
        image = run.checkpoint("--live", "off")
        command = ["sh", "-c", f"cat {image} | {sys.executable} -m crtool restart --lazy -"]
        done = subprocess.run(command, capture_output=True, timeout=30)

    assert 120 == done.returncode
    assert b"what comes through a pipe cannot come later" in done.stderr


def test_a_dry_run_judges_what_would_come_later(tmp_path: Path) -> None:
    """As a restart does."""
    image = tmp_path / "x.crt"
    with victim(mib=4) as pid:
        checkpoint(pid, image, leave="killed")
        os.waitpid(pid, 0)
    crtool = f"{sys.executable} -m crtool restart --lazy"
    piped = ["sh", "-c", f"cat {image} | {crtool} --dry-run -"]
    deprived = ["setpriv", "--bounding-set=-sys_ptrace", "--inh-caps=-sys_ptrace", *crtool.split(), image]
    for command, status, words in (
        (piped, 120, b"what comes through a pipe cannot come later"),
        ([*deprived, "--dry-run"], 126, b"memory cannot come later: "),
        ([*crtool.split(), image, "--dry-run"], 0, b""),
    ):
        done = subprocess.run(command, capture_output=True, timeout=30)
        assert (status, words in done.stderr) == (done.returncode, True), done


def test_who_waits_for_a_page_that_is_unmapped_is_told() -> None:
    def body(memory: memoryview, said: int) -> None:
        def use() -> None:
            try:
                os.write(said, memory[:1])
            except OSError as error:
                os.write(said, b"%d\n" % error.errno)

        thread = threading.Thread(target=use)
        thread.start()
        time.sleep(0.2)
        syscall("munmap", memory_address(memory), PAGES * PAGE)
        thread.join()

    with lazy_child(body) as child:
        time.sleep(0.5)  # the fault and the munmap are heard of together
        space = LazySpace(child.door, [])
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline and not select.select([child.said], [], [], 0.01)[0]:
            space.hear()
            space.answer(NotImplemented)

        assert select.select([child.said], [], [], 0)[0]
        assert child.line() == b"%d\n" % errno.EFAULT


def test_what_a_fork_empties_is_never_late() -> None:
    record = MappingRecord(0, 4 << 20, 3, False, -1, 0, False, 0, (), False, False, False, 0, b"")

    assert may_be_lazy(record)
    assert not may_be_lazy(replace(record, advice=(mman.MADV_WIPEONFORK,)))


Bytes = dict[int, int]
"""Address → where it is in the image."""

pieces = st.lists(st.tuples(st.integers(0, 2), st.integers(1, 8), st.booleans()), max_size=12)
changes = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60), st.integers(0, 9), st.booleans()), max_size=20)


@given(pieces, changes)
def test_what_is_to_come_is_moved_and_forgotten(
    drawn: list[tuple[int, int, bool]], done: list[tuple[int, int, int, bool]]
) -> None:
    found, at = [], 0
    for gap, length, there in drawn:
        at += gap
        if there:
            found.append(Piece(at, length, 1000 + 7 * at))
        at += length
    space = LazySpace(-1, found)
    wanted: Bytes = {p.start + step: p.offset + step for p in found for step in range(p.length)}
    for source, target, length, moves in done:
        if moves and abs(source - target) >= length:
            space._move(source, target, length)
            moved = {a - source + target: wanted.pop(a) for a in range(source, source + length) if a in wanted}
            for address in range(target, target + length):
                wanted.pop(address, None)
            wanted |= moved
        else:
            space._forget(source, source + length)
            for address in range(source, source + length):
                wanted.pop(address, None)

        left = [(p.start + step, p.offset + step) for p in space._pieces for step in range(p.length)]
        assert sorted(wanted.items()) == left
        assert space.is_complete == (not wanted)
