"""What is found to be as the parent has it, whoever of the threads has compared it."""

from __future__ import annotations

import os
import threading

import pytest

from crtool.engine.comparison import Comparison, Part, Verdict
from crtool.errors import EnvironmentDiffers
from crtool.kernel.interruption import nothing

PAGE = 4096
MIB = 1 << 20
AT = 1 << 30  # where memory begins


class Sides:
    """Memory, and what the parent has of it: the same, but for the pages that have changed since."""

    def __init__(self, size: int, changed: set[int]) -> None:
        self.meeting: threading.Barrier | None = None  # where each thread waits for the other before it reads
        self.memory = bytearray(b"".join(number.to_bytes(8, "little") * 512 for number in range(size // PAGE)))
        self.parent = bytes(self.memory)
        for page in changed:
            self.memory[page * PAGE + 4095] ^= 1
        self.met: set[int] = set()
        self.read_pages: list[int] = []
        self.missing = 1 << 62  # from where on no memory comes

    def read(self, address: int, view: memoryview) -> int:
        at = address - AT
        self.read_pages.extend(range(at // PAGE, (at + len(view)) // PAGE))
        part = self.memory[at : min(at + len(view), max(self.missing - AT, at))]
        view[: len(part)] = part
        return len(part)

    def theirs(self, offset: int, view: memoryview) -> None:
        if self.meeting is not None and len(self.met) < 2 and threading.get_ident() not in self.met:
            self.met.add(threading.get_ident())
            self.meeting.wait(60)
        view[:] = self.parent[offset : offset + len(view)]


def pages(verdicts: list[Verdict]) -> set[int]:
    """The pages that are not in the parent; all verdicts follow each other."""
    at = AT
    found = set()
    for start, length, old in verdicts:
        assert start == at
        at += length
        assert old in (-1, start - AT)
        if old < 0:
            found.update(range((start - AT) // PAGE, (at - AT) // PAGE))
    return found


def in_parts(size: int, step: int) -> list[Part]:
    return [(AT + at, min(step, size - at), at, True) for at in range(0, size, step)]


@pytest.fixture(autouse=True)
def two_cpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 2)


@pytest.mark.parametrize("step", [PAGE, 3 * PAGE, MIB + PAGE, 80 * MIB])
def test_all_that_has_changed_is_found_by_all_threads(step: int) -> None:
    size = 80 * MIB + 5 * PAGE
    changed = {0, 1, 77, 255, 256, 5000, size // PAGE - 1}
    sides = Sides(size, changed)
    sides.meeting = threading.Barrier(2)
    found = list(Comparison(sides.theirs).verdicts(iter(in_parts(size, step)), sides.read, nothing, tracked=False))
    assert pages(found) == changed
    assert len(sides.met) == 2


def test_what_does_not_come_is_not_the_same() -> None:
    size = 2 * MIB
    sides = Sides(size, set())
    sides.missing = AT + MIB + 7 * PAGE
    found = list(Comparison(sides.theirs).verdicts(iter(in_parts(size, size)), sides.read, nothing, tracked=False))
    assert pages(found) == set(range(263, 512))


def test_unchanged_parts_are_not_read() -> None:
    sides = Sides(MIB, {3})
    parts = [(AT, 3 * PAGE, 0, False), (AT + 3 * PAGE, PAGE, 3 * PAGE, True), (AT + 4 * PAGE, PAGE, -1, False)]
    found = list(Comparison(sides.theirs).verdicts(iter(parts), sides.read, nothing, tracked=True))
    assert found == [(AT, 3 * PAGE, 0), (AT + 3 * PAGE, PAGE, -1), (AT + 4 * PAGE, PAGE, -1)]
    assert sides.read_pages == [3]


def test_three_mib_are_new_where_one_was() -> None:
    """Only of what was written, that is tracked."""
    size = 6 * MIB
    sides = Sides(size, set(range(256)))
    found = list(Comparison(sides.theirs).verdicts(iter(in_parts(size, PAGE)), sides.read, nothing, tracked=True))
    assert pages(found) == set(range(4 * 256))
    assert sides.read_pages == [*range(256), *range(4 * 256, 6 * 256)]


@pytest.mark.parametrize("thread", ["this", "another"])
def test_an_error_in_any_thread_ends_it(thread: str) -> None:
    size = 64 * MIB
    sides = Sides(size, set())
    sides.meeting = threading.Barrier(2)
    here = threading.get_ident()

    def fail(offset: int, view: memoryview) -> None:
        sides.theirs(offset, view)
        if (threading.get_ident() == here) is (thread == "this"):
            raise ZeroDivisionError

    before = threading.active_count()
    with pytest.raises(ZeroDivisionError):
        list(Comparison(fail).verdicts(iter(in_parts(size, MIB)), sides.read, nothing, tracked=False))
    assert threading.active_count() == before


def test_whoever_is_in_a_hurry_ends_it() -> None:
    sides = Sides(64 * MIB, set())
    before = threading.active_count()

    def hurry() -> None:
        raise TimeoutError

    with pytest.raises(TimeoutError):
        list(Comparison(sides.theirs).verdicts(iter(in_parts(64 * MIB, MIB)), sides.read, hurry, tracked=False))
    assert threading.active_count() == before


def test_without_a_thread_to_be_had_it_is_done_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """As under a limit on memory, or on processes."""

    def none(_thread: threading.Thread) -> None:
        raise EnvironmentDiffers("no thread can be started", "free some")

    monkeypatch.setattr("crtool.engine.comparison.start_thread", none)
    data = os.urandom(1 << 20) * 20
    parts: list[Part] = [(0, len(data), 0, True)]

    def read(at: int, view: memoryview) -> int:
        view[:] = data[at : at + len(view)]
        return len(view)

    def theirs(at: int, view: memoryview) -> None:
        view[:] = data[at : at + len(view)]

    found: list[Verdict] = list(Comparison(theirs).verdicts(iter(parts), read, lambda: None, tracked=False))

    assert len(data) == sum(length for _, length, _ in found)
    assert all(start == old for start, _, old in found)
