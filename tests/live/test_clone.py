"""Running copies of a tree, side by side."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from .harness.command import crtool
from .harness.processes import Deadline, descendants, end, family

CRTOOL = [sys.executable, "-m", "crtool"]

# Counts in memory; each copy says its PID, its namespace and where it stands, into a file of its own.
_COUNTER = """
import os, signal, sys, time
count = 0
def told(number, frame):
    name = os.path.basename(os.readlink("/proc/self/ns/pid"))
    with open(name + ".new", "w") as file:
        print(os.getpid(), count, file=file)
    os.rename(name + ".new", name)
signal.signal(signal.SIGUSR1, told)
signal.signal(signal.SIGTERM, lambda number, frame: os._exit(7))
if os.fork() == 0:
    while True: signal.pause()
print("ready", flush=True)
while True:
    count += 1
    time.sleep(0.01)
"""


@pytest.fixture
def counter(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    before = descendants()
    with open(tmp_path / "out", "wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-c", _COUNTER], stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd=tmp_path,
            start_new_session=True, text=True,
        )  # fmt: skip
    Deadline(30, "ready").wait_until(lambda: (tmp_path / "out").read_text() == "ready\n")
    yield process
    end(descendants() - before)
    process.wait()


def test_copies_run_beside_the_original_with_its_pids(counter: subprocess.Popen[str], tmp_path: Path) -> None:
    done = crtool("clone", "-d", "-n", 3, counter.pid)

    assert 0 == done.returncode, done.stderr
    copies = [int(line) for line in done.stdout.split()]
    assert 3 == len({*copies, counter.pid} - {counter.pid})
    assert 4 == len({os.readlink(f"/proc/{pid}/ns/pid") for pid in (counter.pid, *copies)})
    for pid in (counter.pid, *copies):
        assert 2 == len(family(pid))
        said = tmp_path / os.readlink(f"/proc/{pid}/ns/pid")
        os.kill(pid, signal.SIGUSR1)
        Deadline(30, f"word of PID {pid}").wait_until(said.exists)
        assert counter.pid == int(said.read_text().split()[0])
    assert f"PID {counter.pid} goes on, beside 3 copies of 2 processes" in done.stderr


def test_signals_go_to_all_copies_and_their_status_comes_back(counter: subprocess.Popen[str], tmp_path: Path) -> None:
    with open(tmp_path / "json", "w") as out:
        waiting = subprocess.Popen([*CRTOOL, "clone", "-n", "2", "--json", str(counter.pid)], stdout=out, stderr=out,
                                   stdin=subprocess.DEVNULL, start_new_session=True)  # fmt: skip

    def copies() -> list[int]:
        return [pid for pid in descendants() - {counter.pid} if len(numbers(pid)) == 2 and numbers(pid)[1] != 1]

    # Said when they all run.
    Deadline(60, "two copies").wait_until(lambda: "goes on, beside" in (tmp_path / "json").read_text())
    assert 4 == len(copies())
    waiting.send_signal(signal.SIGTERM)

    assert 7 == waiting.wait(60)
    text = (tmp_path / "json").read_text()
    assert [7 << 8, 7 << 8] == json.loads(text[text.index("{") :])["statuses"]
    assert counter.poll() is None


def numbers(pid: int) -> list[int]:
    try:
        text = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return []
    return [int(word) for word in text.partition("NSpid:")[2].partition("\n")[0].split()]


_LISTENER = """
import socket, time
held = [socket.socket() for _ in range(2)] + [socket.socket(socket.AF_UNIX)]
held[0].bind(("127.0.0.1", 0)); held[0].listen()
held[1].setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
held[1].bind(("127.0.0.1", 0)); held[1].listen()
held[2].bind("here"); held[2].listen()
print(held[0].getsockname()[1], held[0].fileno(), held[2].fileno(), flush=True)
time.sleep(1000)
"""


def test_what_only_one_can_have_is_named_before_anybody_is_born(tmp_path: Path) -> None:
    with open(tmp_path / "out", "wb") as out:
        target = subprocess.Popen([sys.executable, "-c", _LISTENER], stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                  cwd=tmp_path, start_new_session=True)  # fmt: skip
    try:
        Deadline(30, "ready").wait_until(lambda: (tmp_path / "out").read_text().endswith("\n"))
        port, first, second = (tmp_path / "out").read_text().split()
        done = crtool("clone", "-d", target.pid)

        assert 122 == done.returncode
        assert [
            f"crtool: PID {target.pid} fd {first}: listens on 127.0.0.1:{port}, where only one can",
            "  make the copies before it binds that",
            f"crtool: PID {target.pid} fd {second}: is unix socket here, a name that only one can have",
            "  make the copies before it binds that",
        ] == done.stderr.splitlines()
        with socket.create_connection(("127.0.0.1", int(port)), timeout=10):
            assert target.poll() is None
    finally:
        target.kill()
        target.wait()


def test_if_one_copy_fails_none_is_left(counter: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch) -> None:
    from crtool.engine import clone as module
    from crtool.errors import EnvironmentDiffers

    before, done = descendants(), []

    def restart(*arguments, **options):
        if len(done) == 2:
            raise EnvironmentDiffers("no more", "stop")
        done.append(genuine(*arguments, **options))
        return done[-1]

    genuine = module.restart
    monkeypatch.setattr(module, "restart", restart)
    with pytest.raises(EnvironmentDiffers, match="no more"):
        module.clone(counter.pid, 3, detach=True)

    assert 2 == len(done)
    assert set() == descendants() - before
    assert counter.poll() is None


def test_if_nobody_can_be_told_of_the_copies_none_is_left(counter: subprocess.Popen[str]) -> None:
    from crtool.engine.clone import clone

    before, told = descendants(), []

    def running(result):
        told.append(result)
        raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        clone(counter.pid, 2, running=running)

    assert [2] == [len(result.copies) for result in told]
    assert set() == descendants() - before
    assert counter.poll() is None
