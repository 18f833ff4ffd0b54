"""The entry: what ends in which status, and what is said about it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from crtool import __version__
from crtool.errors import (
    EnvironmentDiffers,
    ImageError,
    InternalError,
    NotFound,
    Obstacle,
    ObstacleError,
    RemoteCallError,
    TargetDied,
    TargetError,
    TimeoutExpired,
    UsageError,
)

from .engine import OBSTACLE, child


def importing(module: str) -> set[str]:
    """The modules that importing *module* brings along."""
    code = f"import sys; import {module}; print(*sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return set(found.stdout.split())


def test_version(run):
    assert (0, f"crtool {__version__}\n") == (run("--version").status, run("--version").stdout)


@pytest.mark.parametrize("option", ["-h", "--help"])
def test_help_lists_the_verbs_with_their_aliases(run, option):
    ending = run(option)

    assert 0 == ending.status
    assert "Alias: dump." in ending.stdout
    assert "" == ending.stderr


def test_help_imports_no_verb():
    code = "import sys; from crtool.cli.main import main; main(['--help']); main(['dum']); print(*sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    modules = set(found.stdout.split())

    assert "crtool.cli.main" in modules
    assert not {"crtool.cli.checkpoint", "crtool.cli.show", "crtool.engine.results", "crtool.cli.views"} & modules


@pytest.mark.parametrize("name", ["main", "checkpoint", "restart", "check", "show", "verify", "views"])
def test_what_is_heavy_is_imported_when_it_is_used(name):
    modules = importing(f"crtool.cli.{name}")

    assert not {"rich", "psutil", "msgpack", "xxhash", "crtool.engine", "ctypes", "logging"} & modules


def test_the_package_costs_next_to_nothing():
    assert {"crtool"} == importing("crtool") - importing("importlib, typing, __future__, gc")


def test_without_arguments_it_points_to_the_help(run):
    ending = run()

    assert (120, "") == (ending.status, ending.stdout)
    assert "crtool --help" in ending.stderr


@pytest.mark.parametrize(
    "args", [("--nix",), ("nix",), ("check", "--nix"), ("verify",), ("verify", "a", "b"), ("checkpoint", "--timeout")]
)
def test_usage_errors_are_two_lines_and_120(run, args):
    ending = run(*args)

    assert (120, "") == (ending.status, ending.stdout)
    cause, remedy = ending.stderr.splitlines()
    assert cause.startswith("crtool: ")
    assert remedy.startswith("  ")


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (UsageError("cause", "remedy"), 120),
        (TargetError("cause", "remedy"), 121),
        (ImageError("cause", "remedy"), 123),
        (TimeoutExpired("cause", "remedy"), 124),
        (InternalError("cause", "remedy"), 125),
        (EnvironmentDiffers("cause", "remedy"), 126),
        (NotFound("cause", "remedy"), 127),
    ],
)
def test_cause_remedy_and_status(run, engine, error, status):
    engine.error = error

    ending = run("checkpoint", "4711")

    assert (status, "", "crtool: cause\n  remedy\n") == (ending.status, ending.stdout, ending.stderr)


def test_an_error_without_remedy_is_one_line(run, engine):
    engine.error = TargetDied(4711)

    ending = run("checkpoint", "4711")

    assert (121, "crtool: PID 4711 ended while it was being looked at\n") == (ending.status, ending.stderr)


def test_all_obstacles_are_said(run, engine):
    engine.error = ObstacleError([OBSTACLE, Obstacle(4712, "", "lives\nelsewhere", "go there")])

    ending = run("checkpoint", "4711")

    assert 122 == ending.status
    assert [
        "crtool: PID 4711 fd 7: io_uring ring cannot be saved",
        "  close it first",
        "crtool: PID 4712: lives\\nelsewhere",
        "  go there",
    ] == ending.stderr.splitlines()


@pytest.mark.parametrize("options", [(), ("-v",), ("-vv",)])
def test_what_a_user_can_meet_never_shows_a_trace(run, engine, monkeypatch, options):
    monkeypatch.setenv("CRTOOL_DEBUG", "1")
    engine.error = TargetError("cause", "remedy")

    assert "crtool: cause\n  remedy\n" == run("checkpoint", "4711", *options).stderr


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ValueError("two\nlines"), "unexpected ValueError: two lines"),
        (OSError(28, "No space left on device", "/a"), "No space left on device: /a"),
        (OSError(5, "Input/output error"), "Input/output error"),
    ],
)
def test_what_nobody_foresaw_is_one_line_too(run, engine, error, line):
    engine.error = error

    ending = run("checkpoint", "4711")

    assert 125 == ending.status
    assert [f"crtool: {line}", "  run it again with CRTOOL_DEBUG=1 and report what it prints"] == (
        ending.stderr.splitlines()
    )


@pytest.mark.parametrize(
    ("error", "line", "remedy"),
    [
        (MemoryError(), "no memory is left, or a limit on it is reached", "vm.max_map_count"),
        (OSError(12, "clone: Cannot allocate memory"), "no memory is left, or a limit on it is reached", "free some"),
        (OSError(23, "Too many open files in system", "/a"), "/a: the machine has too many files open", "fs.file-max"),
        (OSError(24, "Too many open files"), "too many files are open at once", "ulimit -n"),
        (ImportError("libcrypto.so.3"), "Python cannot load what crtool needs: libcrypto.so.3", "ulimit -v"),
        (
            RemoteCallError("mmap", [0], 12, 4711),
            "PID 4711: mmap(0) failed: Cannot allocate memory (ENOMEM): no memory is left, or a limit on it is reached",
            "free some",
        ),
    ],
)
def test_what_the_machine_has_no_more_of_is_no_failure_of_crtool(run, engine, error, line, remedy):
    engine.error = error

    ending = run("checkpoint", "4711")

    said, told = ending.stderr.splitlines()
    assert (126, f"crtool: {line}", True) == (ending.status, said, remedy in told)


@pytest.mark.parametrize(("options", "debug"), [(("-vv",), "0"), ((), "1")])
@pytest.mark.parametrize("error", [ValueError("x"), RemoteCallError("mmap", [0], 22, 4711)])
def test_a_trace_for_those_who_ask(run, engine, monkeypatch, options, debug, error):
    monkeypatch.setenv("CRTOOL_DEBUG", debug)
    engine.error = error

    ending = run("checkpoint", "4711", *options)

    assert 125 == ending.status
    assert "Traceback" in ending.stderr
    assert ending.stderr.splitlines()[-1].startswith("crtool: ")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_cleans_up_says_one_line_and_kills(number):
    code = """
import time
def verify(image, progress, parents, deep, keys):
    try:
        print("under way", flush=True)
        time.sleep(60)
    finally:
        print("cleaned up", flush=True)
crtool.verify = verify
"""
    process = child(code, "verify", "a.crt")
    assert "under way\n" == process.stdout.readline()
    process.send_signal(number)
    out, err = process.communicate(timeout=30)

    assert -number == process.returncode
    assert ("cleaned up\n", f"crtool: interrupted by {number.name}\n") == (out, err)


def test_what_was_ignored_stays_ignored():
    code = """
import os, signal
def verify(image, progress, parents, deep, keys):
    os.kill(os.getpid(), signal.SIGHUP)
    return crtool.VerifyResult(1, ())
crtool.verify = verify
"""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        process = child(code, "verify", "a.crt")
    finally:
        signal.signal(signal.SIGHUP, before)
    process.communicate(timeout=30)

    assert 0 == process.returncode


def test_a_reader_who_goes_away_is_no_error():
    code = """
crtool.show = lambda image, keys: crtool.ImageSummary(1, "", "", "", 1, 1, (), 1)
sys.stdin.read()
"""
    process = child(code, "show", "a.crt", stdin=subprocess.PIPE)
    process.stdout.close()
    process.stdin.close()
    err = process.stderr.read()
    process.stderr.close()

    assert (-signal.SIGPIPE, "") == (process.wait(timeout=30), err)


@pytest.mark.parametrize("redirection", [">&-", "2>&-", ">&- 2>&-"])
def test_closed_streams_are_no_reason_to_fail(redirection):
    for args, status in (("--version", 0), ("nix", 120)):
        command = f"exec {sys.executable} -m crtool {args} {redirection}"

        assert status == subprocess.run(["sh", "-c", command], timeout=30).returncode


def test_python_m(tmp_path):
    done = subprocess.run([sys.executable, "-m", "crtool", "--version"], capture_output=True, text=True)

    assert (0, f"crtool {__version__}\n", "") == (done.returncode, done.stdout, done.stderr)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(shell):
    environment = {**os.environ, "_CRTOOL_COMPLETE": f"{shell}_source"}
    done = subprocess.run([sys.executable, "-m", "crtool"], env=environment, capture_output=True, text=True)

    assert 0 == done.returncode
    assert "_CRTOOL_COMPLETE" in done.stdout


def test_a_word_is_completed():
    environment = {**os.environ, "_CRTOOL_COMPLETE": "bash_complete", "COMP_WORDS": "crtool ver", "COMP_CWORD": "1"}
    done = subprocess.run([sys.executable, "-m", "crtool"], env=environment, capture_output=True, text=True)

    assert "plain,verify\n" == done.stdout


def test_a_narrow_encoding_is_no_reason_to_fail():
    environment = {**os.environ, "PYTHONIOENCODING": "latin-1"}
    code = 'crtool.show = lambda image, keys: crtool.ImageSummary(1, "x", "Linux \\u2212", "", 1, 1, (), 1)'
    process = child(code, "show", "a.crt", env=environment)
    out, err = process.communicate(timeout=30)

    assert (0, "") == (process.returncode, err)
    assert "Linux \\u2212" in out
