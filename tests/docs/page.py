"""A page of the documents as a person would follow it: the commands of its marked blocks, and what they should say.

A block that is run has ``<!-- run -->`` on the line before it. In it, "$ " begins a command; a line after it that
ends a word with a here-document or a backslash belongs to it; all other lines are what the command says. Whoever reads
has to wait now and then, or to clean up: ``<!-- run: COMMAND -->`` does so, unseen. ``<!-- save: NAME -->`` writes the
next block to a file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Command", "Step", "Text", "differences", "steps"]

_MARK = re.compile(
    r"^<!-- (?P<word>run|save)(?:: (?P<what>.*?))? -->\n(?:```(?P<kind>\w+)\n(?P<block>.*?)^```$)?", re.M | re.S
)
_HERE = re.compile(r"<<-?'?(\w+)'?")
_NUMBER = re.compile(r"\d[\d,.]*")


@dataclass(frozen=True)
class Command:
    """Something to be typed, and the lines that are shown as its answer."""

    text: str
    expected: tuple[str, ...]
    shown: bool  # it stands in the page


@dataclass(frozen=True)
class Text:
    """A file to be written."""

    name: str
    text: str


Step = Command | Text


def steps(page: Path) -> list[Step]:
    """All that a page wants to be done, in order."""
    found: list[Step] = []
    for mark in _MARK.finditer(page.read_text(encoding="utf-8")):
        if mark["word"] == "save":
            assert mark["block"], f"{page.name}: nothing to save follows {mark['what']}"
            found.append(Text(mark["what"], mark["block"]))
        elif mark["what"]:
            found.append(Command(mark["what"], (), shown=False))
        elif mark["kind"] == "sh":
            found += [Command(line, (), shown=True) for line in _joined(mark["block"].splitlines())]
        else:
            assert mark["block"], f"{page.name}: nothing to run follows a mark"
            found += _console(mark["block"])
    return found


def _joined(lines: list[str]) -> Iterator[str]:
    """Commands of a block of shell: with their here-documents and continued lines, without comments."""
    rest = iter(lines)
    for line in rest:
        command = line
        while command.endswith("\\"):
            command += "\n" + next(rest)
        if here := _HERE.search(command):
            while not command.endswith(f"\n{here[1]}"):
                command += "\n" + next(rest)
        if command.strip() and not command.startswith("#"):
            yield command


def _console(block: str) -> list[Command]:
    """Commands of a block that shows a session."""
    found: list[Command] = []
    for part in re.split(r"^\$ ", block, flags=re.M)[1:]:
        lines = part.splitlines()
        command = lines.pop(0)
        while command.endswith("\\"):
            command += "\n" + lines.pop(0)
        found.append(Command(command, tuple(line for line in lines if line.strip()), shown=True))
    return found


def differences(expected: tuple[str, ...], found: list[str]) -> str | None:
    """The first expected line that has not come, in its place; numbers may be others, and "…" may be anything."""
    rest = iter(found)
    for line in expected:
        pattern = re.compile(_pattern(line))
        if not any(pattern.fullmatch(" ".join(one.split())) for one in rest):
            return line
    return None


def _pattern(line: str) -> str:
    """A regular expression for what is meant by a line that is shown."""
    words = re.escape(" ".join(line.split())).replace("…", ".*")
    return _NUMBER.sub(lambda _: r"\d[\d,.]*", re.sub(r"\\([,.])(?=\d)", r"\1", words))
