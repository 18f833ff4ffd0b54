"""``crtool restart``."""

from __future__ import annotations

import json
import os
import signal
from dataclasses import replace

import pytest

from crtool.cli.ending import finish

from .engine import RESTART, child


def test_by_default_it_waits_and_says_nothing(run, engine):
    engine.results["restart"] = replace(RESTART, status=0)

    ending = run("restart", "a.crt")

    assert (0, "", "") == (ending.status, ending.stdout, ending.stderr)
    verb, arguments, options = engine.call
    del options["running"]
    wanted = {
        "detach": False,
        "leave_stopped": False,
        "pidfile": None,
        "pidns": None,
        "clock": "auto",
        "tcp": "keep",
        "trust": False,
        "files": "refuse",
        "parents": (),
        "signal": 0,
        "own": False,
        "lazy": False,
        "detach_image": False,
        "keys": None,
        "done": finish,
    }
    assert ("restart", ("a.crt",), wanted) == (verb, arguments, options)


def test_lazy(run, engine):
    run("restart", "-d", "--lazy", "--detach-image", "a.crt")

    assert (True, True) == (engine.call[2]["lazy"], engine.call[2]["detach_image"])


@pytest.mark.parametrize("options", [("-d",), ("--lazy",), ()])
def test_only_what_is_lazy_and_returns_can_wait_for_its_memory(run, options):
    ending = run("restart", *options, "--detach-image", "a.crt")

    assert 120 == ending.status
    assert "--detach-image goes with --lazy and --detach" in ending.stderr


def test_detached_it_says_what_runs(run, engine):
    ending = run("restore", "-d", "--pidfile", "a.pid", "a.crt")

    assert (True, "a.pid") == (engine.call[2]["detach"], engine.call[2]["pidfile"])
    assert "PID 4711 is back and running: 3 processes, 12 ms\n" == ending.stdout


@pytest.mark.parametrize("option", ["-s", "--leave-stopped"])
def test_stopped(run, engine, option):
    ending = run("restart", "-d", option, "a.crt")

    assert engine.call[2]["leave_stopped"]
    assert "PID 4711 is back and stopped: 3 processes, 12 ms\n" == ending.stdout


def test_quiet(run):
    assert "" == run("restart", "-dq", "a.crt").stdout


def test_json(run, engine):
    engine.results["restart"] = replace(RESTART, status=3 << 8)

    ending = run("restart", "--json", "a.crt")

    found = json.loads(ending.stdout)
    assert {"pid": 4711, "processes": 3, "wall_seconds": 0.012, "warnings": [], "status": 768} == {
        name: found[name] for name in ("pid", "processes", "wall_seconds", "warnings", "status")
    }
    assert (False, False, False) == (found["pidns"], found["userns"], found["timens"])
    assert 3 == ending.status


@pytest.mark.parametrize("code", [0, 1, 120, 255])
def test_the_status_of_the_program_is_passed_on(run, engine, code):
    engine.results["restart"] = replace(RESTART, status=code << 8)

    assert code == run("restart", "a.crt").status


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGINT, signal.SIGRTMIN + 3])
def test_it_dies_by_the_signal_that_the_program_died_by(number):
    code = f"crtool.restart = lambda image, **options: crtool.RestartResult(1, 1, 0.1, status={int(number)})"
    process = child(code, "restart", "a.crt")
    out, err = process.communicate(timeout=30)

    assert -number == process.returncode
    assert ("", "") == (out, err)


def test_no_second_core_file(tmp_path):
    status = signal.SIGSEGV | 0x80  # with a core file, wait(2)
    code = f"crtool.restart = lambda image, **options: crtool.RestartResult(1, 1, 0.1, status={status})"
    process = child(code, "restart", "a.crt", cwd=tmp_path)
    process.stdout.close()
    process.stderr.close()
    _, found = os.waitpid(process.pid, 0)
    process.returncode = 0  # reaped

    assert signal.SIGSEGV == os.WTERMSIG(found)
    assert not os.WCOREDUMP(found)


def test_an_image_from_a_pipe(run, engine, monkeypatch):
    with open(os.devnull) as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        run("restart", "-d", "-")

    (source,) = engine.call[1]
    assert isinstance(source, int)


def test_an_image_in_a_folder(run, engine):
    run("restart", "-d", "-D", "images", "a.crt")

    assert ("images/a.crt",) == engine.call[1]


def test_the_only_image_in_a_folder(run, engine, tmp_path):
    (tmp_path / "a.crt").touch()
    (tmp_path / "notes.txt").touch()

    run("restart", "-d", "-D", str(tmp_path))

    assert (str(tmp_path / "a.crt"),) == engine.call[1]


@pytest.mark.parametrize(
    ("names", "status", "found"),
    [((), 127, "has no image (*.crt)"), (("a.crt", "b.crt"), 123, "has no whole image: all 2 are damaged")],
)
def test_a_folder_without_a_whole_image(run, engine, tmp_path, names, status, found):
    for name in names:
        (tmp_path / name).touch()

    ending = run("restart", "-D", str(tmp_path))

    assert status == ending.status
    assert f"crtool: {tmp_path} {found}\n" in ending.stderr
    assert not engine.calls


def test_a_folder_that_is_not_there(run, engine, tmp_path):
    ending = run("restart", "-D", str(tmp_path / "none"))

    assert 127 == ending.status
    assert not engine.calls


def test_without_an_image_there_is_nothing_to_do(run, engine):
    ending = run("restart")

    assert 120 == ending.status
    assert ending.stderr.startswith("crtool: which image?\n  ")
    assert not engine.calls


def test_warnings_are_said_at_once(run, engine):
    engine.results["restart"] = replace(RESTART, warnings=("the file has grown",))

    assert "crtool: warning: the file has grown\n" == run("restart", "-dq", "a.crt").stderr


NAMESPACE = replace(RESTART, pid=90, own_pid=812, pidns=True)


def test_a_pid_namespace_is_said(run, engine):
    engine.results["restart"] = replace(NAMESPACE, reason="PID 812 is now sshd")

    assert "crtool: PID 812 is now sshd; in a PID namespace of its own PID 812 is PID 90 of this one\n" == (
        run("restart", "-d", "a.crt").stderr
    )
    assert "" == run("restart", "-dq", "a.crt").stderr


def test_stages_are_said(run, engine):
    engine.results["restart"] = replace(RESTART, stages={"births": 0.25})

    assert "births      250 ms  started the processes, with their PIDs\n" == run("restart", "-dv", "a.crt").stderr


@pytest.mark.parametrize(("option", "value"), [("--pidns", True), ("--no-pidns", False)])
def test_with_and_without_a_pid_namespace(run, engine, option, value):
    run("restart", "-d", option, "a.crt")

    assert value is engine.call[2]["pidns"]


def test_clocks(run, engine):
    run("restart", "-d", "--clock", "continue", "a.crt")

    assert "continue" == engine.call[2]["clock"]
    assert 120 == run("restart", "--clock", "never", "a.crt").status
