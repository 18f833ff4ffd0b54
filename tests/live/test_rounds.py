"""One program that is saved, ended and brought back again and again, each time from where it was."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from crtool.engine.checkpoint import checkpoint
from crtool.engine.restart import restart
from crtool.procfs.read import read

from .harness.processes import Deadline, all_ended, reap_all

ROUNDS = 500 if os.environ.get("CRTOOL_LONG") else 40
PATIENCE = 60.0
SIZE = 1 << 20
PROGRAM = f"""
import hashlib, os, signal, sys
state, count = bytearray(hashlib.shake_256(b"seed").digest({SIZE})), 0
out = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
def step(*_):
    global count
    count += 1
    at = count * 7919 % ({SIZE} - 32)
    state[at : at + 32] = hashlib.sha256(state).digest()
    os.write(out, hashlib.sha256(state).hexdigest().encode() + b"\\n")
signal.signal(signal.SIGUSR1, step)
os.write(out, b"ready\\n")
while True:
    signal.pause()
"""
"""Each SIGUSR1 changes its state and has it tell the checksum of that."""


def test_the_state_is_that_of_a_program_that_was_never_away(tmp_path: Path) -> None:
    out, image, null = tmp_path / "out", tmp_path / "image", subprocess.DEVNULL
    with all_ended():
        target = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(out)], stdin=null, stdout=null, stderr=null, start_new_session=True
        )
        await_lines(out, 1)
        pid, has = target.pid, what_it_has(target.pid)
        for number, expected in zip(range(ROUNDS), checksums(), strict=False):
            checkpoint(pid, image, leave="killed", force=True)
            reap_all({pid})
            restart(image, detach=True)

            assert has == what_it_has(pid), f"round {number}"
            os.kill(pid, signal.SIGUSR1)
            await_lines(out, number + 2)
            assert expected == out.read_text().splitlines()[-1], f"round {number}"
        target.returncode = 0  # waited for above


def checksums() -> Iterator[str]:
    """What the program says, step by step."""
    state, count = bytearray(hashlib.shake_256(b"seed").digest(SIZE)), 0
    while True:
        count += 1
        at = count * 7919 % (SIZE - 32)
        state[at : at + 32] = hashlib.sha256(state).digest()
        yield hashlib.sha256(state).hexdigest()


def what_it_has(pid: int) -> tuple[list[bytes], list[str]]:
    """Mappings, of which none may be added or lost, and descriptors."""
    mappings = [line.split()[0] for line in read(pid, "maps").splitlines() if b"[heap]" not in line]
    return mappings, sorted(os.listdir(f"/proc/{pid}/fd"))


def await_lines(file: Path, count: int) -> None:
    Deadline(PATIENCE, f"{count} lines").wait_until(lambda: file.exists() and file.read_bytes().count(b"\n") >= count)
