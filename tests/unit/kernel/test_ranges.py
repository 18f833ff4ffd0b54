"""Sets of addresses, beside sets of numbers."""

from __future__ import annotations

import random

import pytest

from crtool.kernel.ranges import Ranges, common, joined, less, total


def numbers(ranges: Ranges) -> set[int]:
    return {number for start, end in ranges for number in range(start, end)}


def is_tidy(ranges: Ranges) -> bool:
    return all(start < end for start, end in ranges) and all(
        one[1] <= other[0] for one, other in zip(ranges, ranges[1:], strict=False)
    )


def some(rng: random.Random) -> list[tuple[int, int]]:
    return [(start, start + rng.randrange(8)) for start in (rng.randrange(60) for _ in range(rng.randrange(9)))]


@pytest.mark.parametrize("seed", range(200))
def test_they_are_as_sets(seed: int) -> None:
    rng = random.Random(seed)
    wild = some(rng)
    first, second = joined(wild), joined(some(rng))

    assert numbers(first) == numbers(wild)
    assert numbers(common(first, second)) == numbers(first) & numbers(second)
    assert numbers(less(first, second)) == numbers(first) - numbers(second)
    assert total(first) == len(numbers(first))
    assert all(map(is_tidy, (first, common(first, second), less(first, second))))


def test_what_comes_twice_is_there_once() -> None:
    assert joined([(4, 6), (1, 2), (4, 6), (5, 8), (2, 4), (9, 9)]) == [(1, 8)]
