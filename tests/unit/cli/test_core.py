"""``crtool core``: the command line; the core files themselves are in tests/live/test_core.py."""

from __future__ import annotations

import json

import pytest

from crtool.engine import core as engine_core
from crtool.engine.results import CoreResult


@pytest.fixture
def asked(monkeypatch):
    """What the engine was asked for."""
    calls = []

    def core(*args, progress, keys, done, **options):
        calls.append((args, options))
        return CoreResult("core.10", 5 << 20, 10, 2, "/opt/my program")

    monkeypatch.setattr(engine_core, "core", core)
    return calls


def test_it_says_how_to_go_on(run, asked):
    ending = run("core", "a.crt")

    assert [(("a.crt", None), {"pid": None, "force": False})] == asked
    assert ["core.10: PID 10, 2 threads, 5.0 MiB", "  gdb '/opt/my program' core.10"] == ending.stdout.splitlines()


def test_options(run, asked):
    ending = run("core", "a.crt", "-o", "b", "--pid", "11", "--force", "--quiet")

    assert [(("a.crt", "b"), {"pid": 11, "force": True})] == asked
    assert "" == ending.stdout


def test_json(run, asked):
    assert {"path": "core.10", "size": 5 << 20, "pid": 10, "threads": 2, "exe": "/opt/my program"} == json.loads(
        run("core", "--json", "a.crt").stdout
    )


@pytest.mark.parametrize("args", [("a.crt", "-o", "-"), ("-",)])
def test_no_pipe(run, asked, args):
    ending = run("core", *args)

    assert 120 == ending.status
    assert "pipe" in ending.stderr
    assert not asked
