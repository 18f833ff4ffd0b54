"""SIGINT while crtool is still being imported: one line, and death by the signal."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from crtool.cli import entry

NOT_FOUND = 127
COUNT = 300 if os.environ.get("CRTOOL_LONG") else 40
IMPORTING = """
import os, runpy, sys
class Tell:
    def find_spec(self, name, path=None, target=None):
        if name == "crtool.cli.main":  # the first that takes time
            os.write(1, b"!")
sys.meta_path.insert(0, Tell())
sys.argv = ["crtool", "verify", "/nowhere"]
runpy.run_module("crtool", run_name="__main__", alter_sys=True)
"""


def interrupted(after: float) -> tuple[int, bytes]:
    """The ending of a crtool that gets SIGINT so many seconds after it has begun, and what it has said."""
    with subprocess.Popen(
        [sys.executable, "-c", IMPORTING], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert b"!" == process.stdout.read(1)
        time.sleep(after)
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=60)[1]
    return process.returncode, said


def test_no_trace_at_any_instant() -> None:
    began = time.monotonic()
    subprocess.run([sys.executable, "-c", IMPORTING], capture_output=True, check=False)
    whole = time.monotonic() - began
    chance = random.Random(1)

    endings = [interrupted(chance.uniform(0, whole / 2)) for _ in range(COUNT)]

    assert [] == [said for _, said in endings if b"Traceback" in said or b"Exception ignored" in said]
    assert (-signal.SIGINT, b"crtool: interrupted by SIGINT\n") in endings
    assert {-signal.SIGINT, NOT_FOUND} >= {status for status, _ in endings}


def test_sigint_that_is_ignored_stays_so() -> None:
    """As nohup(1), or a shell for its background, has it."""
    code = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\n" + IMPORTING
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert b"!" == process.stdout.read(1)
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=60)[1]
    assert NOT_FOUND == process.returncode
    assert b"interrupted" not in said


@pytest.mark.parametrize("module", ["crtool", "crtool.cli", "crtool.cli.entry"])
def test_what_comes_before_the_handler_takes_no_time(module: str) -> None:
    """Nothing is imported that is not in every Python that runs a module or a script."""
    code = f"import sys, runpy; before = set(sys.modules); import {module}; print(*set(sys.modules) - before)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert {"gc", "crtool", "crtool.cli", "crtool.cli.entry"} >= set(found)


def test_the_command_and_the_module_begin_there() -> None:
    root = Path(__file__).parents[2]
    assert f'crtool = "{entry.__name__}:run"' in (root / "pyproject.toml").read_text()
    assert f"from {entry.__name__} import run" in (root / "crtool/__main__.py").read_text()
    assert f"from {entry.__name__} import run" in (root / "scripts/make_pyz.py").read_text()


def test_an_interruption_where_python_drops_it_comes_a_moment_later() -> None:
    """In the callback of a weak reference, of which the import system has one for each lock of a module."""
    code = """
import signal, sys, weakref
from crtool.cli.ending import Interrupted, listen_to_signals
class Lock: pass
names = {"signal": signal}
text = "def cb(ref):\\n  signal.raise_signal(2)\\n  done.append(1)"
exec(compile(text, "<frozen importlib._bootstrap>", "exec"), names)
names["done"] = done = []
listen_to_signals()
lock = Lock()
reference = weakref.ref(lock, names["cb"])
try:
    del lock
    len(done)
    print("not interrupted")
except Interrupted as reason:
    print("interrupted", reason.number, done, sys.getprofile())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert ("interrupted 2 [1] None\n", "") == (done.stdout, done.stderr)
