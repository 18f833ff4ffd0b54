"""Options that several verbs share."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize(
    ("typed", "seconds"), [("3", 3), ("90s", 90), ("2.5m", 150), (".5", 0.5), ("1h", 3600), ("1d", 86400)]
)
def test_a_duration_is_one_of_timeout(run, engine, typed, seconds):
    assert 0 == run("checkpoint", "1", "--timeout", typed).status
    assert seconds == engine.call[2]["timeout"]


@pytest.mark.parametrize("typed", ["", "0", "-1", "3x", "s", "1 s", "inf", "nan", "٣"])
def test_nonsense_is_no_duration(run, engine, typed):
    ending = run("checkpoint", "1", f"--timeout={typed}")

    assert 120 == ending.status
    assert "is no duration" in ending.stderr
    assert not engine.calls


@pytest.mark.parametrize("verb", ["checkpoint", "check"])
@pytest.mark.parametrize("args", [("4711",), ("-t", "4711"), ("--tree", "4711"), ("-t4711", "4711")])
def test_a_pid_may_come_in_two_ways(run, engine, verb, args):
    run(verb, *args)

    assert 4711 == engine.call[1][0]


@pytest.mark.parametrize("typed", ["0", "x", "1.5", "", "+1", "1_0", "99999999999", "2147483648", "٣"])
@pytest.mark.parametrize("before", [(), ("-t",)])
def test_nonsense_is_no_pid(run, engine, typed, before):
    ending = run("checkpoint", *before, typed)

    assert 120 == ending.status
    assert "is no PID" in ending.stderr
    assert not engine.calls


def test_two_processes_are_one_too_many(run, engine):
    ending = run("checkpoint", "1", "-t", "2")

    assert 120 == ending.status
    assert "crtool: two processes are given: 1 and 2" in ending.stderr
    assert not engine.calls


@pytest.mark.parametrize(
    "args",
    [("checkpoint", "1", "-j", "--tcp-established"), ("restart", "-j", "--shell-job", "--tcp-established", "a.crt")],
)
def test_habits_of_criu_users_are_understood_silently(run, engine, args):
    ending = run(*args)

    assert 0 == ending.status
    assert "" == ending.stderr
    assert not {"shell_job", "tcp_established"} & set(engine.call[2])


@pytest.mark.parametrize("verb", ["checkpoint", "restart", "check", "show", "verify"])
def test_an_option_that_is_nearly_right_is_suggested(run, verb):
    ending = run(verb, "--jsno", "1")

    assert 120 == ending.status
    cause, remedy = ending.stderr.splitlines()
    assert "crtool: no such option '--jsno'" == cause
    assert remedy.startswith("  did you mean --json")
    assert remedy.endswith(f"? see crtool {verb} --help")


@pytest.mark.parametrize("verb", ["restart", "show", "verify"])
def test_a_terminal_is_no_image(run, engine, monkeypatch, verb):
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)

    ending = run(verb, "-")

    assert 120 == ending.status
    assert "standard input is no image" in ending.stderr
    assert not engine.calls
