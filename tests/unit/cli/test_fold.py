"""Lines for a narrow terminal."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crtool.cli.fold import columns_of_terminal, fold

TEXT = st.text(st.characters(min_codepoint=32, max_codepoint=126))


@pytest.mark.parametrize(
    ("head", "tail", "width", "lines"),
    [
        ("a  ", "long " * 30, 0, [("a  " + "long " * 30).rstrip()]),
        ("a  ", "fits", 7, ["a  fits"]),
        ("a  ", "", 2, ["a"]),
        ("PID 7  ", "python job.py --more of/a/path", 34, ["PID 7  python job.py --more of/a/", "       path"]),
        ("1234567890  ", "one two three", 24, ["1234567890", "    one two three"]),
        ("1234567890  ", "  one two", 20, ["1234567890", "    one two"]),
        ("a  ", "漢字漢字漢字漢字", 10, ["a", "  漢字漢字", "  漢字漢字"]),
    ],
)
def test_some(head: str, tail: str, width: int, lines: list[str]) -> None:
    assert lines == list(fold(head, tail, width))


@given(TEXT.map(lambda text: text[:30]), TEXT, st.integers(1, 100))
def test_nothing_is_lost(head: str, tail: str, width: int) -> None:
    lines = list(fold(head, tail, width))

    assert "".join((head + tail).split()) == "".join("".join(lines).split())
    assert all(len(line) <= max(width, len(head), 12) for line in lines)


def test_a_pipe_is_no_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    assert 0 == columns_of_terminal()
