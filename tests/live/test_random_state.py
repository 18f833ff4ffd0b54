"""What two processes must not share: memory that a fork empties, what images leave out, and the word to seed anew."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from .harness import processes
from .harness.command import crtool
from .test_changed_files import target

# What is secret is read straight to where it belongs, and is nowhere else in the memory of the program.
KEEPER = """
import hashlib, mmap, os, signal
def area(name, advice):
    room = mmap.mmap(-1, os.path.getsize(name), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if advice: room.madvise(advice)
    with open(name, 'rb', 0) as file: file.readinto(room)
    return room
areas = [area('plain', 0), area('wiped', 18), area('undumped', 16)]
def tell(*_):
    name = f'told-{os.readlink("/proc/self/ns/pid")}'
    with open(name + '.new', 'w') as file:
        file.write(' '.join(hashlib.sha256(room).hexdigest() for room in areas))
    os.rename(name + '.new', name)
signal.signal(signal.SIGUSR1, tell)
"""
NAMES = ("plain", "wiped", "undumped")
SIZE = 5 * 4096


def digests(*contents: bytes) -> str:
    return " ".join(hashlib.sha256(content).hexdigest() for content in contents)


@pytest.fixture(autouse=True)
def restarted_ends() -> Iterator[None]:
    with processes.all_ended():
        yield


def asked(pid: int, folder: Path) -> str:
    """What the program with that PID has in its areas."""
    answer = folder / f"told-{os.readlink(f'/proc/{pid}/ns/pid')}"
    answer.unlink(missing_ok=True)
    os.kill(pid, signal.SIGUSR1)
    processes.Deadline(30, "an answer").wait_until(answer.exists)
    return answer.read_text()


def restarted(image: Path, *options: str) -> int:
    """The root of one more copy."""
    done = crtool("restart", image, "--detach", "--pidns", "--json", *options)
    assert 0 == done.returncode, done.stderr
    pid: int = json.loads(done.stdout)["pid"]
    return pid


@pytest.mark.parametrize("exclude", ["none", "dontdump"])
@pytest.mark.parametrize("way", ["--live=auto", "--live=fork", "--live=off"])
def test_what_is_left_out_of_images(way: str, exclude: str, tmp_path: Path) -> None:
    secrets = {name: os.urandom(SIZE) for name in NAMES}
    for name, content in secrets.items():
        (tmp_path / name).write_bytes(content)
    image = tmp_path / "image"
    with target(KEEPER, tmp_path) as process:
        done = crtool("checkpoint", process.pid, way, "--exclude", exclude, "-o", image)
        assert 0 == done.returncode, done.stderr
        original = asked(process.pid, tmp_path)
        copies = [asked(restarted(image), tmp_path) for _ in range(2)]
        process.kill()

    left_out = {"wiped", "undumped"} if exclude == "dontdump" else {"wiped"}
    found = image.read_bytes()
    assert {name for name in NAMES if secrets[name] not in found} == left_out
    assert digests(*secrets.values()) == original
    wanted = digests(*(bytes(SIZE) if name in left_out else secrets[name] for name in NAMES))
    assert [wanted, wanted] == copies


# Counts as fast as it can; the handler says how far that was. Its child would die of the signal.
COUNTER = """
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>
static volatile unsigned long count;
static int out;
static void tell(int number) { if (write(out, (const void *)&count, sizeof count) < 0) _exit(number); }
int main(void) {
    out = open("counts", O_WRONLY | O_CREAT | O_APPEND, 0600);
    if (fork() == 0) for (;;) pause();
    signal(SIGUSR1, tell);
    close(open("ready", O_WRONLY | O_CREAT, 0600));
    for (;;) count++;
}
"""


def test_nobody_runs_before_the_handler(tmp_path: Path) -> None:
    """Two restarts of one image meet the signal at the same count, so before the first instruction."""
    code, program, image, counts = (tmp_path / name for name in ("counter.c", "counter", "image", "counts"))
    code.write_text(COUNTER)
    subprocess.run(["gcc", "-O1", "-Wall", "-Werror", "-o", program, code], check=True)
    nothing = subprocess.DEVNULL
    with subprocess.Popen([program], cwd=tmp_path, stdin=nothing, stdout=nothing, start_new_session=True) as process:
        members = processes.family(process.pid)
        try:
            processes.Deadline(30, "ready").wait_until((tmp_path / "ready").exists)
            assert 0 == crtool("checkpoint", process.pid, "-o", image).returncode
            members = processes.family(process.pid)
        finally:
            processes.end(members)
    roots = []
    for number in range(1, 3):
        roots.append(restarted(image, "--signal", "USR1"))
        processes.Deadline(30, "a count").wait_until(lambda: counts.stat().st_size >= 8 * number)  # noqa: B023

    first, second = struct.unpack("2Q", counts.read_bytes())
    assert first == second > 0
    assert [2, 2] == [len(processes.family(root)) for root in roots]


WAITER = """
import signal
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2])
open('ready', 'w').close()
signal.sigwait([signal.SIGUSR2])
open('heard', 'w').close()
"""


@pytest.fixture
def waiter(tmp_path: Path) -> Path:
    """An image of a program that waits for SIGUSR2, which it blocks."""
    image = tmp_path / "image"
    with target(WAITER, tmp_path) as process:
        done = crtool("checkpoint", process.pid, "--kill", "-o", image)
        assert 0 == done.returncode, done.stderr
    return image


def test_who_asks_for_the_signal(waiter: Path) -> None:
    restarted(waiter, "--signal", "SIGUSR2")

    processes.Deadline(30, "the signal").wait_until((waiter.parent / "heard").exists)


def test_copies_of_a_running_program_are_told(tmp_path: Path) -> None:
    with target(WAITER, tmp_path) as process:
        done = crtool("clone", process.pid, "--detach", "--signal", "USR2")
        assert 0 == done.returncode, done.stderr
        processes.Deadline(30, "the signal").wait_until((tmp_path / "heard").exists)
        assert process.poll() is None


@pytest.mark.parametrize(
    ("name", "status", "words"),
    [
        ("HUP", 126, "no process of the image catches SIGHUP"),
        ("KILL", 120, "SIGKILL cannot be caught"),
        ("USR1,USR2", 120, "one signal is enough"),
        ("NONE", 120, "'NONE' is no signal"),
    ],
)
def test_signals_that_cannot_be_meant(name: str, status: int, words: str, waiter: Path) -> None:
    for option in ("--detach", "--dry-run"):
        done = crtool("restart", waiter, option, "--signal", name)

        assert (status, True) == (done.returncode, words in done.stderr), done.stderr


def test_a_dry_run_tells_who_would_be_signalled(waiter: Path) -> None:
    done = crtool("restart", waiter, "--dry-run", "--json", "--signal", "USR2")

    found = json.loads(done.stdout)
    assert 1 == len(found["told"]), done.stderr
    assert set(found["told"]) <= set(found["pids"])


def test_checkpoint_self_tells_the_sides_apart(tmp_path: Path) -> None:
    """The hook of a Python program: it seeds anew where the call returns "restarted"."""
    program = f"""
import random, sys
sys.path.insert(0, {os.fspath(Path(__file__).parents[2])!r})
import crtool
random.seed(1)
side = crtool.checkpoint_self('image')
if side == 'restarted':
    random.seed()
with open('numbers', 'a') as file:
    file.write(f'{{side}} {{random.random()}}\\n')
"""
    nothing = subprocess.DEVNULL
    subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, stdin=nothing, stdout=nothing, stderr=nothing, check=True,
        timeout=60, start_new_session=True,
    )  # fmt: skip
    for _ in range(2):
        assert 0 == crtool("restart", tmp_path / "image", "--pidns").returncode

    lines = [line.split() for line in (tmp_path / "numbers").read_text().splitlines()]
    assert ["saved", "restarted", "restarted"] == [side for side, _ in lines]
    assert 3 == len({number for _, number in lines})
