"""Who was born in which session, where the table leaves a choice."""

from __future__ import annotations

from itertools import islice

from crtool.tree.forest import OUTSIDE, Table
from crtool.tree.model import Forest, Member
from crtool.tree.plan import plan
from crtool.tree.plan_sessions import Sessions, possible_sessions

from .kernel_model import rebuilt, squashed

_GHOST, _OTHER_GHOST = 90, 91


def _forest(*rows: tuple[int, int, int]) -> Forest:
    """A root 100 that leads its session, and (pid, ppid, sid), everybody in his session's own group."""
    return Forest(100, (Member((100,), 1, 100, 100), *(Member((pid,), ppid, sid, sid) for pid, ppid, sid in rows)))


def _answers(forest: Forest) -> list[Sessions]:
    return list(islice(possible_sessions(Table(forest)), 100))


def _comes_out_the_same(forest: Forest) -> bool:
    return squashed(forest) == rebuilt(plan(forest), forest.root)


def test_nothing_to_choose() -> None:
    forest = _forest((101, 100, 101), (102, 101, 101), (103, 100, 100))

    assert [Sessions({100: OUTSIDE}, {100: OUTSIDE, 101: 100})] == _answers(forest)


def test_one_leader_with_a_child_in_a_dead_ones_session() -> None:
    """The dead one was below it, or it was itself born there; both will do."""
    forest = _forest((101, 100, 101), (102, 101, _GHOST))

    assert [{_GHOST: 101}, {_GHOST: 100}] == [
        {session: place for session, place in answer.below.items() if session == _GHOST} for answer in _answers(forest)
    ]
    assert [None, _GHOST] == [answer.born.get(101) for answer in _answers(forest)]
    assert _comes_out_the_same(forest)


def test_two_leaders_with_a_child_in_a_dead_ones_session() -> None:
    """At most one can have been above it."""
    forest = _forest((101, 100, 101), (102, 101, _GHOST), (103, 100, 103), (104, 103, _GHOST))

    assert {101: _GHOST, 103: _GHOST}.items() <= _answers(forest)[0].born.items()
    assert all({101, 103} & answer.born.keys() for answer in _answers(forest))
    assert _comes_out_the_same(forest)


def test_a_leader_between_two_dead_ones() -> None:
    """It was born in one of the two sessions and above the other, and so decides for its neighbours."""
    forest = _forest(
        *((101, 100, 101), (102, 101, _GHOST), (103, 101, _OTHER_GHOST)),
        *((104, 100, 104), (105, 104, _GHOST)),
        *((106, 100, 106), (107, 106, _OTHER_GHOST)),
    )

    assert _comes_out_the_same(forest)


def test_who_cannot_have_been_born_there_was_above() -> None:
    """A parent that leads no session was above, and whoever is beside it was born there, under the dead one."""
    forest = _forest((101, 100, 100), (102, 101, _GHOST), (103, 100, 103), (104, 103, _GHOST))

    assert [_GHOST] == [answer.born[103] for answer in _answers(forest)]
    assert [101] == [answer.below[_GHOST] for answer in _answers(forest)]
    assert _comes_out_the_same(forest)


def test_a_leader_that_moved_up_after_its_session_had_spread() -> None:
    """101 leads no session, has a child in that of its brother 103, and a brother is not below one.

    So the brother was born below 101, and came up when 101 was no subreaper any more.
    """
    forest = _forest((101, 100, 100), (102, 101, 103), (103, 100, 103))

    assert [101] == [answer.below[103] for answer in _answers(forest)]
    assert _comes_out_the_same(forest)


def test_two_who_would_each_be_above_the_other_are_no_answer() -> None:
    """Neither leads a session."""
    forest = _forest((101, 100, 100), (102, 101, _GHOST), (103, 100, 100), (104, 103, _GHOST))

    assert [] == _answers(forest)


def test_two_leaders_with_a_child_in_each_others_session() -> None:
    """Each may have been born in the other's session, but not both: the first answer makes them their own ancestors."""
    forest = _forest((101, 100, 101), (102, 100, 102), (103, 101, 102), (104, 102, 101))

    assert {101: 102, 102: 101}.items() <= _answers(forest)[0].born.items()
    assert _comes_out_the_same(forest)


def test_a_wrong_choice_is_taken_back_across_sessions() -> None:
    """103 would rather be above the ghost, as nobody else is; but it comes below 102, which is in the ghost's
    session.
    """
    forest = _forest((101, 100, 101), (102, 100, _GHOST), (103, 101, 103), (104, 102, 101), (105, 103, _GHOST))

    assert _GHOST not in _answers(forest)[0].born.values()
    assert _comes_out_the_same(forest)
