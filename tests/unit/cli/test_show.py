"""``crtool show``."""

from __future__ import annotations

import json
from dataclasses import replace

from .engine import CHILD, ROOT, SHOW


def test_the_summary(run, engine):
    ending = run("show", "a.crt")

    assert ("show", ("a.crt", None), {}) == engine.call
    assert [
        "image      a.crt: format 1, 3.0 MiB",
        "written    2026-01-02T03:04:05Z",
        "machine    x86_64, Linux 6.18",
        "processes  2 processes, 3 threads, root PID 10",
        "data       2.0 MiB",
        "terminal   /dev/pts/3",
        "",
        "    PID    PPID    PGID     SID S THREADS    MEMORY  COMMAND",
        "     10       1      10      10 S       1   4.0 KiB  sh -c work",
        "     11      10      10      10 R       2   2.0 MiB    [evil\\nname]",
    ] == ending.stdout.splitlines()


def test_only_what_is_asked_for(run):
    lines = run("show", "--ps", "a.crt").stdout.splitlines()

    assert lines[0].split() == ["PID", "PPID", "PGID", "SID", "S", "THREADS", "MEMORY", "COMMAND"]
    assert 3 == len(lines)


def test_what_is_not_shown_is_said(run, engine):
    engine.results["show"] = replace(SHOW, warnings=("half of it",))

    assert ["crtool: warning: half of it"] == run("show", "a.crt").stderr.splitlines()
    assert ["half of it"] == json.loads(run("show", "--json", "a.crt").stdout)["warnings"]


def test_descriptors(run):
    assert [
        "PID 10  sh -c work",
        "      0  pipe  read end",
        "     11  file  /tmp/a\\x1b[31m",
        "PID 11  [evil\\nname]",
    ] == run("show", "--fds", "a.crt").stdout.splitlines()


def test_mappings(run):
    assert [
        "PID 10  sh -c work",
        "  000000001000-000000003000 r-xp         -  /bin/sh",
        "  7f0000000000-7f0000001000 rw-p   4.0 KiB  [heap]",
        "PID 11  [evil\\nname]",
    ] == run("show", "--maps", "a.crt").stdout.splitlines()


def test_environment_only_when_asked_for(run):
    assert "HOME=/root" not in run("show", "a.crt").stdout
    assert ["PID 10  sh -c work", "  HOME=/root", "  A=b", "PID 11  [evil\\nname]"] == run(
        "show", "--env", "a.crt"
    ).stdout.splitlines()


def test_sockets(run):
    assert [
        "PID 10  sh -c work",
        "      5  tcp      10.0.0.1:22 → 10.0.0.2:4000  established",
        "      6  udp      *",
        "PID 11  [evil\\nname]",
    ] == run("show", "--sockets", "a.crt").stdout.splitlines()


def test_signals(run):
    assert [
        "PID 10  sh -c work",
        "     15  SIGTERM       caught",
        "     34  SIGRTMIN+0    default  blocked by all threads, 3 waiting",
        "PID 11  [evil\\nname]",
    ] == run("show", "--signals", "a.crt").stdout.splitlines()


def test_signals_that_only_some_threads_block(run, engine):
    signal = replace(ROOT.signals[1], blocked=(12, 13))
    engine.results["show"] = replace(SHOW, processes=(replace(ROOT, threads=3, signals=(signal,)),))

    assert "default  blocked by threads 12, 13, 3 waiting" in run("show", "--signals", "a.crt").stdout


def test_timers(run):
    assert [
        "PID 10  sh -c work",
        "  timer 3         CLOCK_MONOTONIC  in 250 ms, every 2.00 s; sends SIGUSR1",
        "  fd 7            CLOCK_REALTIME   off; 2 unread",
        "PID 11  [evil\\nname]",
    ] == run("show", "--timers", "a.crt").stdout.splitlines()


def test_several_at_once(run):
    parts = run("show", "--fds", "--env", "a.crt").stdout.split("\n\n")

    assert ["PID 10  sh -c work"] * 2 == [part.splitlines()[0] for part in parts]


def test_json(run):
    found = json.loads(run("show", "--json", "a.crt").stdout)

    assert [10, 11] == [process["pid"] for process in found["processes"]]
    assert "evil\nname" == found["processes"][1]["comm"]


def test_a_deep_tree_is_shown_in_order(run, engine):
    chain = tuple(replace(CHILD, pid=pid, ppid=pid - 1) for pid in range(11, 3000))
    twin = replace(CHILD, pid=5000, ppid=10)
    engine.results["show"] = replace(SHOW, processes=(ROOT, twin, *chain))

    lines = run("show", "--ps", "a.crt").stdout.splitlines()[1:]

    assert [10, 5000, *range(11, 3000)] == [int(line.split()[0]) for line in lines]
