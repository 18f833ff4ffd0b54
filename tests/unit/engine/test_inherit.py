"""What is taken over by a birth, against the same worked out page by page."""

from __future__ import annotations

from dataclasses import replace
from itertools import groupby

from hypothesis import given
from hypothesis import strategies as st

from crtool.arch import cpu
from crtool.engine.contents import Run
from crtool.engine.forebear import forebear
from crtool.engine.inherit import Content, common, cut_out, kept, without
from crtool.engine.snapshot import MemoryRecord
from crtool.resources.memory.bounds import BoundsRecord
from crtool.resources.memory.mappings import MappingRecord
from crtool.resources.memory.pages import SharedRecord
from crtool.resources.memory.vdso import VdsoRecord

PAGE = cpu.PAGE_SIZE
BOUNDS = BoundsRecord(*[0] * 11, b"")
VDSO = VdsoRecord((), b"")

Pages = dict[int, int]
"""Page number → number of the page in the image."""

pages = st.dictionaries(st.integers(0, 15), st.integers(0, 3).map(lambda version: 100 * version), max_size=16).map(
    lambda found: {page: base + page for page, base in found.items()}
)


def mapping(first: int, last: int, **changes: object) -> MappingRecord:
    plain = MappingRecord(first * PAGE, last * PAGE, 3, False, -1, 0, False, 0, (), False, False, False, 0, b"")
    return replace(plain, **changes)


def content(found: Pages, *mappings: MappingRecord) -> Content:
    """Pages that follow each other, here and in the image, are one run, as in an image."""
    runs = []
    for _, group in groupby(sorted(found.items()), key=lambda item: (item[1] - item[0], item[0] // 6)):
        numbers = list(group)
        consecutive = [n for n, item in enumerate(numbers[1:], 1) if item[0] != numbers[n - 1][0] + 1]
        for first, last in zip([0, *consecutive], [*consecutive, len(numbers)], strict=True):
            page, place = numbers[first]
            runs.append(SharedRecord(page * PAGE, (last - first) * PAGE, place * PAGE))
    return Content(MemoryRecord(mappings or (mapping(0, 16),), (), (), tuple(runs), 0, BOUNDS, 0, VDSO, 0))


def numbers_in(stretches: list[tuple[int, int]]) -> list[int]:
    return [at // PAGE for start, end in stretches for at in range(start, end, PAGE)]


def pages_of(runs: list[Run]) -> Pages:
    found = {}
    for run in runs:
        assert run.data is not None
        for at in range(0, run.length, PAGE):
            found[(run.start + at) // PAGE] = (run.data + at) // PAGE
    return found


@given(pages, pages)
def test_common_are_the_same_pages_at_the_same_addresses(first: Pages, second: Pages) -> None:
    found = common(content(first), content(second))

    assert sorted(first.keys() & second.keys() & {p for p in first if first[p] == second.get(p)}) == numbers_in(found)
    assert found == sorted(found)


@given(pages, st.lists(st.integers(0, 16), max_size=6, unique=True).map(sorted))
def test_without_leaves_what_is_in_no_hole(found: Pages, edges: list[int]) -> None:
    holes = [(a * PAGE, b * PAGE) for a, b in zip(edges[::2], edges[1::2], strict=False)]
    inside = set(numbers_in(holes))

    assert {page: place for page, place in found.items() if page not in inside} == pages_of(
        without(content(found).runs, holes)
    )
    assert [page for page in range(16) if page not in inside] == numbers_in(list(cut_out((0, 16 * PAGE), holes)))


@given(pages, st.lists(pages, max_size=5))
def test_a_forebear_has_what_most_have(own: Pages, heirs: list[Pages]) -> None:
    found = pages_of(forebear(content(own), [content(heir) for heir in heirs]).runs)

    for page in range(16):
        having = [heir[page] for heir in heirs if page in heir]
        most = max((having.count(place) for place in having if place != own.get(page)), default=0)
        if most > having.count(own.get(page, -1)):
            assert having.count(found[page]) == most
        else:
            assert own.get(page) == found.get(page)


def test_a_forebear_still_has_what_has_been_unmapped() -> None:
    heirs = [content({1: 1, 9: 9}, mapping(0, 4), mapping(8, 12, name=b"heap"))] * 2
    found = forebear(content({1: 1}, mapping(0, 4)), heirs)

    assert {1: 1, 9: 9} == pages_of(found.runs)
    assert [(0, 4), (8, 12)] == [(m.start // PAGE, m.end // PAGE) for m in found.memory.mappings]


def test_only_what_is_alike_and_shared_is_kept() -> None:
    both = {1: 1, 5: 5, 9: 9, 13: 13}
    old = content(
        both, mapping(0, 4), mapping(4, 8, flags=0x4000), mapping(8, 11, inode=3, offset=PAGE), mapping(12, 16)
    )
    new = content(
        both, mapping(1, 3), mapping(4, 8), mapping(8, 12, inode=3, offset=PAGE), mapping(12, 16, shared=True)
    )

    found = kept(new.memory, old.memory, common(new, old))

    assert [(1, 3), (8, 11)] == [(start // PAGE, end // PAGE) for start, end in found]


def test_what_has_nothing_in_common_is_not_kept() -> None:
    old, new = content({1: 1}), content({1: 101, 2: 2})

    assert not kept(new.memory, old.memory, common(new, old))
