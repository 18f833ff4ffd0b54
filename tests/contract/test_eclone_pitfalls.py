"""docs/eclone.md numbers the pitfalls of choosing PIDs; each has a test that bears its number."""

from __future__ import annotations

import re
from pathlib import Path

TESTS = Path(__file__).parents[1]
DOCUMENT = TESTS.parent / "docs" / "eclone.md"


def test_each_pitfall_has_a_test_of_its_number() -> None:
    chapter = DOCUMENT.read_text().partition("\n## Pitfalls\n")[2].partition("\n## ")[0]
    told = [int(number) for number in re.findall(r"^(\d+)\. ", chapter, re.MULTILINE)]
    tested = {
        int(number)
        for path in TESTS.rglob("test_*.py")
        for number in re.findall(r"^def test_pitfall_(\d\d)_", path.read_text(), re.MULTILINE)
    }

    assert list(range(1, 20)) == told
    assert set(told) == tested
