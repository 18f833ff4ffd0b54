"""``crtool run`` as it is used: what it saves when, how it ends, and what the next run makes of it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, TypeVar

import pytest

from .harness.processes import descendants, end

JOB = """
i=0
while [ $i -lt {steps} ]; do
    i=$((i+1))
    echo $i >>log
    sleep 0.05
done
echo done >>log
exit {status}
"""
NULL = subprocess.DEVNULL
T = TypeVar("T")


class Job:
    """A shell script that counts in a file, in a folder of its own, and the runs of it."""

    def __init__(self, folder: Path, steps: int = 80, status: int = 0) -> None:
        self.folder = folder
        self.script = folder / "job.sh"
        self.script.write_text(JOB.format(steps=steps, status=status))
        self.expected = [str(number + 1) for number in range(steps)] + ["done"]
        self.runs: list[subprocess.Popen[str]] = []

    def start(self, *options: str, command: tuple[str, ...] = ("sh", "job.sh")) -> subprocess.Popen[str]:
        run = subprocess.Popen(
            [sys.executable, "-m", "crtool", "run", *options, "--", *command],
            cwd=self.folder,
            stdin=NULL,
            stdout=NULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.runs.append(run)
        return run

    def run(self, *options: str, command: tuple[str, ...] = ("sh", "job.sh")) -> subprocess.CompletedProcess[str]:
        run = self.start(*options, command=command)
        _, errors = run.communicate(timeout=60)
        return subprocess.CompletedProcess((), run.returncode, "", errors)

    @property
    def log(self) -> list[str]:
        path = self.folder / "log"
        return path.read_text().split() if path.exists() else []

    def images(self, folder: str = ".") -> list[Path]:
        return sorted((self.folder / folder).glob("*.crt"))

    def command(self) -> int:
        """The PID of the script of the newest run."""
        return eventually(lambda: next(iter(children_of(self.runs[-1].pid)), 0))


def children_of(parent: int) -> list[int]:
    done = subprocess.run(["ps", "--ppid", str(parent), "-o", "pid="], capture_output=True, text=True)
    return [int(word) for word in done.stdout.split()]


def eventually(found: Callable[[], T]) -> T:
    """What *found* says as soon as that is something."""
    until = time.monotonic() + 30
    while not (value := found()):
        assert time.monotonic() < until
        time.sleep(0.01)
    return value


@pytest.fixture
def job(tmp_path: Path, subreaper: None) -> Iterator[Job]:
    made = Job(tmp_path)
    before = descendants()
    yield made
    for run in made.runs:
        run.kill()  # before its command, which it would bring back
        run.wait()
        if run.stderr is not None:
            run.stderr.close()
    while left := descendants() - before:
        end(left)


def test_a_command_ends_as_it_would_without(job: Job) -> None:
    done = job.run("--image", "job.crt", "--every", "0.2s")

    assert (0, "", job.expected, []) == (done.returncode, done.stderr, job.log, job.images())


def test_its_status_is_passed_on(job: Job) -> None:
    job = Job(job.folder, steps=2, status=7)

    assert 7 == job.run().returncode


def test_so_is_its_signal(job: Job) -> None:
    assert -signal.SIGSEGV == job.run(command=("sh", "-c", "kill -SEGV $$")).returncode


def test_images_are_made_now_and_then(job: Job) -> None:
    done = job.run("-v", "--image", "job.d", "--every", "0.2s", "--keep", "2", "--keep-images")

    assert 0 == done.returncode
    assert done.stderr.count("saved to job.d/") > 2
    assert 2 == len(job.images("job.d"))
    assert job.expected == job.log


def test_saved_on_a_signal_and_gone_on_with(job: Job) -> None:
    options = ("--image", "job.crt", "--on-signal", "TERM", "--on-checkpoint-exit", "75")
    first = job.start(*options)
    eventually(lambda: len(job.log) > 5)
    first.send_signal(signal.SIGTERM)
    _, said = first.communicate(timeout=60)
    middle = len(job.log)
    second = job.run(*options)

    assert 75 == first.returncode
    assert "crtool: saved on SIGTERM; the same command line goes on from there\n" == said
    assert 5 < middle < len(job.expected)
    assert (0, job.expected, []) == (second.returncode, job.log, job.images())
    assert "crtool: going on from job.crt, written" in second.stderr


def test_without_a_status_of_its_own_it_ends_by_that_signal(job: Job) -> None:
    run = job.start("--on-signal", "TERM")
    eventually(lambda: job.log)
    run.send_signal(signal.SIGTERM)

    assert -signal.SIGTERM == run.wait(60)
    assert ["sh.crt"] == [path.name for path in job.images()]


def test_saved_on_a_signal_that_ends_nothing(job: Job) -> None:
    run = job.start("-v", "--on-signal", "USR1", "--keep-images")
    eventually(lambda: job.log)
    run.send_signal(signal.SIGUSR1)
    _, said = run.communicate(timeout=60)

    assert (0, job.expected) == (run.returncode, job.log)
    assert 1 == said.count("saved to sh.crt")


def test_other_signals_are_passed_on(job: Job) -> None:
    run = job.start()
    eventually(lambda: job.log)
    run.send_signal(signal.SIGTERM)

    assert -signal.SIGTERM == run.wait(60)
    assert [] == job.images()


def test_a_reboot(job: Job) -> None:
    run = job.start("--image", "job.crt", "--every", "0.3s")
    eventually(job.images)
    command = job.command()
    run.kill()
    run.wait()
    end({command})
    again = job.run("--image", "job.crt", "--every", "0.3s")

    assert 0 == again.returncode
    assert "going on from job.crt" in again.stderr
    assert set(job.expected) == set(job.log)
    assert "done" == job.log[-1]


def test_a_command_that_has_lost_its_run_is_not_run_twice(job: Job) -> None:
    run = job.start("--image", "job.crt")
    eventually(lambda: job.log)
    command = job.command()
    run.kill()
    run.wait()
    again = job.run("--image", "job.crt")
    end({command})

    assert 126 == again.returncode
    assert f"job.crt: the command of an earlier run still runs as PID {command}\n" in again.stderr
    assert f"kill {command}" in again.stderr


def test_two_runs_at_one_place(job: Job) -> None:
    job.start("--image", "job.crt")
    eventually(lambda: job.log)
    second = job.run("--image", "job.crt")

    assert (126, True) == (second.returncode, "another crtool run is at work there" in second.stderr)


def test_a_crash_goes_back(job: Job) -> None:
    """The next checkpoint is far away, so none falls between the last look at the file and the crash."""
    script = "until [ -e job.crt ]; do sleep 0.02; done; [ -e crashed ] || { touch crashed; kill -SEGV $$; }"
    options = ("--image", "job.crt", "--every", "3s", "--restart-on-crash", "3")
    done = job.run(*options, command=("sh", "-c", script))

    assert 0 == done.returncode
    assert 1 == done.stderr.count("the command was killed by SIGSEGV; going back, 1 of 3 times")


def test_a_crash_too_many(job: Job) -> None:
    done = job.run("--restart-on-crash", "2", command=("sh", "-c", "echo start >>log; exit 3"))

    assert (3, 3) == (done.returncode, len(job.log))


def test_a_damaged_image_is_passed_over(job: Job) -> None:
    options = ("--image", "job.d", "--keep", "3", "--every", "0.2s", "--on-signal", "TERM")
    run = job.start(*options)
    eventually(lambda: len(job.images("job.d")) >= 2)
    run.send_signal(signal.SIGTERM)
    run.wait(60)
    newest = job.images("job.d")[-1]
    with newest.open("r+b") as file:
        file.seek(-100, os.SEEK_END)
        file.write(b"damage")
    done = job.run(*options)

    assert 0 == done.returncode
    assert f"crtool: warning: job.d/{newest.name}: the image is damaged" in done.stderr
    assert set(job.expected) == set(job.log)


def test_only_damaged_images(job: Job) -> None:
    (job.folder / "job.crt").write_bytes(b"no image at all")
    done = job.run("--image", "job.crt")

    assert (123, []) == (done.returncode, job.log)
    assert 0 == job.run("--image", "job.crt", "--fresh").returncode
    assert job.expected == job.log


def test_a_full_disk_ends_nothing(job: Job) -> None:
    disk = job.folder / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", disk], check=True)
    try:
        done = job.run("--image", "disk/job.crt", "--every", "0.2s")

        assert (0, job.expected) == (done.returncode, job.log)
        assert 1 == done.stderr.count("crtool: warning: no checkpoint: disk/job.crt: cannot be written")
        assert [] == list(disk.iterdir())
    finally:
        subprocess.run(["umount", disk], check=True)


def test_standard_streams_that_lead_outside(job: Job) -> None:
    """As in cron: the output is a pipe to somebody else."""
    command = [sys.executable, "-m", "crtool", "run", "--on-signal", "TERM", "--", "sh", "-c"]
    script = "echo one; while ! [ -e go ]; do sleep 0.02; done; echo two"
    with subprocess.Popen([*command, script], cwd=job.folder, stdin=NULL, stdout=subprocess.PIPE) as first:
        assert first.stdout is not None
        assert b"one\n" == first.stdout.readline()
        first.terminate()
        assert -signal.SIGTERM == first.wait(60)
    (job.folder / "go").touch()
    second = subprocess.run([*command, script], cwd=job.folder, stdin=NULL, stdout=subprocess.PIPE, timeout=60)

    assert (0, b"two\n") == (second.returncode, second.stdout)


def test_standard_streams_in_sockets_to_the_outside(job: Job) -> None:
    """As in a service of systemd: output and errors are a socket to the journal."""
    command = [sys.executable, "-m", "crtool", "run", "--on-signal", "TERM", "--", "sh", "-c"]
    script = "echo one; while ! [ -e go ]; do sleep 0.02; done; echo two; echo three >&2"

    def run() -> tuple[subprocess.Popen[bytes], BinaryIO]:
        ours, theirs = socket.socketpair()
        with ours, theirs:
            return subprocess.Popen([*command, script], cwd=job.folder, stdin=NULL, stdout=theirs, stderr=theirs), (
                ours.makefile("rb")
            )

    process, lines = run()
    with process, lines:
        assert b"one\n" == lines.readline()
        process.terminate()
        assert -signal.SIGTERM == process.wait(60)
        assert lines.readline().startswith(b"crtool: saved on SIGTERM")
    (job.folder / "go").touch()
    process, lines = run()
    with process, lines:
        assert 0 == process.wait(60)
        said = lines.read().splitlines()

    assert [b"two", b"three"] == [line for line in said if not line.startswith(b"crtool: ")]


@pytest.mark.parametrize(
    ("options", "status", "said"),
    [
        (("--on-signal", "FOO"), 120, "'FOO' is no signal"),
        (("--on-signal", "KILL"), 120, "SIGKILL cannot be waited for"),
        (("--on-checkpoint-exit", "75"), 120, "--on-checkpoint-exit without a signal that ends"),
        (("--every", "soon"), 120, "'soon' is no duration"),
        (("--image", "no/such/job.crt"), 126, "no/such: no images can be made there: No such file or directory"),
        (("--image", "job.sh", "--keep", "2"), 120, "job.sh is a file and no folder"),
    ],
)
def test_bad_input(job: Job, options: tuple[str, ...], status: int, said: str) -> None:
    done = job.run(*options)

    assert (status, []) == (done.returncode, job.log)
    assert said in done.stderr


def test_no_such_command(job: Job) -> None:
    done = job.run(command=("no-such-command",))

    assert (127, True) == (done.returncode, "no-such-command: command not found" in done.stderr)
    done = job.run(command=("./job.sh",))
    assert 126 == done.returncode
    assert "crtool: ./job.sh cannot be executed: Permission denied\n  make it executable, with chmod +x" in done.stderr


def test_the_newest_image_of_a_folder(job: Job) -> None:
    run = job.start("--image", "job.d", "--keep", "2", "--on-signal", "TERM")
    eventually(lambda: job.log)
    run.send_signal(signal.SIGTERM)
    run.wait(60)
    done = subprocess.run([sys.executable, "-m", "crtool", "restart", "job.d"], cwd=job.folder, stdin=NULL, timeout=60)

    assert (0, job.expected) == (done.returncode, job.log)


def test_images_have_only_what_has_changed(job: Job) -> None:
    """Of a program with 32 MiB that it never touches again; --keep 2, and what these build on."""
    program = "memory = bytearray(b'x') * (32 << 20)\nwhile True: import time; time.sleep(0.05)"
    options = ("--image", "images/", "--incremental", "--keep", "2", "--every", "0.4", "--on-signal", "TERM,USR1")
    run = job.start(*options, "--on-checkpoint-exit", "75", command=(sys.executable, "-c", program))
    folder = job.folder / "images"

    def images() -> list[Path]:
        return sorted(folder.glob("*.crt")) if folder.is_dir() else []

    eventually(lambda: len(images()) >= 3)
    run.send_signal(signal.SIGTERM)
    assert 75 == run.wait(60)
    sizes = [path.stat().st_size for path in images()]
    assert 1 == sum(size > 32 << 20 for size in sizes)
    assert max(sorted(sizes)[:-1]) < 8 << 20

    images()[0].unlink()
    again = job.run(*options, "--restart-on-crash", "0", command=("true",))
    assert 123 == again.returncode
    assert "is gone" in again.stderr
