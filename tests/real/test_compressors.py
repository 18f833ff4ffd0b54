"""gzip and xz of a large file."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from .midwork import Program, grown, need

Survives = Callable[[Program], None]


def text(size: int) -> Callable[[Path], None]:
    """Writes *size* bytes of text that compresses neither very well nor very badly to the file ``large``."""

    def prepare(folder: Path) -> None:
        source = random.Random(size)
        words = [bytes(source.choices(b"abcdefghijklmnopqrstuvwxyz", k=source.randint(2, 11))) for _ in range(5000)]
        piece = b" ".join(source.choices(words, k=200_000))
        with open(folder / "large", "wb") as file:
            while file.tell() < size:
                at = source.randrange(len(piece) // 2)
                file.write(piece[at : at + 500_000])
            file.truncate(size)

    return prepare


@pytest.mark.parametrize(
    ("command", "size", "suffix", "written"),
    [
        pytest.param(("gzip", "-9", "-n", "large"), 150_000_000, "gz", 5_000_000, marks=need("gzip"), id="gzip"),
        pytest.param(("xz", "-6", "-T1", "large"), 12_000_000, "xz", 300_000, marks=need("xz"), id="xz"),
        pytest.param(
            ("xz", "-3", "-T2", "--block-size=1000000", "large"), 30_000_000, "xz", 1_000_000,
            marks=need("xz"), id="xz-threads",
        ),
    ],
)  # fmt: skip
def test_compress(survives: Survives, command: tuple[str, ...], size: int, suffix: str, written: int) -> None:
    """The compressed file is the same, byte for byte; gzip removes the original, as it does at the end only."""
    survives(
        Program(
            " ".join(command),
            command,
            prepare=text(size),
            working=grown(f"large.{suffix}", written),
            results=(f"large.{suffix}",),
        )
    )
