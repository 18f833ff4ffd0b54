"""``crtool diff``: the command line; what it finds is in tests/live/test_diff.py."""

from __future__ import annotations

import json

import pytest

from crtool.engine import diff as engine_diff
from crtool.engine.results import Change, ImageDifference

CHANGES = (
    Change(10, "process", "changed", "threads", "1", "2"),
    Change(10, "descriptor", "went", "fd 3", "file /tmp/a\n at 0", ""),
    Change(10, "mapping", "came", "1000", "", "1000-2000 rw-p [heap]"),
    Change(10, "pages", "changed", "1000-2000 [heap]", pages=1),
    Change(11, "process", "came", "sh -c work"),
)


@pytest.fixture
def changes(monkeypatch):
    """What the engine finds, to be changed by a test."""
    found = list(CHANGES)

    def diff(before, after, progress, keys):
        return ImageDifference(before, after, tuple(found), 1 if found else 0)

    monkeypatch.setattr(engine_diff, "diff", diff)
    return found


def test_lines(run, changes):
    ending = run("diff", "a.crt", "b.crt")

    assert 1 == ending.status
    assert [
        "PID 10",
        "  ~ process threads: 1 → 2",
        "  - descriptor fd 3: file /tmp/a\\n at 0",
        "  + mapping: 1000-2000 rw-p [heap]",
        "  ~ 1 page of 1000-2000 [heap]",
        "PID 11",
        "  + process sh -c work",
        "5 differences, 1 page changed",
    ] == ending.stdout.splitlines()


def test_no_difference(run, changes):
    changes.clear()
    ending = run("diff", "a.crt", "b.crt")

    assert (0, "0 differences\n") == (ending.status, ending.stdout)


def test_json(run, changes):
    found = json.loads(run("diff", "--json", "a.crt", "b.crt").stdout)

    assert ("a.crt", "b.crt", 5, 1) == (found["before"], found["after"], len(found["changes"]), found["pages"])
