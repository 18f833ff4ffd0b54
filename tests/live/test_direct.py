"""Memory that the twin writes into the image itself, and what crtool has to copy for it."""

from __future__ import annotations

import mmap
import resource
from pathlib import Path

import pytest

from crtool.engine import twin_pages
from crtool.engine.checkpoint import checkpoint
from crtool.engine.verify import verify
from crtool.resources.memory import direct

from .victim import HIDDEN, changed, victim

MEMORY = 24 << 20


def limit_files(memory: mmap.mmap) -> None:
    """No file may grow beyond a megabyte."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """What every twin has written."""
    amounts: list[int] = []

    def watched(*args: object) -> int:
        amounts.append(direct.write(*args))  # type: ignore[arg-type]
        return amounts[-1]

    class Watched:
        write = staticmethod(watched)
        may_write = staticmethod(direct.may_write)

    monkeypatch.setattr(twin_pages, "direct", Watched)
    return amounts


def test_a_twin_writes_what_it_can_read_and_crtool_the_rest(tmp_path: Path, told: list[int]) -> None:
    live, frozen = str(tmp_path / "live.crt"), str(tmp_path / "frozen.crt")

    with victim() as pid:
        checkpoint(pid, live)
        checkpoint(pid, frozen, live="off")

    verify(live)
    assert MEMORY - HIDDEN <= sum(told)
    assert [] == changed(frozen, live)


def test_who_may_not_write_such_files_is_copied(tmp_path: Path, told: list[int]) -> None:
    live, frozen = str(tmp_path / "live.crt"), str(tmp_path / "frozen.crt")

    with victim(prelude=limit_files) as pid:
        checkpoint(pid, live)
        checkpoint(pid, frozen, live="off")

    verify(live)
    assert 0 == sum(told)
    assert [] == changed(frozen, live)


def test_what_a_twin_fails_to_write_is_copied(
    tmp_path: Path, told: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    live, frozen = str(tmp_path / "live.crt"), str(tmp_path / "frozen.crt")
    lie = "crtool.resources.memory.pages.readable"
    monkeypatch.setattr(lie, lambda extents, records: [(True, extents)])

    with victim() as pid:
        pages = checkpoint(pid, live).pages_written
        checkpoint(pid, frozen, live="off")

    verify(live)
    assert 0 < sum(told) <= 4096 * pages - HIDDEN
    assert [] == changed(frozen, live)
