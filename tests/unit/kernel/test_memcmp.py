"""Comparing two buffers."""

from __future__ import annotations

import random

import pytest

from crtool.kernel.memcmp import Pair

PAGE = 4096
SIZE = 64 * PAGE


@pytest.mark.parametrize("length", [PAGE, 16 * PAGE, 17 * PAGE, SIZE - PAGE])
@pytest.mark.parametrize("changes", [0, 1, 5, 64])
def test_runs_are_of_pages_that_are_alike(length: int, changes: int) -> None:
    random.seed(changes * SIZE + length)
    pair = Pair(SIZE)
    pair.ours[:] = pair.theirs[:] = random.randbytes(SIZE)
    changed = set(random.sample(range(SIZE // PAGE), changes))
    for page in changed:
        pair.ours[page * PAGE + random.choice((0, 1, PAGE - 1))] ^= 1 << random.randrange(8)
    at = PAGE if length < SIZE else 0
    runs = pair.runs(at, length, PAGE)
    assert [first for first, _, _ in runs] == [0, *(end for _, end, _ in runs[:-1])]
    assert runs[-1][1] == length
    assert all(one[2] is not other[2] for one, other in zip(runs, runs[1:], strict=False))
    differing = {page for first, end, same in runs if not same for page in range(first // PAGE, end // PAGE)}
    assert differing == {page - 1 for page in changed if 1 <= page < 1 + length // PAGE}
    assert pair.is_same(at, length) is not bool(differing)
