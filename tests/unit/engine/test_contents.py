"""Which bytes of an address space come from where."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from crtool.engine.contents import Run, cut, over, with_zeros

END = 40


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
