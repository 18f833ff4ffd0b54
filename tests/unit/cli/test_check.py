"""``crtool check``."""

from __future__ import annotations

import json

import pytest

from crtool.engine.results import CheckReport, Feature
from crtool.errors import Obstacle

from .engine import CHECK, OBSTACLE

NEEDED = Feature("ptrace", False, "forbidden by Yama", True)
OTHER = Obstacle(4712, "", "is traced by PID 3 (gdb)", "end that")


def test_the_machine(run, engine):
    ending = run("check")

    policy = {"stdio": "refuse", "tcp": "keep", "unix": "refuse", "files": "names", "sysvipc": False}
    assert ("check", (None,), policy) == engine.call
    assert 0 == ending.status
    assert ("yes      ptrace      may trace\nno       soft-dirty  off\ncheckpoints are possible\n") == ending.stdout


def test_of_a_process_only_what_is_missing_is_told(run, engine):
    said = run("check", "4711").stdout
    more = run("check", "-v", "4711").stdout

    assert "no       soft-dirty  off\na checkpoint of PID 4711 is possible\n" == said
    assert "yes      ptrace      may trace\n" + said == more


@pytest.mark.parametrize(
    ("report", "status"),
    [
        (CHECK, 0),
        (CheckReport(features=()), 0),
        (CheckReport(features=(), warnings=("slow",)), 1),
        (CheckReport(features=(), obstacles=(OBSTACLE,), warnings=("slow",)), 2),
        (CheckReport(features=(NEEDED,)), 2),
    ],
)
@pytest.mark.parametrize("options", [(), ("-q",), ("--json",)])
def test_the_status_is_the_answer(run, engine, report, status, options):
    engine.results["check"] = report

    assert status == run("check", *options).status


def test_all_obstacles_with_their_remedies(run, engine):
    engine.results["check"] = CheckReport(
        features=(NEEDED,), obstacles=(OBSTACLE, OTHER), warnings=("a\nb",), estimated_size=12 << 20
    )

    ending = run("check", "4711")

    assert "" == ending.stderr
    assert [
        "MISSING  ptrace  forbidden by Yama",
        "obstacle: PID 4711 fd 7: io_uring ring cannot be saved",
        "  close it first",
        "obstacle: PID 4712: is traced by PID 3 (gdb)",
        "  end that",
        "warning: a\\nb",
        "a checkpoint of PID 4711 is impossible; the image will have about 12 MiB",
    ] == ending.stdout.splitlines()


def test_with_warnings(run, engine):
    engine.results["check"] = CheckReport(features=(), warnings=("slow",))

    assert "a checkpoint of PID 4711 is possible, with warnings\n" in run("check", "4711").stdout


def test_quiet_is_silent(run, engine):
    engine.results["check"] = CheckReport(features=(), obstacles=(OBSTACLE,))

    ending = run("check", "-q", "4711")

    assert ("", "") == (ending.stdout, ending.stderr)


def test_estimates(run, engine):
    engine.results["check"] = CheckReport(
        features=(), estimated_size=1 << 30, estimated_frozen_seconds=0.032, estimated_copy_seconds=1.007
    )
    expected = (
        "a checkpoint of PID 4711 is possible; the image will have about 1.0 GiB, "
        "and it will stand still for about 32 ms if it goes on, 1.01 s if not\n"
    )
    assert expected == run("check", "4711").stdout


def test_what_the_checkpoint_would_be_told(run, engine):
    options = ("--stdio", "inherit", "--tcp", "close", "--unix", "reconnect", "--files", "content", "--sysvipc")
    run("check", "4711", *options)

    expected = {"stdio": "inherit", "tcp": "close", "unix": "reconnect", "files": "content", "sysvipc": True}
    assert expected == engine.call[2]


def test_json(run, engine):
    engine.results["check"] = CheckReport(features=(NEEDED,), obstacles=(OBSTACLE,))

    found = json.loads(run("check", "--json", "4711").stdout)

    assert {
        "features": [{"name": "ptrace", "available": False, "detail": "forbidden by Yama", "needed": True}],
        "obstacles": [
            {"pid": 4711, "what": "fd 7", "cause": "io_uring ring cannot be saved", "remedy": "close it first"}
        ],
        "warnings": [],
        "estimated_size": None,
        "estimated_frozen_seconds": None,
        "estimated_copy_seconds": None,
    } == found
