"""Which bytes of an address space come from where."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from crtool.engine.contents import Run, cut, over, saved, with_zeros
from crtool.image import datamap
from crtool.image.datamap import OWN, DataMap, pack_runs
from crtool.image.reader import ImageReader
from crtool.image.writer import ImageWriter
from crtool.resources.memory.pages import ExtentRecord

END = 40
PAGE = 4096


@st.composite
def runs(draw: st.DrawFn, data: int) -> list[Run]:
    """Runs that follow each other, in 0…END, whose bytes come from a place that tells them apart."""
    edges = sorted(draw(st.sets(st.integers(0, END), max_size=10)))
    pairs = zip(edges[::2], edges[1::2], strict=False)
    return [Run(start, end - start, data + 2 * start) for start, end in pairs]


def bytes_of(found: list[Run] | tuple[Run, ...]) -> dict[int, int | None]:
    """For each address, where its byte comes from; AssertionError if there are two answers."""
    places: dict[int, int | None] = {}
    for run in found:
        assert 0 < run.length
        for step in range(run.length):
            assert run.start + step not in places
            places[run.start + step] = None if run.data is None else run.data + step
    return places


@given(runs(1000), st.integers(0, END), st.integers(0, END))
def test_a_cut_takes_what_is_inside(found, start, end):
    expected = {at: place for at, place in bytes_of(found).items() if start <= at < end}

    assert expected == bytes_of(list(cut(found, start, end)))


@given(runs(1000))
def test_zeros_fill_what_is_missing(found):
    assert {at: bytes_of(found).get(at) for at in range(END)} == bytes_of(with_zeros(found, 0, END))


@given(runs(1000), runs(5000))
def test_what_is_private_covers_what_is_shared(shared, private):
    whole = with_zeros(shared, 0, END)

    assert {**bytes_of(whole), **bytes_of(private)} == bytes_of(list(over(whole, private)))


def test_no_more_memory_is_taken_for_arguments_than_there_can_be(tmp_path: Path) -> None:
    """An image of one page, by its map as large as it likes."""
    count = 8192
    data_map = DataMap((), pack_runs([datamap.Run(PAGE, OWN, 0)] * count))
    with ImageWriter.create(tmp_path / "a.crt") as image:
        image.begin(cpu="x86_64", page_size=PAGE, records=b"", data_length=PAGE, data_map=data_map)
        image.append(b"a" * PAGE)
        image.finish()
    memory: Any = SimpleNamespace(shared=(), data=0, extents=(ExtentRecord(PAGE, count * PAGE),))
    with ImageReader.open(tmp_path / "a.crt") as reader:
        assert saved(memory, reader, PAGE, PAGE + (16 << 20)) == b"a" * (16 << 20)
        assert saved(memory, reader, PAGE, PAGE + count * PAGE) == b""
