"""Words for a human."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crtool.cli.text import as_json, count, duration, printable, size
from crtool.engine.results import RestartResult

from .engine import SHOW


@pytest.mark.parametrize(
    ("nbytes", "words"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (10 * 1024 - 1, "10 KiB"),
        (1024 * 1024 - 1, "1.0 MiB"),
        (12 << 20, "12 MiB"),
        ((4 << 30) + (300 << 20), "4.3 GiB"),
        (5 << 70, "5120 EiB"),
    ],
)
def test_size(nbytes, words):
    assert words == size(nbytes)


@given(st.integers(0, 1 << 66))
def test_a_size_has_at_most_four_digits(nbytes):
    number, _ = size(nbytes).split()

    assert len(number) <= 4


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0.0 ms"),
        (0.0042, "4.2 ms"),
        (0.00999, "10 ms"),
        (0.0864, "86 ms"),
        (0.9996, "1.00 s"),
        (1.25, "1.25 s"),
        (59.999, "1 min 00 s"),
        (125.2, "2 min 05 s"),
    ],
)
def test_duration(seconds, words):
    assert words == duration(seconds)


@pytest.mark.parametrize(
    ("number", "noun", "words"),
    [(1, "process", "1 process"), (2, "process", "2 processes"), (0, "page", "0 pages"), (1234, "page", "1,234 pages")],
)
def test_count(number, noun, words):
    assert words == count(number, noun)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain – ünïcode", "plain – ünïcode"),
        ("a\x1b[31mred", "a\\x1b[31mred"),
        ("two\nlines", "two\\nlines"),
        ("caf\udce9", "caf\\xe9"),
        ("\u202eright to left", "\\u202eright to left"),
    ],
)
def test_printable(text, shown):
    assert shown == printable(text)


@given(st.text())
def test_printable_is_one_line_that_any_terminal_takes(text):
    shown = printable(text)

    assert shown.isprintable()
    shown.encode("utf-8")


def test_json_keeps_names_and_nesting():
    found = json.loads(as_json(SHOW))

    assert 10 == found["root"]
    assert {"fd": 0, "kind": "pipe", "detail": "read end"} == found["processes"][0]["descriptors"][0]


def test_json_survives_bytes_that_are_no_utf_8():
    found = as_json(RestartResult(1, 1, 0.1, warnings=("caf\udce9",)))

    assert found.isascii()
    assert ["caf\udce9"] == json.loads(found)["warnings"]
