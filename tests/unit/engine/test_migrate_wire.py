"""What the other end of a migration says, and what is no word of it."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest

from crtool.engine.migrate import watchful
from crtool.engine.migrate_wire import failure, said
from crtool.errors import EnvironmentDiffers, InternalError

RESULT = {"pid": 7, "pidns": True, "reason": None, "warnings": ["one"]}
FAILURE = {"status": 126, "message": "no room", "remedy": "make some"}


def _said(line: bytes) -> tuple[str, Any]:
    theirs, ours = os.pipe()
    try:
        os.write(ours, line)
        os.close(ours)
        return said(theirs)
    finally:
        os.close(theirs)


@pytest.mark.parametrize(
    ("key", "value"),
    [("hello", 1), ("ready", 4711), ("running", RESULT), ("failed", FAILURE), ("failed", {**FAILURE, "remedy": None})],
)
def test_its_words(key: str, value: Any) -> None:
    assert (key, value) == _said(json.dumps({key: value}).encode() + b"\n")


@pytest.mark.parametrize(
    "line",
    [
        {"failed": 5},
        {"failed": {**FAILURE, "status": []}},
        {"failed": {**FAILURE, "status": True}},
        {"failed": {"status": 126, "remedy": ""}},
        {"failed": {**FAILURE, "remedy": 1}},
        {"running": 7},
        {"running": {**RESULT, "pid": "7"}},
        {"running": {**RESULT, "warnings": None}},
        {"running": {**RESULT, "warnings": [1]}},
        {"running": {**RESULT, "reason": 1}},
        {"running": {**RESULT, "pidns": 1}},
        {"hello": "1"},
        {"ready": None},
        {"hallo": 1},
        {"hello": 1, "ready": 1},
        {},
        [],
        None,
    ],
)
def test_what_is_none_is_a_broken_connection(line: Any) -> None:
    assert ("", None) == _said(json.dumps(line).encode() + b"\n")


@pytest.mark.parametrize("line", [b"", b'{"hello": 1}', b"\n", b"Welcome!\n", b"\xff\n", b"[" * 50_000 + b"\n"])
def test_so_is_what_is_no_line_of_json(line: bytes) -> None:
    assert ("", None) == _said(line)


def test_a_failure_there_is_the_same_error_here() -> None:
    error = failure("worker2", FAILURE)

    assert (EnvironmentDiffers, "worker2: no room", "make some") == (type(error), error.message, error.remedy)
    assert InternalError is type(failure("worker2", {**FAILURE, "status": 1}))


def test_ssh_is_told_to_notice_a_silent_connection() -> None:
    words = watchful(["/usr/bin/ssh", "-p", "2222"])

    assert ["/usr/bin/ssh", "-p", "2222"] == words[:3]
    assert "ServerAliveInterval=20" in words
    assert ["./mine", "x"] == watchful(["./mine", "x"])
