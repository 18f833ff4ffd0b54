"""The specimens: found, described by their first lines, and built.

Every ``NAME.c`` of ``tests/specimens`` begins with one line for the support matrix::

    /* specimen: <the situation> | group: <group> | needs: <root, … or nothing> */

What cannot be saved and is refused needs ``refusal as <words of the message>``. What a machine may lack is a word of
:data:`tests.machine.NEEDS`.
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path

__all__ = ["BUILD", "GROUPS", "SPECIMENS", "NotCompiled", "Specimen", "build", "catalogue", "describe"]

SPECIMENS = Path(__file__).resolve().parents[2] / "specimens"
BUILD = Path(__file__).resolve().parents[2] / ".build"
"""Where the programs go; every test worker may build at any time, see :func:`build`."""
GROUPS = (
    "tree", "ns", "memory", "cpu", "signals", "time", "limits", "files", "events", "objects", "terminals", "sockets",
    "tcp",
)  # fmt: skip
"""In the order of the support matrix."""
COMPILER = ("gcc", "-O2", "-Wall", "-Wextra", "-Werror", "-pthread")
LIBRARIES = ("-lrt", "-lm")
_OTHERWISE = ("root", "vfork")
"""Needs that are not the machine's: who runs the tests, and a story of its own."""
_REFUSAL = "refusal as "
_FIRST_LINE = re.compile(r"/\* specimen: (?P<situation>.+?) \| group: (?P<group>\w+) \| needs: (?P<needs>.+?) \*/")


class NotCompiled(Exception):
    """The compiler did not like a specimen; the text is the compiler's."""


@dataclass(frozen=True)
class Specimen:
    """What the first line of a specimen says about it."""

    name: str
    situation: str
    group: str
    needs: tuple[str, ...]  # empty for "nothing"
    refusal: str  # words of the refusal that is expected; empty: it can be saved
    source: Path

    @property
    def of_machine(self) -> tuple[str, ...]:
        """The needs that are asked of the machine."""
        return tuple(need for need in self.needs if need not in _OTHERWISE)


def describe(source: Path) -> Specimen:
    """Reads the first line of a specimen; ValueError with the file's name if it does not have the form."""
    with open(source, encoding="utf-8") as file:
        line = file.readline().strip()
    match = _FIRST_LINE.fullmatch(line)
    if not match or match["group"] not in GROUPS:
        raise ValueError(f"{source.name}: the first line does not describe the specimen: {line!r}")
    needs = [] if match["needs"] == "nothing" else [need.strip() for need in match["needs"].split(",")]
    refusal = next((need for need in needs if need.startswith(_REFUSAL)), "")
    others = tuple(need for need in needs if need != refusal)
    return Specimen(source.stem, match["situation"], match["group"], others, refusal.removeprefix(_REFUSAL), source)


def catalogue() -> list[Specimen]:
    """All specimens, by group and name."""
    found = [describe(source) for source in SPECIMENS.glob("*.c")]
    return sorted(found, key=lambda specimen: (GROUPS.index(specimen.group), specimen.name))


@cache
def _surroundings() -> bytes:
    """What every program depends on besides its own source: the headers, the compiler and its options."""
    version = subprocess.run([COMPILER[0], "-v"], capture_output=True, check=True).stderr
    headers = b"".join(path.read_bytes() for path in sorted(SPECIMENS.glob("*.h")))
    return hashlib.sha256(version + repr((COMPILER, LIBRARIES)).encode() + headers).digest()


def build(specimen: Specimen) -> Path:
    """The program of a specimen, compiled unless one of the same content is there.

    Raises NotCompiled.
    """
    digest = hashlib.sha256(_surroundings() + specimen.source.read_bytes()).hexdigest()[:16]
    folder = BUILD / digest
    program = folder / specimen.name
    if not program.exists():
        folder.mkdir(parents=True, exist_ok=True)
        # Two workers may compile the same program at once: each under a name of its own, and the last rename wins.
        unfinished = folder / f"{specimen.name}.{os.getpid()}"
        command = [*COMPILER, "-I", str(SPECIMENS), "-o", str(unfinished), str(specimen.source), *LIBRARIES]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise NotCompiled(done.stderr)
        unfinished.rename(program)
    return program
