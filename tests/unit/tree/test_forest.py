"""Tables that contradict themselves are refused, each with the number that is wrong."""

from __future__ import annotations

import pytest

from crtool.errors import ImageError
from crtool.tree.forest import OUTSIDE, Table
from crtool.tree.model import Forest, Member, Unplannable

_ROOT = Member((100,), 1, 100, 100)


def _table(*members: Member, root: Member = _ROOT, outside: frozenset[int] = frozenset()) -> Table:
    return Table(Forest(100, (root, *members), outside))


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ([Member((100,), 100, 100, 100)], "the number 100 is in the process table twice"),
        ([Member((101,), 100, 100, 100, threads=(100,))], "the number 100 is in the process table twice"),
        ([Member((101,), 100, 100, 100, threads=(102, 102))], "the number 102 is in the process table twice"),
        ([Member((), 100, 100, 100)], "impossible numbers"),
        ([Member((-1,), 100, 100, 100)], "impossible numbers"),
        ([Member((101,), 100, -1, 100)], "impossible numbers"),
        ([Member((101,), 99, 100, 100)], "the parent 99 of PID 101 is not in the process table"),
        ([Member((101,), 102, 100, 100), Member((102,), 101, 100, 100)], "PID 101 is its own ancestor"),
        ([Member((101,), 101, 100, 100)], "PID 101 is its own ancestor"),
        (
            [Member((101,), 100, 100, 100, zombie=True), Member((102,), 101, 100, 100)],
            "the parent 101 of PID 102 is a zombie",
        ),
        ([Member((101,), 100, 102, 101)], "PID 101 leads a session and is in the group 102"),
        (
            [Member((101,), 100, 101, 100), Member((102,), 100, 101, 101)],
            "PID 101 does not lead the session 101 of PID 102",
        ),
        ([Member((101,), 100, 105, 100), Member((102,), 100, 105, 106)], "the group 105 is in two sessions"),
        ([Member((101,), 100, 102, 100), Member((102,), 100, 102, 102)], "in two sessions"),
        (
            [Member((101,), 100, 102, 100), Member((102,), 100, 103, 104)],
            "not in the session of the process that made it",
        ),
        (
            [Member((101,), 100, 105, 100), Member((102,), 100, 102, 105)],
            "not in the session of the process that made it",
        ),
        ([Member((101,), 100, 0, 100)], "PID 101 is in a group from outside and in the session 100"),
        ([Member((101,), 100, 100, 105, threads=(105,))], "the session 105 of PID 101 bears the number of a thread"),
        ([Member((101,), 100, 105, 100, threads=(105,))], "the group 105 of PID 101 bears the number of a thread"),
        (
            [Member((101, 1), 100, 100, 100, namespace=101), Member((102,), 101, 100, 100)],
            "lives in an outer PID namespace",
        ),
        ([Member((101, 1), 100, 100, 100)], "has 2 numbers in 1 PID namespaces"),
        ([Member((101, 2), 100, 100, 100, namespace=101)], "has not the number 1 there"),
        ([Member((101, 2), 100, 100, 100, namespace=99)], "the first process of the PID namespace of PID 101 is not"),
        (
            [Member((101, 1), 100, 100, 100, namespace=101), Member((102, 1), 101, 100, 100, namespace=101)],
            "two processes of one PID namespace have the number 1 there",
        ),
    ],
)
def test_contradictions(members: list[Member], reason: str) -> None:
    with pytest.raises(ImageError, match=reason):
        _table(*members)


def test_a_root_that_is_missing() -> None:
    with pytest.raises(ImageError, match="the root 100 is not in the process table"):
        Table(Forest(100, (Member((101,), 1, 101, 101),)))


def test_a_root_in_a_session_of_its_child() -> None:
    with pytest.raises(ImageError, match="the root 100 is in the session 101 of its descendant"):
        _table(Member((101,), 100, 101, 101), root=Member((100,), 1, 101, 101))


def test_a_dead_first_thread_is_legal_and_refused() -> None:
    with pytest.raises(Unplannable, match="its first thread has ended"):
        _table(Member((101,), 100, 100, 100, zombie=True, threads=(102,)))


def test_what_is_outside() -> None:
    """Number 0, the root's own unless it leads, and what is known to be; a group only if its session is outside too."""
    table = _table(
        Member((101,), 100, 0, 0),
        Member((102,), 100, 61, 51),
        Member((103,), 100, 62, 50),
        Member((104,), 100, 104, 104),
        Member((105,), 104, 63, 104),
        root=Member((100,), 1, 60, 50),
        outside=frozenset({51, 61, 63}),
    )

    assert [OUTSIDE, OUTSIDE, OUTSIDE, OUTSIDE, 104, 104] == list(table.sid.values())
    assert [OUTSIDE, OUTSIDE, OUTSIDE, 62, 104, 63] == list(table.pgid.values())
    assert [
        "session 50 is not in the image: PID 100, 103 gets that of crtool",
        "session of an outer namespace is not in the image: PID 101 gets that of crtool",
        "session 51 is not in the image: PID 102 gets that of crtool",
        "group 60 is not in the image: PID 100 gets that of crtool",
        "group of an outer namespace is not in the image: PID 101 gets that of crtool",
        "group 61 is not in the image: PID 102 gets that of crtool",
    ] == [str(squashed) for squashed in table.squashed]


def test_who_is_within_whom() -> None:
    table = _table(Member((101,), 100, 100, 100), Member((102,), 101, 100, 100), Member((103,), 100, 100, 100))

    assert [100, 101, 102, 103] == list(table.walk())
    assert table.within(102, 101)
    assert table.within(101, 101)
    assert table.within(100, OUTSIDE)
    assert not table.within(103, 101)
    assert not table.within(101, 102)
    assert not table.within(OUTSIDE, 100)
